"""Measure along a segment, with the batch-norm statistics recorded at its two ends."""

from __future__ import annotations

import numpy as np

from landscape.analysis.sparing.rounds import Rounds
from landscape.analysis.sparing.samples import Samples
from landscape.base.progress import Progress
from landscape.base.vector import Vector, layout_of
from landscape.objective.objective import Evaluation, Objective

Ends = tuple[np.ndarray, np.ndarray]


def measured(
    objective: Objective,
    origin: np.ndarray,
    direction: np.ndarray,
    alpha: np.ndarray,
    *,
    buffers: Ends | None = None,
    paired: bool = False,
    tolerance: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Metrics at origin + α · direction.

    Args:
        objective: What to measure.
        origin: Shape (P,).
        direction: Shape (1, P).
        alpha: Places, shape (points,).
        buffers: Floating-point buffers at α = 0 and 1, interpolated between and held constant
            beyond (a variance must stay positive); None leaves buffers to the objective.
        paired: Whether to measure how the errors at different places go together.
        tolerance: Leave out samples as far as the first metric's error of 95 % stays within this
            share of its range along the segment (5 to 95 %); not `paired`, see `sparing`.
        seed: Seed of the order of samples, with a tolerance.
        progress: Told of each finished point.

    Returns:
        Means, standard errors and, if `paired`, covariances.
    """
    coordinates, start, moves = alpha[:, None], None, None
    if buffers is not None:  # a second coordinate moves the buffers only
        start, end = (b.astype(np.float64) for b in buffers)
        moves = Vector(np.stack([np.zeros_like(start), end - start]), layout_of(start))
        coordinates = np.stack([alpha, alpha.clip(0, 1)], axis=1)
    at = objective.restrict(origin, direction, buffers=start, buffer_directions=moves)
    if tolerance is None:
        return (at.paired if paired else at)(coordinates, progress=progress)
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must be between 0 and 1, a share; got {tolerance}.")
    samples = Samples(at, coordinates, seed=seed)
    mean, error = _sparingly(samples, tolerance)
    return Evaluation(at.names, mean, error, np.ones(len(alpha), bool))


def _sparingly(samples: Samples, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Metrics, on as many samples as the tolerance asks, and their standard errors."""
    points = np.arange(len(samples.coordinates))
    rounds, before = Rounds(samples, len(points)), -1
    rounds.begin(points)
    while rounds.spent != before:  # the range is known better with every round
        before = rounds.spent
        loss = rounds.known(points)[0][0]
        finite = loss[np.isfinite(loss)]
        span = np.ptp(np.quantile(finite, (0.05, 0.95))) if len(finite) else 0.0
        rounds.reach(points, np.full(len(points), tolerance * max(span, 1e-30)))
    values, deviation = samples.metrics(points, rounds.mean, rounds.m2, rounds.count)
    return values, samples.standard_error(deviation, rounds.count)


def describe_buffers(objective: Objective, *, recorded: bool) -> str:
    """Which buffers a result was measured with, for its settings."""
    if objective.batch_norm == "recalibrated":
        return "recalibrated at every point"
    return "recorded, interpolated" if recorded else "the model's"
