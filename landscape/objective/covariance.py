"""Paired points: how the errors of means go together when all points see the same samples.

On a subset the losses at two neighbouring points are both too high or both too low, so the error
of their difference is much smaller than that of either. It needs the values of single samples,
which the plain strategy sees and the sums of the others do not tell.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.objective.strategies.sequential import one_by_one
from landscape.objective.strategies.work import Batches, Work


def measure_paired(work: Work, coordinates: np.ndarray, batches: Batches) -> tuple[Tensor, Tensor]:
    """Sums as every strategy makes them, and the values of single samples.

    Args:
        work: The borrowed model and its points.
        coordinates: Shape (points, K).
        batches: The samples.

    Returns:
        Sums, shape (metrics, points, 6), and the values of single samples, float64, shape (metrics,
        points, samples); NaN for a metric that does not tell samples apart. For one of sums and
        weights R = Σ s / Σ w they are R + (s - R w) / w̄: their mean is R, and errors of their mean
        are those of R to first order (ratio estimator; Cochran 1977, Sampling Techniques,
        section 6.4).
    """
    shape = (len(work.metrics), len(coordinates), sum(samples for _, samples in batches))
    values = torch.full(shape, torch.nan, dtype=torch.float64)
    weights = torch.ones_like(values)
    filled = np.zeros(shape[:2], int)
    weighted = set()

    def keep(metric: int, point: int, value: Any, count: int) -> None:
        each = value if isinstance(value, tuple) else (value,)
        if any(not isinstance(v, Tensor) or v.shape != (count,) for v in each):
            return
        here = slice(filled[metric, point], filled[metric, point] + count)
        values[metric, point, here] = each[0].to(values)
        if len(each) == 2:
            weights[metric, point, here] = each[1].to(weights)
            weighted.add(metric)
        filled[metric, point] = here.stop

    with one_by_one(work, work.place, each=keep) as measure:
        sums = measure(coordinates, batches)
    for metric in weighted:
        found, weight = values[metric], weights[metric]
        ratio = found.sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True)
        values[metric] = ratio + (found - ratio * weight) / weight.mean(dim=1, keepdim=True)
    return sums, values


def covariance_of_means(values: np.ndarray, *, population: float) -> np.ndarray:
    """Covariances between the means at different points, as estimates over a population.

    The square roots of the diagonal are the standard errors of the means.

    Args:
        values: Values of single samples, shape (points, samples).
        population: Samples they were drawn from, without replacement; infinite for a stream.

    Returns:
        Shape (points, points); NaN where single samples are unknown or there is one only.

    >>> covariance_of_means(np.array([[1.0, 3.0], [2.0, 4.0]]), population=4).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    points, size = values.shape
    if size < 2:
        return np.full((points, points), np.nan)
    with np.errstate(invalid="ignore", over="ignore"):  # a diverged state is not finite
        centred = values - values.mean(axis=1, keepdims=True)
        # Every pair is summed in one order: where two points have the same values, the variance of
        # their difference is 0, which a matrix product rounds to 1e-16 of either on some machines.
        products = np.stack([(centred * row).sum(axis=1) for row in centred])
        return products / (size - 1) / size * (1 - size / population)
