"""How wide is the basin in which a model still does what it does: the score of a safety landscape.

After Peng et al. 2024 (arXiv:2405.17374): a score along layer-normalized Gaussian directions, norm
layers fixed, at places from -0.5 to 0.5, and its mean there, the VISAGE of a model; theirs is
the share of harmful requests that a model refuses. Here the score is the share of next tokens of
three stories that are right, and it is compared between the trained stories260K and the same after
a few steps of tuning on Shakespeare: a model may lose the basin before it loses the score at its
centre. Right: the same on the plane of the first two directions, around the trained model.

Against the original: the same basin and its edge along random directions; a model of 260,000
parameters and tokens instead of safety scores.
"""

from __future__ import annotations

import numpy as np
import torch
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.tasks.folders import find_data
from landscape.tasks.stories import stories

DIRECTIONS, PLACES, EXTENT = 5, 11, (-0.5, 0.5)
COLORS = ("#0072B2", "#E69F00", "#D55E00")


def main() -> None:
    script = Script("fig_safety_basin", __doc__)
    try:
        task, tokenizer = stories(most=1 if script.smoke else 3)
        text = find_data("tiny-shakespeare", ["input.txt"])["input.txt"].read_text()
    except FileNotFoundError as error:
        print(f"Nothing drawn, for want of the trained model or the text. {error}")
        return
    steps = (0, 2, 4) if script.smoke else (0, 10, 60)
    tokens = [token for part in text[:40_000].split("\n\n") for token in tokenizer.encode(part)]
    rows = torch.tensor(tokens[: len(tokens) // 64 * 64]).view(-1, 64)
    run = script.run_on(
        "stories260K tuned on Shakespeare, 64 tokens",
        ls.Task(task.model, task.loss, (rows,)),
        "adam", steps=steps[-1], lr=1e-3, batch_size=8, every=2 if script.smoke else 10,
    )  # fmt: skip
    profiles = [
        script.measured(f"line/{k}", lambda k=k: around(script, task, run, k)) for k in steps
    ]
    ls.restore(task.model, run, 0)
    objective = objective_of(task)
    surface = script.measured(
        "surface/random",
        lambda: ls.loss_surface(
            objective,
            ls.random_plane(objective, seed=0, normalization="layer"),
            extent=EXTENT[1], resolution=3 if script.smoke else 2 * PLACES - 1,
        ),
    )  # fmt: skip
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.3), layout="constrained")
        left, right = figure.subplots(1, 2)
        for profile, step, color in zip(profiles, steps, COLORS, strict=True):
            score = 100 * score_of(profile)
            low, middle, high = np.quantile(score, (0.1, 0.5, 0.9), axis=0)
            left.fill_between(profile.alpha, low, high, color=color, alpha=0.2, linewidth=0)
            label = f"{step} steps of tuning" if step else "as trained"
            left.plot(profile.alpha, middle, color=color, label=f"{label}: {score.mean():.1f} %")
        left.set(xlabel="distance / norm of each tensor", xlim=EXTENT, ylim=(0, 110))
        left.set(ylabel="next tokens right, %")
        left.legend(frameon=False, loc="upper center", title="mean over the places")
        ls.plot_surface(surface, metric="error", ax=right)
        right.set_title("", loc="left")
        script.save(figure, caption(profiles, steps))


def objective_of(task: ls.Task) -> ls.Objective:
    return ls.Objective(
        task.model, task.loss, task.train, metrics=task.metrics, settings={"task": "stories260K"}
    )


def around(script: Script, task: ls.Task, run: ls.Trajectory, step: int) -> ls.Profile:
    """The score along random directions around a state."""
    ls.restore(task.model, run, step)
    objective, seeds = objective_of(task), range(2 if script.smoke else DIRECTIONS)
    lines = [ls.random_line(objective, seed=seed, normalization="layer") for seed in seeds]
    return ls.loss_line(
        objective, lines, names=[f"seed {s}" for s in seeds], extent=EXTENT,
        resolution=3 if script.smoke else PLACES,
    )  # fmt: skip


def score_of(profile: ls.Profile) -> np.ndarray:
    """Share of next tokens that are right, shape (directions, places)."""
    return 1 - profile.values[:, profile.metrics.index("error")]


def caption(profiles: list[ls.Profile], steps: tuple[int, ...]) -> str:
    parts = []
    for profile, step in zip(profiles, steps, strict=True):
        each = 100 * score_of(profile).mean(axis=1)
        spread = each.std(ddof=1) / np.sqrt(len(each))
        centre = 100 * score_of(profile)[0, len(profile.alpha) // 2]
        parts.append(
            f"{step} steps: {centre:.1f} % at the centre, {each.mean():.1f} ± {spread:.1f}"
        )
    return (
        f"Share of next tokens right at the centre, and its mean over {len(profiles[0].alpha)} "
        f"places and {len(profiles[0].names)} layer-normalized directions (± standard error over "
        f"directions). Tuned for {'; '.join(parts)} %. Bands: 80 % of the directions."
    )


if __name__ == "__main__":
    main()
