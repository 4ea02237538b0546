"""The claim about convexity around the published ResNet-56 pair, on a small grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fig_skip_connections import NETS, objective_of

import landscape as ls

from .claim import Claim, numbers
from .setting import SCRATCH

RESOLUTION, SAMPLES, TOLERANCE = 5, 16, 5e-2  # in the paper 51 points and 50,000 images


def measured(
    objective: ls.Objective, *, size: int = RESOLUTION, tolerance: float = TOLERANCE,
    units: Path | None = None,
) -> ls.CurvatureMap:  # fmt: skip
    """λmin and λmax on the plane of two random, filter-normalized directions."""
    plane = ls.random_plane(objective.parameters(), objective.layout)
    return ls.curvature_map(objective, plane, resolution=size, tolerance=tolerance, units=units)


def convexity() -> list[Claim]:
    """Both nets; about seven minutes. No row where their files are not on this computer."""
    try:
        objectives = {name: objective_of(name, SAMPLES) for name in NETS}
    except FileNotFoundError as error:
        print(f"Left out, for want of the published networks or CIFAR-10. {error}")
        return []
    ratios = [
        measured(objective, units=SCRATCH / f"convexity-{name.replace(' ', '-')}").ratio
        for name, objective in objectives.items()
    ]
    middle = [float(np.nanmedian(ratio)) for ratio in ratios]
    high = [float(np.mean(ratio > 0.1)) for ratio in ratios]
    return [
        Claim(
            "Around the minimum the loss of ResNet-56 is farther from convex without shortcuts "
            f"than with them (the published nets; here {RESOLUTION} x {RESOLUTION} points, "
            f"{SAMPLES} images)",
            "Li et al. 2018, arXiv:1712.09913, section 6",
            "median |λmin/λmax| over the plane larger without than with shortcuts",
            f"without, with: {numbers(middle[::-1])}; above .1 at "
            f"{high[1]:.0%}, {high[0]:.0%} of the points",
            middle[1] > middle[0],
        )
    ]
