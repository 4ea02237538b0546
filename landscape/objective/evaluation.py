"""Evaluation: what a restriction measured at some points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.base.shown import brief, short


@dataclass(frozen=True)
class Evaluation:
    """Metrics at some points.

    Attributes:
        metrics: Names; the first is the loss.
        mean: Means over the data, float64, shape (metrics, points). NaN and infinities are
            what the model gave.
        standard_error: Standard errors of the means as estimates over the whole data set, same
            shape; zero when the whole set was used, NaN when unknown.
        computed: Which points were measured, shape (points,); all of them unless interrupted.
        observed_error: Largest difference to single precision at a few of the points, shape
            (metrics,); None unless the precision is lower.
        shrunk: What was made smaller because memory was short, or nothing.
        covariance: Covariances between the mean losses at different points, shape (points,
            points), from `Restriction.paired`; None from other calls.
        each: What `Restriction.paired` saw of single samples on a subset, shape (metrics, points,
            samples); None on the whole data set and from other calls.
        rounding: The share of the displacement from the origin that the parameters' own types
            rounded away, shape (points,); None where they are as wide as the sums.
    """

    metrics: tuple[str, ...]
    mean: np.ndarray
    standard_error: np.ndarray
    computed: np.ndarray
    observed_error: np.ndarray | None = None
    shrunk: str = ""
    covariance: np.ndarray | None = None
    each: np.ndarray | None = None
    rounding: np.ndarray | None = None

    def __repr__(self) -> str:
        means = zip(self.metrics, self.mean, strict=True)
        return short("Evaluation", *(f"{name} {brief(mean)}" for name, mean in means))


def spread_over(points: int, count: int) -> np.ndarray:
    """Indices of a few points, spread over all."""
    return np.unique(np.linspace(0, points - 1, min(count, points)).round().astype(int))
