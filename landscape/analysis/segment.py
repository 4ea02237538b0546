"""Measure along a segment, with the batch-norm statistics recorded at its two ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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
    paired: bool = False,
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
        progress: Told of each finished point.

    Returns:
        Means, standard errors and, if `paired`, covariances.
    """
    if buffers is None:
        at, coordinates = objective.restrict(origin, direction), alpha[:, None]
    else:  # a second coordinate moves the buffers only
        start, end = (b.astype(np.float64) for b in buffers)
        at = objective.restrict(
            origin,
            np.concatenate([direction, np.zeros_like(direction)]),
            buffers=start,
            buffer_directions=np.stack([np.zeros_like(start), end - start]),
        )
        coordinates = np.stack([alpha, alpha.clip(0, 1)], axis=1)
    return (at.paired if paired else at)(coordinates, progress=progress)


def describe_buffers(objective: Objective, *, recorded: bool) -> str:
    """Which buffers a result was measured with, for its settings."""
    if objective.batch_norm == "recalibrated":
        return "recalibrated at every point"
    return "recorded, interpolated" if recorded else "the model's"
