"""The direction of fine-tuning: what is learned along it, and what is forgotten.

As Wen et al. 2024 (arXiv:2410.05192) and Xu et al. 2024 (arXiv:2410.14570) plot losses along the
displacement of a later training stage: stories260K is tuned on Shakespeare, and both losses are
measured on the line from the base model (0) to the tuned one (1) and beyond it. Right: the plane of
two task vectors (Ilharco et al. 2023, arXiv:2212.04089), the second from another tuning with new
order of the data.

Against the original: none shows a language model's two task vectors as coordinates; the
interpolation on the left is the WiSE-FT curve, with losses of two texts instead of accuracies of
two image sets.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.tasks.folders import find_data
from landscape.tasks.llama import Tokenizer
from landscape.tasks.stories import stories

LENGTH, SEQUENCES, STEPS, BATCH, RATE = 64, 160, 80, 8, 2e-3
STORIES, PLAYS = "#0072B2", "#D55E00"


def main() -> None:
    script = Script("fig_fine_tuning", __doc__)
    try:
        task, tokenizer = stories(most=1 if script.smoke else 3)
        text = find_data("tiny-shakespeare", ["input.txt"])["input.txt"].read_text()
    except FileNotFoundError as error:
        print(f"Nothing drawn, for want of the trained model or the text. {error}")
        return
    sequences = 8 if script.smoke else SEQUENCES
    plays = in_rows(tokenizer, text)[: sequences + sequences // 4]
    train, held = plays[:sequences], plays[sequences:]
    base = {name: value.clone() for name, value in task.model.state_dict().items()}
    batch = 4 if script.smoke else BATCH
    tuned = [script.run_on(
        f"stories260K tuned on Shakespeare, {sequences} sequences",
        ls.Task(restored(task.model, base), task.loss, (train,)),
        "adam", steps=STEPS, lr=RATE, batch_size=batch, seed=seed, every=None,
    ) for seed in (0, 1)]  # fmt: skip
    restored(task.model, base)
    on_stories, on_plays = (
        ls.Objective(task.model, task.loss, data, metrics=task.metrics, settings={"task": name})
        for name, data in (("three stories", task.train), ("plays, held out", (held,)))
    )
    line = ls.line_between(tuned[0].initial, tuned[0].final)
    places = 5 if script.smoke else 21
    profiles = [
        script.measured(
            f"line/{name}", lambda o=objective: ls.loss_line(o, line, resolution=places)
        )
        for name, objective in (("stories", on_stories), ("plays", on_plays))
    ]
    plane = ls.task_plane(
        tuned[0].initial, tuned[0].final, tuned[1].final, names=["order 1", "order 2"]
    )
    points = {
        "names": ["base", "order 1", "order 2", "mean"],
        "x": [0, 1, 0, 0.5],
        "y": [0, 0, 1, 0.5],
    }
    plane = replace(plane, settings={**plane.settings, "points": points})
    surface = script.measured(
        "surface/tasks",
        lambda: ls.loss_surface(
            on_plays, plane, extent=(-0.4, 1.6, -0.4, 1.6), resolution=3 if script.smoke else 17
        ),
    )
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.4))
        left, right = figure.subplots(1, 2)
        for profile, color, name in zip(
            profiles, (STORIES, PLAYS), ("stories", "Shakespeare"), strict=True
        ):
            left.plot(profile.alpha, profile.loss[0], color=color, label=name)
        for alpha, name in ((0, "base"), (1, "tuned")):
            left.axvline(alpha, color="0.6", linewidth=0.6)
            left.annotate(name, (alpha, 1.01), xycoords=("data", "axes fraction"), ha="center")
        left.set(xlabel="α, of base + α (tuned - base)", ylabel="nats per token", xlim=(-0.5, 1.5))
        left.legend(frameon=False)
        ls.plot_surface(surface, ax=right)
        right.set_title("", loc="left")
        script.save(figure, caption(profiles[0], profiles[1], surface, on_plays, tuned))


def in_rows(tokenizer: Tokenizer, text: str) -> torch.Tensor:
    """Tokens of the first speeches as rows of one length, some more than are needed."""
    speeches = text[: 4 * LENGTH * SEQUENCES].split("\n\n")
    tokens = [token for speech in speeches for token in tokenizer.encode(speech)]
    rows = len(tokens) // LENGTH
    return torch.tensor(tokens[: rows * LENGTH]).view(rows, LENGTH)


def restored(model: torch.nn.Module, state: dict[str, torch.Tensor]) -> torch.nn.Module:
    model.load_state_dict(state)
    return model


def caption(
    told: ls.Profile,
    plays: ls.Profile,
    surface: ls.Surface,
    objective: ls.Objective,
    tuned: list[ls.Trajectory],
) -> str:
    at = [int(np.abs(told.alpha - alpha).argmin()) for alpha in (0, 1)]
    best = int(plays.loss[0].argmin())
    mean = objective.at(ls.average([run.final for run in tuned])).mean[0, 0]
    alone = [float(objective.at(run.final).mean[0, 0]) for run in tuned]
    return (
        f"Tuning takes the plays from {plays.loss[0, at[0]]:.2f} to {plays.loss[0, at[1]]:.2f} "
        f"nats per token and the stories from {told.loss[0, at[0]]:.2f} to "
        f"{told.loss[0, at[1]]:.2f}; the plays' loss is least at α = {plays.alpha[best]:.2f}. "
        f"Right: plays on the plane of two task vectors; the mean of both has {mean:.3f}, "
        f"they themselves {alone[0]:.3f} and {alone[1]:.3f}."
    )


if __name__ == "__main__":
    main()
