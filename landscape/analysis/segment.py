"""Measure along a segment, with the batch-norm statistics recorded at its two ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landscape.progress import Progress

if TYPE_CHECKING:
    from landscape.objective import Objective

Ends = tuple[np.ndarray, np.ndarray]


def measured(
    objective: Objective,
    origin: np.ndarray,
    direction: np.ndarray,
    alpha: np.ndarray,
    *,
    buffers: Ends | None = None,
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
        progress: Told of each finished point.

    Returns:
        Means and standard errors, shape (metrics, points).
    """
    if buffers is None:
        found = objective.restrict(origin, direction)(alpha[:, None], progress=progress)
        return found.mean, found.standard_error
    start, end = (b.astype(np.float64) for b in buffers)
    mean = np.empty((len(objective.names), len(alpha)))
    error = np.empty_like(mean)
    inside = (alpha >= 0) & (alpha <= 1)
    for places, held, moving in (
        (inside, start, (end - start)[None]),
        (alpha < 0, start, None),
        (alpha > 1, end, None),
    ):
        if places.any():
            at = objective.restrict(origin, direction, buffers=held, buffer_directions=moving)
            found = at(alpha[places, None], progress=progress)
            mean[:, places], error[:, places] = found.mean, found.standard_error
    return mean, error
