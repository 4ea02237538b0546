"""The loss around a trained language model, on one random line and one random plane.

The model is stories260K of llama2.c (github.com/karpathy/llama2.c): a Llama with 260,032
parameters. The loss is the mean cross-entropy per token of five short stories, in nats. Norm
weights stay as they are; the embedding, which is also the output layer, is one tensor and moves
once; directions are filter-normalized (arXiv:1712.09913). Ctrl-C keeps what was measured.

No original: it is filter normalization on a Llama; published surfaces of language models show
neither the level of guessing nor the number of tokens.
"""

from __future__ import annotations

import math

from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.exchange.checkpoints.state import load_state
from landscape.tasks.folders import find_data
from landscape.tasks.llama import Llama, Tokenizer, next_token_loss, padded

RESOLUTION = 41
STATE, TOKENIZER, STORIES = "stories260K_state_dict.pt", "tok512.bin", "tinystories_sample.txt"


def main() -> None:
    script = Script("fig_language_model", __doc__)
    size = 3 if script.smoke else RESOLUTION
    try:
        files = find_data("checkpoints/stories260K", [STATE, TOKENIZER, STORIES])
    except FileNotFoundError as error:
        print(f"Nothing drawn, for want of the trained model. {error}")
        return
    model = Llama.from_state(load_state(files[STATE]), heads=8)
    tokenizer = Tokenizer(files[TOKENIZER])
    stories = files[STORIES].read_text(encoding="utf-8").split("<|endoftext|>")
    tokens = [tokenizer.encode(story.strip()) for story in stories if story.strip()]
    if script.smoke:
        tokens = tokens[:1]
    objective = ls.Objective(
        model, next_token_loss, padded(tokens), batch_size=1, settings={"task": "stories260K"}
    )
    centre, layout = objective.parameters(), objective.layout
    line = script.measured(
        "line/random",
        lambda: ls.loss_line(
            objective,
            ls.random_line(centre, layout, seed=1),
            extent=(-1, 1),
            resolution=size,
        ),
    )
    surface = script.measured(
        "surface/random",
        lambda: ls.loss_surface(
            objective,
            ls.random_plane(centre, layout, seed=1),
            resolution=size,
            units=script.data / f"units-language-model-{size}",
        ),
    )
    guessing = math.log(model.tok_embeddings.num_embeddings)
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.5))
        left, right = figure.subplots(1, 2)
        left.plot(line.alpha, line.loss[0], color="black")
        left.axhline(guessing, color="0.3", linestyle=":", linewidth=0.8)
        left.annotate("guessing", (0, guessing), ha="center", va="bottom", color="0.3")
        left.set(xlabel="distance along a random direction", ylabel="nats per token")
        left.set(xlim=(-1, 1), ylim=(0, None))
        ls.plot_surface(surface, ax=right)
        script.save(
            figure,
            f"{objective.at(centre).mean[0, 0]:.4f} nats per token at the trained weights, over "
            f"{sum(map(len, tokens)) - len(tokens)} predicted tokens of {len(tokens)} stories; up "
            f"to {surface.loss.max():.3g} on the plane. Guessing one of "
            f"{model.tok_embeddings.num_embeddings} tokens: {guessing:.2f}. "
            f"{len(surface.alpha)} x {len(surface.beta)} points; a distance of 1 changes every "
            "neuron and every token's vector by its own norm.",
        )


if __name__ == "__main__":
    main()
