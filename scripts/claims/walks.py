"""Claims of "A Walk with SGD" (Xing et al. 2018, arXiv:1802.08770)."""

from __future__ import annotations

import numpy as np

import landscape as ls

from .claim import Claim, numbers
from .setting import SCRATCH, SEEDS, load, objective, recorded

MODEL = "mlp-64-32-relu-bn"
STEPS = 840
SOURCE = "Xing et al. 2018, arXiv:1802.08770"
RATES = (0.01, 0.03, 0.1, 0.3)
PAPER_RATE = 0.1


def walk() -> list[Claim]:
    """Barriers, convexity, minima and heights between consecutive SGD steps, by learning rate.

    Batch 100, momentum 0; loss on 2,000 fixed training images with their batch statistics, as in
    the paper; the last 40 steps, at the paper's rate also the first and the middle 40. The
    smallest rate is the negative control.
    """
    found = {(rate, seed): _measured(rate, seed) for rate in RATES for seed in SEEDS}
    paper = [found[PAPER_RATE, seed] for seed in SEEDS]
    crossed = [round(float(s.fraction[:, 0] @ s.segments)) for s in paper]
    total = [int(s.segments.sum()) for s in paper]
    convex = [float(s.fraction[:, 1] @ s.segments / s.segments.sum()) for s in paper]
    inside = {key: float(s.fraction[-1, 2]) for key, s in found.items()}
    bounds = [(float(s.low[-1, 2]), float(s.high[-1, 2])) for s in paper]
    heights = np.array([[found[r, s].height[-1, 1] for r in RATES] for s in SEEDS])
    errors = np.array([[_height_error(found[r, s]) for r in RATES] for s in SEEDS])
    control = [inside[RATES[0], s] for s in SEEDS]
    late = [inside[PAPER_RATE, s] for s in SEEDS]
    return [
        Claim(
            "SGD steps cross no barrier (lr .1, batch 100)", SOURCE,
            "0 segments with an inner point above both ends",
            "; ".join(f"{k} of {n}" for k, n in zip(crossed, total, strict=True)),
            not any(crossed),
        ),
        Claim(
            "The loss between two steps is roughly convex", SOURCE,
            "≥ 95 % within 1 % of their range of convex", numbers(convex, ".1%"),
            min(convex) >= 0.95,
        ),
        Claim(
            "Late segments have a minimum inside: SGD bounces above a valley floor (lr .1)", SOURCE,
            "most of the last 40 (interval of 95 % above 50 %)",
            "; ".join(
                f"{x:.0%} ({low:.0%}–{high:.0%})"
                for x, (low, high) in zip(late, bounds, strict=True)
            ),
            all(low > 0.5 for low, _ in bounds),
        ),
        Claim(
            "Negative control: at lr .01 steps are too short to reach across the valley", SOURCE,
            "fewer minima inside than at lr .1, by half at least", numbers(control, ".0%"),
            all(c <= x / 2 and x > 0 for c, x in zip(control, late, strict=True)),
        ),
        Claim(
            "The height above the floor grows with the learning rate", SOURCE,
            "median height of the last 40 segments increases over lr .01, .03, .1, .3 (± standard "
            "error of one height, from the choice of images)",
            "; ".join(
                ", ".join(f"{h:.2g} ± {e:.1g}" for h, e in zip(*pair, strict=True))
                for pair in zip(heights, errors, strict=True)
            ),
            bool((np.diff(heights, axis=1) > 0).all()),
        ),
    ]  # fmt: skip


def ladder() -> list[Claim]:
    """GD against SGD with smaller and smaller batches: angle between updates and distance."""
    batches = (None, 1000, 100, 20)
    cosine, squared = (np.zeros((len(SEEDS), len(batches))) for _ in range(2))
    for row, seed in enumerate(SEEDS):
        for column, batch in enumerate(batches):
            with recorded(
                "gd" if batch is None else "sgd",
                load(MODEL, seed=seed), lr=0.1, steps=120, batch=batch or 1, seed=seed,
            ) as run:  # fmt: skip
                path = ls.path_metrics(run)
            cosine[row, column] = np.nanmean(path.cosine[81:])
            squared[row, column] = path.squared_distance[-1]
    return [
        Claim(
            "GD bounces between valley walls, small batches do not: cos∠ of consecutive updates, "
            "steps 80–120, for GD and batches 1000, 100, 20", SOURCE,
            "increases along the row; GD below −.5",
            "; ".join(numbers(row, ".2f") for row in cosine),
            bool((np.diff(cosine, axis=1) > 0).all() and (cosine[:, 0] < -0.5).all()),
        ),
        Claim(
            "Smaller batches travel further: ‖θ_120 − θ_0‖² for GD and batches 1000, 100, 20",
            SOURCE, "batch 20 > batch 100 > GD",
            "; ".join(numbers(row, ".3g") for row in squared),
            bool((squared[:, 3] > squared[:, 2]).all() and (squared[:, 2] > squared[:, 0]).all()),
        ),
    ]  # fmt: skip


def _height_error(statistics: ls.WalkStatistics) -> float:
    assert statistics.height_error is not None
    return float(statistics.height_error[-1])


def _measured(rate: float, seed: int) -> ls.WalkStatistics:
    kept, name = SCRATCH / "walk.h5", f"lr-{rate:g}-seed-{seed}"
    if known := ls.WalkStatistics.find(kept, name):
        return known
    task = load(MODEL, seed=seed)
    measure = objective(task, samples=2000, batch_size=2000, batch_norm="batch")
    with recorded("sgd", task, lr=rate, steps=STEPS, batch=100, seed=seed) as run:
        windows = ["first", "middle", "last"] if rate == PAPER_RATE else ["last"]
        walk = ls.walk(measure, run, windows=windows)
    found = ls.walk_statistics(walk)
    found.save(kept, name)
    print(f"  {name}", flush=True)
    return found
