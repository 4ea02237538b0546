"""Measure along a segment, with the batch-norm statistics recorded at its two ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landscape.analysis.fast.rounds import Rounds
from landscape.analysis.fast.samples import Samples
from landscape.progress import Progress

if TYPE_CHECKING:
    from landscape.objective import Evaluation, Objective

Ends = tuple[np.ndarray, np.ndarray]


def measured(
    objective: Objective,
    origin: np.ndarray,
    direction: np.ndarray,
    alpha: np.ndarray,
    *,
    buffers: Ends | None = None,
    tolerance: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Metrics at origin + α · direction.

    Args:
        objective: What to measure.
        origin: Shape (P,).
        direction: Shape (1, P).
        alpha: Places, shape (points,).
        buffers: Floating-point buffers at α = 0 and 1, interpolated between and held constant
            beyond (a variance must stay positive); None leaves buffers to the objective.
        tolerance: Leave out samples as far as the first metric's error of 95 % stays within this
            share of its range along the segment (5 to 95 %); not with `buffers`.
        seed: Seed of the order of samples.
        progress: Told of each finished point.

    Returns:
        Means and standard errors, shape (metrics, points).
    """
    if tolerance is not None and buffers is None:
        return _sparingly(objective, origin, direction, alpha, tolerance, seed, progress)
    if buffers is None:
        found = objective.restrict(origin, direction)(alpha[:, None], progress=progress)
        return found.mean, found.standard_error
    start, end = (b.astype(np.float64) for b in buffers)
    parts: list[Evaluation] = []
    for a in alpha:
        share = min(max(float(a), 0.0), 1.0)
        at = objective.restrict(origin, direction, buffers=(1 - share) * start + share * end)
        parts.append(at(np.array([[a]]), progress=progress))
    return (
        np.concatenate([p.mean for p in parts], axis=1),
        np.concatenate([p.standard_error for p in parts], axis=1),
    )


def _sparingly(
    objective: Objective,
    origin: np.ndarray,
    direction: np.ndarray,
    alpha: np.ndarray,
    tolerance: float,
    seed: int,
    progress: Progress | None,
) -> tuple[np.ndarray, np.ndarray]:
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must be between 0 and 1, a share; got {tolerance}.")
    samples = Samples(objective, origin, direction, alpha[:, None], seed=seed, progress=progress)
    rounds, points = Rounds(samples, len(alpha)), np.arange(len(alpha))
    rounds.begin(points)
    before = -1
    while rounds.spent != before:  # the range is known better with every round
        before = rounds.spent
        loss = rounds.known(points)[0][0]
        finite = loss[np.isfinite(loss)]
        span = np.ptp(np.quantile(finite, (0.05, 0.95))) if len(finite) else 0.0
        rounds.reach(points, np.full(len(points), tolerance * max(span, 1e-30)))
    values, deviation = samples.metrics(points, rounds.mean, rounds.m2, rounds.count)
    return values, samples.standard_error(deviation, rounds.count)
