"""The error observed at random points that nothing was fitted to or chosen by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.analysis.sparing.refinement import Filled, apart
from landscape.analysis.sparing.rounds import Rounds

POINTS = 30


@dataclass(frozen=True)
class Check:
    """Errors at random points measured on all samples.

    Attributes:
        points: Which points.
        values: The metrics there on all samples, shape (metrics, points).
        moments: Means and sums of squared deviations there over all samples.
        errors: Distance of the surface from them relative to its range, same shape.
        passed: Whether the 95 % quantile of the first metric's errors, relative to the scale
            that errors count against, is within the tolerance.
    """

    points: np.ndarray
    values: np.ndarray
    moments: tuple[np.ndarray, np.ndarray]
    errors: np.ndarray
    passed: bool

    def beyond(self, attempt: int) -> float:
        """Share of the points that can be off by more than all of these, with 95 % confidence.

        If a share p were, none of n random points would be with probability (1 - p)^n. The k-th
        check may be wrong in 5 % / 2^k of all cases, so that all together are in 5 % at most.
        """
        n = len(self.points)
        return 1 - (0.05 / 2**attempt) ** (1 / n) if n else 0.0

    def quantiles(self, metric: int = 0) -> tuple[float, float, float]:
        """Median, 95 % and largest of the errors."""
        if not len(self.points):
            return 0.0, 0.0, 0.0
        median, high, most = np.quantile(self.errors[metric], (0.5, 0.95, 1), method="higher")
        return float(median), float(high), float(most)


def check(
    filled: Filled,
    rounds: Rounds,
    *,
    tolerance: float,
    rng: np.random.Generator,
    points: int = POINTS,
) -> Check:
    """Measure random points on all samples and compare.

    Points that were measured on all samples already are exact, and are not drawn.

    Args:
        filled: The surface.
        rounds: Measures; what is known there is not changed.
        tolerance: Share of the scale.
        rng: Draws the points.
        points: How many.
    """
    inexact = np.flatnonzero(rounds.count < rounds.size)
    drawn = np.sort(rng.choice(inexact, min(points, len(inexact)), replace=False))
    values, moments = rounds.complete(drawn)
    flat = filled.values.reshape(len(values), -1)[:, drawn]
    wrong = apart(values, flat)
    scale = filled.scale.reshape(len(values), -1)[:, drawn]
    high = 0.0
    if len(drawn):
        high = np.quantile(wrong[0] / scale[0], 0.95, method="higher")
    return Check(drawn, values, moments, wrong / filled.span[:, None], bool(high <= tolerance))
