"""The surface around a run, measured anew at several of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from landscape.analysis.planes.extent import Extent
from landscape.analysis.planes.random import Normalization, random_plane
from landscape.analysis.surface import loss_surface
from landscape.results.affine import Plane
from landscape.results.surface import Surface

if TYPE_CHECKING:
    from landscape.base.runs.trajectory import Trajectory
    from landscape.objective.objective import Objective


def surfaces_along(
    objective: Objective,
    trajectory: Trajectory,
    *,
    steps: Sequence[int],
    plane: Plane | None = None,
    seed: int = 0,
    normalization: Normalization = "filter",
    extent: Extent = 1.0,
    resolution: int | tuple[int, int] = 31,
) -> list[Surface]:
    """Measure the surface around the state of each step: L(θ_t + α d_1 + β d_2).

    The origin moves with the run: the centre of the surface of step t is θ_t. Without `plane` the
    two directions are the same random numbers at every step, scaled to the filters of θ_t, so one
    unit is another distance at another step. With `plane` its directions are kept as they are and
    only the origin moves: one unit is the same distance everywhere.

    What it is not: a picture of the path. Two surfaces of one run share at most a line of points.

    Where the run recorded its batch-norm statistics and the objective's policy is ``frozen``,
    each surface uses those of its own state.

    Args:
        objective: What to measure, on which data.
        trajectory: A recorded run.
        steps: Optimizer steps; the nearest recorded state is taken, and named in the settings of
            its surface as ``step``.
        plane: Directions to keep; default: random ones.
        seed: Seed of the random directions.
        normalization: Of the random directions, as for `random_plane`.
        extent: As for `loss_surface`, about each state.
        resolution: As for `loss_surface`.

    Returns:
        One surface per step, in their order.

    Raises:
        ValueError: If there is no step, or `extent` is ``trajectory``.

    Source: directions after Li et al. 2018, arXiv:1712.09913, section 4.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> run = ls.Trajectory(ls.record_run(ls.Run("digits/mlp", "adam", steps=4), "adam.h5"))
    >>> surfaces = ls.surfaces_along(objective, run, steps=[0, 4], resolution=3)
    >>> [surface.loss.shape for surface in surfaces]
    [(3, 3), (3, 3)]
    """
    if not len(steps):
        raise ValueError("No step was given; name at least one.")
    if extent == "trajectory":
        raise ValueError("extent is a number or a box about each state; not 'trajectory'.")
    recorded = len(trajectory.buffers_layout) > 0 and objective.batch_norm == "frozen"
    found = []
    for index in map(trajectory.nearest, steps):
        state = trajectory.state(index)
        around = (
            random_plane(state, objective.layout, seed=seed, normalization=normalization)
            if plane is None
            else replace(plane, origin=state, explained=None, explained_null=None)
        )
        centre = {"step": int(trajectory.steps[index]), "run": trajectory.name}
        found.append(
            loss_surface(
                objective,
                replace(around, settings={**around.settings, **centre}),
                extent=extent,
                resolution=resolution,
                buffers=trajectory.buffers(index) if recorded else None,
            )
        )
    return found
