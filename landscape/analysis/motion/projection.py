"""A run's path on a plane, and how far the run is from it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from landscape.analysis.motion.arrays import Arrays
from landscape.base.progress import Progress
from landscape.base.provenance import fingerprint, provenance
from landscape.base.settings import joined
from landscape.base.vector import layout_of
from landscape.results.affine import Plane
from landscape.results.projection import Projection

if TYPE_CHECKING:
    from landscape.base.runs.trajectory import Trajectory
    from landscape.objective.objective import Objective


def project(
    trajectory: Trajectory,
    plane: Plane,
    *,
    objective: Objective | None = None,
    every: int = 1,
    warn_below: float = 0.0,
    device: str | None = None,
) -> Projection:
    """Project a run on a plane, and measure the loss on and off it.

    Args:
        trajectory: The run.
        plane: The plane; skew and unnormalized directions are handled through its Gram matrix.
        objective: When given, the loss is measured at every shown state (with its recorded
            batch-norm statistics, where there are any and the policy is ``frozen``) and at its
            projection (with the statistics that a surface on this plane is measured with).
        every: Show every n-th state (first and last always).
        warn_below: Warn when the plane shows less than this share of the run's squared distance
            from the origin.
        device: Where to project; default: where the objective is, else the processor.

    Returns:
        The path with its residuals.

    Raises:
        ValueError: If run and plane belong to different models.
    """
    if every < 1:
        raise ValueError(f"every must be at least 1; got {every}.")
    shown = np.unique(np.append(np.arange(0, len(trajectory), every), len(trajectory) - 1))
    coordinates, residual = np.zeros((len(shown), 2)), np.zeros(len(shown))
    locate = _locator(plane, device or (str(objective.device) if objective else "cpu"))
    losses: tuple[list[float], list[float]] = ([], [])
    inside = total = 0.0
    with Progress(f"project {trajectory.name}", len(shown), unit="state") as progress:
        for row, index in enumerate(shown):
            state = trajectory.state(int(index))
            coordinates[row], residual[row] = locate(_on_plane(state, plane, objective))
            squared = float(coordinates[row] @ plane.gram @ coordinates[row])
            if np.isfinite(residual[row]):
                inside += squared
                total += squared + residual[row] ** 2
            if objective is not None:
                frozen = objective.batch_norm == "frozen"
                buffers = trajectory.buffers(int(index)) if frozen else None
                losses[0].append(float(objective.at(state, buffers=buffers).mean[0, 0]))
            progress.advance()
    if objective is not None:
        restriction = objective.restrict(plane.origin, plane.directions)
        losses[1].extend(restriction(coordinates).mean[0])
    share = inside / total if total > 0 else 1.0
    if share < warn_below:
        warnings.warn(
            f"The plane shows {100 * share:.0f} % of the squared distance of {trajectory.name!r} "
            f"from the origin, less than {100 * warn_below:.0f} %: its path is mostly elsewhere.",
            stacklevel=2,
        )
    return Projection(
        name=trajectory.name,
        optimizer=str(trajectory.run.get("optimizer", "")),
        step=trajectory.steps[shown],
        coordinates=coordinates,
        residual=residual,
        loss=np.array(losses[0]) if objective is not None else None,
        in_plane_loss=np.array(losses[1]) if objective is not None else None,
        shown=share,
        settings=joined(plane.settings, objective.settings if objective is not None else {}),
        provenance=provenance(plane_hash=fingerprint(plane.origin, plane.directions)),
    )


def _on_plane(state: np.ndarray, plane: Plane, objective: Objective | None) -> np.ndarray:
    """A state in the order of the plane; the model tells what an imported one holds besides."""
    mine, theirs = plane.layout, layout_of(state)
    if objective is not None and mine and theirs and len(mine) < len(theirs):
        state = objective.matched(state)
    return plane.matched(state)


def _locator(plane: Plane, device: str) -> Callable[[np.ndarray], tuple[np.ndarray, float]]:
    """What `Plane.coordinates` does; on a GPU with the plane held there."""
    if device == "cpu":
        return plane.coordinates
    on = Arrays(device)
    origin, axes = on.load(plane.origin[None].copy()), on.load(plane.directions.copy())

    def locate(vector: np.ndarray) -> tuple[np.ndarray, float]:
        if vector.shape != plane.origin.shape:
            return plane.coordinates(vector)  # which says what is wrong
        offset = on.load(vector[None]) - origin
        found = np.linalg.solve(plane.gram, on.fetch(on.dots(axes, offset)))
        offset = offset - on.load(found[None]) @ axes
        return found, float(np.sqrt(on.fetch(on.dots(offset, offset))[0]))

    return locate
