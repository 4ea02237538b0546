"""The loss around a trained language model: one random line and one random plane.

The model is stories260K of llama2.c (github.com/karpathy/llama2.c), 260,032 parameters, with its
tokenizer and five short stories, below data/checkpoints/stories260K. The loss is the mean
cross-entropy per token in nats. Norm weights stay as they are; the embedding, which is also the
output layer, is one tensor and moves once.

    python scripts/fig_language_model.py
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.save import save_figure
from landscape.plots.style import styled
from landscape.recording.checkpoints import load_state
from landscape.tasks.folders import find_data
from landscape.tasks.llama import Llama, Tokenizer, next_token_loss, padded

STATE, TOKENIZER, STORIES = "stories260K_state_dict.pt", "tok512.bin", "tinystories_sample.txt"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--resolution", type=int, default=21, help="points per axis")
    parser.add_argument("--out", type=Path, default=Path("data/language_model.results.h5"))
    parser.add_argument("--figure", type=Path, default=Path("figures/language_model.png"))
    args = parser.parse_args()

    files = find_data("checkpoints/stories260K", [STATE, TOKENIZER, STORIES])
    model = Llama.from_state(load_state(files[STATE]), heads=8)
    tokenizer = Tokenizer(files[TOKENIZER])
    stories = files[STORIES].read_text(encoding="utf-8").split("<|endoftext|>")
    tokens = [tokenizer.encode(story.strip()) for story in stories if story.strip()]
    objective = ls.Objective(
        model, next_token_loss, padded(tokens), batch_size=1, settings={"task": "stories260K"}
    )
    centre, layout = objective.parameters(), objective.layout
    line = ls.loss_line(
        objective,
        ls.random_line(centre, layout, seed=1),
        extent=(-1, 1),
        resolution=2 * args.resolution - 1,
    )
    line.save(args.out, "line/random")
    surface = ls.loss_surface(
        objective, ls.random_plane(centre, layout, seed=1), resolution=args.resolution
    )
    surface.save(args.out, "surface/random")
    predicted, nats = sum(map(len, tokens)) - len(tokens), objective.at(centre).mean[0, 0]
    print(f"{predicted} predicted tokens: {nats:.4f} nats each; guessing: {math.log(512):.4f}")
    with styled("paper", columns=2):
        figure = Figure()
        left, right = figure.subplots(1, 2)
        ls.plot_profile(line, ax=left)
        left.axhline(math.log(512), color="0.3", linestyle=":", linewidth=0.8)
        left.annotate("guessing", (0, math.log(512)), ha="center", va="bottom", color="0.3")
        left.set_ylabel("nats per token")
        ls.plot_surface(surface, ax=right)
        for ax in (left, right):
            ax.set_title("", loc="left")
        for kind in (".png", ".pdf"):
            results = {"line/random": line, "surface/random": surface}
            save_figure(figure, args.figure.with_suffix(kind), results=results)


if __name__ == "__main__":
    main()
