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
    parts: list[Evaluation] = []
    for a in alpha:
        share = min(max(float(a), 0.0), 1.0)
        at = objective.restrict(origin, direction, buffers=(1 - share) * start + share * end)
        parts.append(at(np.array([[a]]), progress=progress))
    return (
        np.concatenate([p.mean for p in parts], axis=1),
        np.concatenate([p.standard_error for p in parts], axis=1),
    )
