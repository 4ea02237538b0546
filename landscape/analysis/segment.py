"""The objective along a line, with the batch-norm statistics recorded at its two ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from landscape.analysis.sparing.rounds import Rounds
from landscape.analysis.sparing.samples import Samples
from landscape.base.vector import Vector, layout_of
from landscape.objective.objective import Objective
from landscape.objective.restriction import Restriction

Ends = tuple[np.ndarray, np.ndarray]


def along(
    objective: Objective,
    origin: Any,
    direction: Any,
    buffers: Ends | None = None,
) -> tuple[Restriction, Callable[[np.ndarray], np.ndarray]]:
    """The objective on the line origin + α · direction.

    Args:
        objective: What to measure.
        origin: Shape (P,), or a vector that is not held; None: the model's own weights.
        direction: Shape (1, P), or a sequence of one vector that is not held.
        buffers: Floating-point buffers at α = 0 and 1, interpolated between and held constant
            beyond (a variance must stay positive); None leaves buffers to the objective.

    Returns:
        What measures points, and the coordinates of places α of shape (points,).
    """
    if buffers is None:
        return objective.restrict(origin, direction), lambda alpha: alpha[:, None]
    start, end = (b.astype(np.float64) for b in buffers)
    # A second coordinate moves the buffers only.
    moves = Vector(np.stack([np.zeros_like(start), end - start]), layout_of(start))
    at = objective.restrict(origin, direction, buffers=start, buffer_directions=moves)
    return at, lambda alpha: np.stack([alpha, alpha.clip(0, 1)], axis=1)


def measured_sparingly(samples: Samples, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Metrics along a line, leaving out samples, and their standard errors.

    Args:
        samples: What measures the points of the line.
        tolerance: Samples are left out as far as the first metric's error of 95 % stays within
            this share of its range along the line (5 to 95 %).
    """
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
