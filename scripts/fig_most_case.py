"""Most-case and worst-case landscapes of a language model.

After Chen et al. 2025 (arXiv:2505.17646): what they call the most-case landscape of a large model
is a score along random Gaussian directions, none of them special; the worst case is a direction
chosen to hurt. Here both are along lines around the trained stories260K, at the same distances: ten
random directions whose entries all have one standard deviation, and up the gradient of the loss.
Left: nats per token. Right: a score of the task, the share of next tokens that are right.

Against the original: the same contrast of a flat most case and a steep worst case; a model of
260,000 parameters instead of 7 billion, tokens right instead of benchmark scores, and a band over
directions.
"""

from __future__ import annotations

import math

import numpy as np
from gallery import Script
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

import landscape as ls
from landscape.results.profile import Profile
from landscape.tasks.stories import stories

EXTENT, DIRECTIONS, RESOLUTION, STORIES = (0.0, 0.4), 10, 17, 3
MOST, WORST = "#0072B2", "#D55E00"


def main() -> None:
    script = Script("fig_most_case", __doc__)
    try:
        task, tokenizer = stories(most=1 if script.smoke else STORIES)
    except FileNotFoundError as error:
        print(f"Nothing drawn, for want of the trained model. {error}")
        return
    seeds = range(2 if script.smoke else DIRECTIONS)
    settings = {"resolution": 3 if script.smoke else RESOLUTION, "extent": EXTENT}
    objective = ls.Objective(
        task.model, task.loss, task.train, metrics=task.metrics, settings={"task": "stories260K"}
    )
    centre = objective.parameters()
    random = script.measured(
        "line/random",
        lambda: ls.loss_line(
            objective,
            [gaussian(objective, seed) for seed in seeds],
            names=[f"seed {seed}" for seed in seeds],
            **settings,
        ),
    )
    worst = script.measured("line/gradient", lambda: up_the_gradient(objective, centre, settings))
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.2), layout="constrained")
        for ax, metric, turn in zip(
            figure.subplots(1, 2), ("loss", "error"), (lambda v: v, lambda v: 1 - v), strict=True
        ):
            values = turn(metric_of(random, metric))
            low, middle, high = np.quantile(values, (0.1, 0.5, 0.9), axis=0)
            ax.fill_between(random.alpha, low, high, color=MOST, alpha=0.3, linewidth=0)
            ax.plot(random.alpha, middle, color=MOST, label=f"{len(values)} random directions")
            ax.plot(worst.alpha, turn(metric_of(worst, metric))[0], color=WORST, label="gradient")
            ax.set(xlabel="distance / norm of the weights", xlim=EXTENT)
        left, right = figure.axes
        guessing = math.log(len(tokenizer.pieces))
        left.axhline(guessing, color="0.3", linestyle=":", linewidth=0.8)
        left.annotate("guessing", (0.39, guessing), ha="right", va="bottom", color="0.3")
        left.set(ylabel="nats per token", ylim=(0, 1.6 * metric_of(random, "loss").max()))
        left.yaxis.set_major_locator(MultipleLocator(5))
        right.set(ylabel="next tokens right", ylim=(0, None))
        right.legend(frameon=False)
        script.save(figure, caption(random, worst))


def gaussian(objective: ls.Objective, seed: int) -> ls.Line:
    """A direction whose entries all have one standard deviation, as long as the weights."""
    return ls.random_line(objective, seed=seed, normalization="gaussian", ignore=())


def up_the_gradient(objective: ls.Objective, centre: np.ndarray, settings: dict) -> Profile:
    gradient = np.asarray(objective.gradient(centre), np.float64)
    scale = np.linalg.norm(centre.astype(np.float64)) / np.linalg.norm(gradient)
    return ls.loss_line(objective, ls.line_along(centre, scale * gradient), **settings)


def metric_of(profile: Profile, name: str) -> np.ndarray:
    """Values of a metric, shape (lines, points)."""
    return profile.values[:, profile.metrics.index(name)]


def basin(profile: Profile) -> float:
    """The distance at which half of the score at the centre is left, in the median."""
    score = np.median(1 - metric_of(profile, "error"), axis=0)
    left = score <= score[0] / 2
    return float(profile.alpha[left.argmax()]) if left.any() else math.inf


def caption(random: Profile, worst: Profile) -> str:
    score = 1 - metric_of(random, "error")
    return (
        f"{metric_of(random, 'loss')[0, 0]:.3f} nats per token and {100 * score[0, 0]:.1f} % of "
        f"next tokens right at the trained weights. Half of that score is left at "
        f"{basin(random):.2f} of the weights' norm along the median of {len(score)} random "
        f"directions, and at {basin(worst):.2f} up the gradient. Band: 80 % of the directions."
    )


if __name__ == "__main__":
    main()
