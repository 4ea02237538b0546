"""A run's path on a plane, and how far the run is from it."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from landscape.analysis.motion.arrays import Arrays
from landscape.base.progress import Interrupted, Progress
from landscape.base.provenance import fingerprint, provenance
from landscape.base.runs.trajectory import Trajectory
from landscape.base.settings import joined
from landscape.base.statistics import KEY, without
from landscape.base.vector import layout_of
from landscape.objective.matched import matched_buffers
from landscape.objective.objective import Objective
from landscape.objective.statistics import own_buffers, warn_if_foreign, whose
from landscape.objective.workers.engine import Engine
from landscape.objective.workers.in_units import in_units, key_of
from landscape.objective.workers.rows import Rows
from landscape.results.affine import Plane
from landscape.results.construction import Construction
from landscape.results.projection import Projection


def project(
    trajectory: Trajectory,
    plane: Plane,
    *,
    objective: Objective | None = None,
    every: int = 1,
    warn_below: float = 0.0,
    device: str | None = None,
    units: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
    shard: tuple[int, int] = (0, 1),
) -> Projection:
    """Project a run on a plane, and measure the loss on and off it.

    Of the run one state at a time is held; where losses are measured also what the model computes
    with, and the plane on its device: the number of states makes no difference.

    Args:
        trajectory: The run.
        plane: The plane; skew and unnormalized directions are handled through its Gram matrix.
        objective: When given, the loss is measured at every shown state (with its recorded
            batch-norm statistics, where there are any and the policy is ``frozen``) and at its
            projection (with the statistics that a surface on this plane is measured with: those
            of the model, which a warning says where this plane's only run has others).
        every: Show every n-th state (first and last always).
        warn_below: Warn when the plane shows less than this share of the run's squared distance
            from the origin.
        device: Where to project; default: where the objective is, else the processor.
        units: A folder that keeps what has been measured, unit by unit; after a crash the same
            call goes on where it stopped. Several machines may share it.
        engine: Whose workers measure, such as ``Processes(("cuda:0", "cuda:1"))``, each of which
            reads the run; None measures in this process.
        shard: (i, n): only the i-th of n parts of the states (from 0). The path then lacks the
            states of the others, unless they are in the same `units`.

    Returns:
        The path with its residuals.

    Raises:
        ValueError: If run and plane belong to different models, the folder of units is of another
            measurement, or no state is in the shard.
        RuntimeError: If workers failed three times at the same states.
        Interrupted: On Ctrl-C; nothing is kept but in `units`.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> task = ls.load_task("function/quadratic")
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> plane = ls.pca_plane(run)
    >>> path = ls.project(run, plane, objective=objective)
    >>> path.coordinates.shape, bool(path.residual.max() < 0.3)
    ((9, 2), True)
    """
    if every < 1:
        raise ValueError(f"every must be at least 1; got {every}.")
    shown = np.unique(np.append(np.arange(0, len(trajectory), every), len(trajectory) - 1))
    settings = without(plane.settings)
    if objective is not None:
        settings = joined(whose(objective.problem, plane.settings), objective.settings)
    hashed = fingerprint(plane.origin, plane.directions)
    folder, said = None if units is None else Path(units), ""
    states = _States(trajectory, plane, objective, device)
    if folder is not None:
        ends = [fingerprint(trajectory.state(int(i))) for i in (0, shown[len(shown) // 2], -1)]
        said = json.dumps(["projection", without(settings), hashed, ends])
    where = shown.astype(np.float64)[:, None]
    with Progress(f"project {trajectory.name}", len(shown), unit="state") as progress:
        try:
            rows = in_units(
                states, where, key=key_of(where, said), folder=folder, engine=engine, shard=shard,
                progress=progress,
            )  # fmt: skip
            done = np.flatnonzero(rows.computed)
            if not len(done):
                raise ValueError(
                    f"There are fewer units than shards: none is in {shard}; ask for fewer."
                )
            shown, found = shown[done], rows.mean[:, done]
            coordinates, residual = np.ascontiguousarray(found[:2].T), found[2].copy()
            inside = None
            if objective is not None:
                inside = in_units(
                    objective.restrict(plane.origin, plane.directions),
                    coordinates,
                    key=key_of(coordinates, said),
                    folder=folder / "plane" if folder and len(done) == len(where) else None,
                    engine=engine,
                ).mean[0]
        except Interrupted:
            raise Interrupted from None
    share = _shown_of(coordinates, residual, plane)
    if share < warn_below:
        warnings.warn(
            f"The plane shows {100 * share:.0f} % of the squared distance of {trajectory.name!r} "
            f"from the origin, less than {100 * warn_below:.0f} %: its path is mostly elsewhere.",
            stacklevel=2,
        )
    if objective is not None and objective.batch_norm == "frozen":
        settings |= _statistics(objective, trajectory, plane, shown)
    return Projection(
        name=trajectory.name,
        optimizer=str(trajectory.run.get("optimizer", "")),
        step=trajectory.steps[shown],
        coordinates=coordinates,
        residual=residual,
        loss=found[3].copy() if objective is not None else None,
        in_plane_loss=inside,
        shown=share,
        settings=settings,
        provenance=provenance(plane_hash=hashed),
    )


def _statistics(
    objective: Objective, trajectory: Trajectory, plane: Plane, shown: np.ndarray
) -> dict[str, str]:
    """At which state of the run the model's buffers were recorded; a warning where at none."""
    if not len(trajectory.buffers_layout):
        return {}
    made = Construction.of(plane.settings)
    alone = len(made.runs or ()) == 1
    own = own_buffers(objective.problem)
    if alone and len(shown) > 1 and made.origin != "initial":
        shown = shown[1:]  # a fresh model holds those of the start
    for index in shown[::-1] if alone else shown[-1:]:  # most often it is the last
        held_then = matched_buffers(objective.problem, trajectory.buffers(int(index)), moves=False)
        if held_then is None:
            return {}
        if np.array_equal(held_then, own, equal_nan=True):
            return {KEY: f"{trajectory.name}, step {trajectory.steps[index]}"}
    if alone:
        warnings.warn(
            f"The model does not hold the batch-norm statistics of {trajectory.name!r}, and a "
            "surface on this plane is measured with the model's: call ls.restore(model, "
            "trajectory) before.",
            stacklevel=3,
        )
    else:
        warn_if_foreign(objective.problem, plane.settings, stacklevel=4)
    return {}


def _shown_of(coordinates: np.ndarray, residual: np.ndarray, plane: Plane) -> float:
    """The plane's share of a run's squared distance from the origin."""
    inside = total = 0.0
    for place, rest in zip(coordinates, residual, strict=True):
        squared = float(place @ plane.gram @ place)
        if np.isfinite(rest):
            inside += squared
            total += squared + rest**2
    return inside / total if total > 0 else 1.0


class _States(Rows):
    """Where states of a run lie on a plane, how far from it, and the loss there."""

    def __init__(
        self,
        trajectory: Trajectory,
        plane: Plane,
        objective: Objective | None,
        device: str | None,
    ) -> None:
        self.objective, self._plane, self._device = objective, plane, device
        self._trajectory: Trajectory | None = trajectory
        self._path = Path(trajectory.path).absolute()
        loss = () if objective is None else (objective.names[0],)
        self.names = ("alpha", "beta", "residual", *loss)
        self._locate: Callable[[np.ndarray], tuple[np.ndarray, float]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What workers are sent: not the open file; each reads for itself."""
        return {**self.__dict__, "_trajectory": None, "_locate": None}

    def row(self, place: np.ndarray, samples: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of one state, and no errors."""
        if self._locate is None:
            own = "cpu" if self.objective is None else str(self.objective.device)
            self._locate = _locator(self._plane, self._device or own)
        self._trajectory = self._trajectory or Trajectory(self._path)
        number, objective = int(place[0]), self.objective
        state = self._trajectory.state(number)
        where, residual = self._locate(_on_plane(state, self._plane, objective))
        found = [*where, residual]
        if objective is not None:
            frozen = objective.batch_norm == "frozen"
            buffers = self._trajectory.buffers(number) if frozen else None
            found.append(objective.on(samples).at(state, buffers=buffers).mean[0, 0])
        return np.array(found, np.float64), np.zeros(len(found))


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
