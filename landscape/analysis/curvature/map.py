"""The Hessian's extreme eigenvalues over a plane: where the loss is convex, and where not."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analysis.curvature.lanczos import Pairs
from landscape.analysis.curvature.spectrum import extremes_of
from landscape.analysis.curvature.units import measured_rows
from landscape.analysis.planes.extent import Extent, box_of
from landscape.base.progress import Interrupted
from landscape.base.provenance import fingerprint, provenance
from landscape.base.statistics import without
from landscape.objective.statistics import warn_if_foreign, whose
from landscape.results.affine import Plane
from landscape.results.curvature_map import CurvatureMap

if TYPE_CHECKING:
    from landscape.objective.objective import Objective
    from landscape.objective.workers.engine import Engine

_NAMES: tuple[str, ...] = (
    "largest",
    "smallest",
    "largest_residual",
    "smallest_residual",
    "in_plane 11",
    "in_plane 12",
    "in_plane 22",
    "loss",
    "products",
)
_FRESH = 0.3  # share of a random vector in a start that comes from the neighbour


def curvature_map(
    objective: Objective,
    plane: Plane,
    *,
    extent: Extent = 1.0,
    resolution: int | tuple[int, int] = 15,
    tolerance: float = 1e-2,
    seed: int = 0,
    tensors: str | None = None,
    buffers: np.ndarray | None = None,
    units: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
    shard: tuple[int, int] = (0, 1),
) -> CurvatureMap:
    """Measure λmax and λmin of the whole Hessian, and its part in the plane, on a grid.

    Args:
        objective: Whose loss.
        plane: Where.
        extent: As for `loss_surface`.
        resolution: Points along both axes, or (along α, along β).
        tolerance: Residual accepted, as for `hessian_spectrum`; eigenvalues are then known to about
            its square.
        seed: Of the random vectors.
        tensors: The block, as for `hessian_spectrum`; the part in the plane is of the block too.
        buffers: Recorded buffers to measure with.
        units: A folder that keeps what has been measured; the same call goes on from there.
        engine: Whose workers measure; None measures in this process.
        shard: (i, n): only the i-th of n parts (from 0); with `units` a later call has all.

    Returns:
        The map.

    Raises:
        ValueError: If the resolution is below two, or the folder is of another measurement.
        RuntimeError: If workers failed three times at the same points.
        Interrupted: On Ctrl-C; its `partial` is the unfinished map (go on with `units`).

    Source: Li et al. 2018, arXiv:1712.09913, section 6.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> spectrum = ls.hessian_spectrum(objective, top=2)
    >>> found = ls.curvature_map(objective, ls.eigen_plane(spectrum), resolution=3)
    >>> found.largest.round(3).tolist()[1], found.smallest.round(3).tolist()[1]
    ([100.0, 100.0, 100.0], [1.0, 1.0, 1.0])
    """
    across, up = (resolution, resolution) if isinstance(resolution, int) else resolution
    if min(across, up) < 2:
        raise ValueError(f"resolution must be at least 2 along both axes; got {across}x{up}.")
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must be between 0 and 1; got {tolerance}.")
    warn_if_foreign(objective.problem, plane.settings, buffers)
    box = box_of(plane, extent, (), 0.15)
    alpha, beta = np.linspace(box[0], box[1], across), np.linspace(box[2], box[3], up)
    grid = np.stack(np.meshgrid(alpha, beta), axis=-1)
    grid[1::2] = grid[1::2, ::-1]  # to and fro, so that the next point is a neighbour
    hashed = fingerprint(plane.origin, plane.directions)
    settings = {
        **whose(objective.problem, plane.settings, buffers),
        **objective.settings,
        "tolerance": tolerance,
        "seed": seed,
    }
    if tensors is not None:
        settings["tensors"] = tensors
    if buffers is not None:
        settings["buffers_hash"] = fingerprint(buffers)

    def result(values: np.ndarray, computed: np.ndarray, cost: dict[str, Any]) -> CurvatureMap:
        rows = np.array(values).reshape(len(_NAMES), up, across)
        known = np.array(computed).reshape(up, across)
        rows[:, 1::2], known[1::2] = rows[:, 1::2, ::-1], known[1::2, ::-1]
        named = dict(zip(_NAMES, rows, strict=True))
        return CurvatureMap(
            alpha=alpha,
            beta=beta,
            in_plane=rows[4:7],
            computed=known,
            gram=plane.gram,
            labels=plane.labels,
            settings=settings,
            provenance=provenance(plane_hash=hashed, cost=cost),
            **{name: named[name] for name in _NAMES if not name.startswith("in_plane")},
        )

    edges = _Edges(objective, plane, tolerance, seed, tensors, buffers)
    try:
        values, computed, cost = measured_rows(
            edges,
            grid.reshape(-1, 2),
            what=json.dumps(["curvature", without(settings), hashed]),
            name="curvature map",
            folder=units,
            engine=engine,
            shard=shard,
        )
    except Interrupted as stop:
        values, computed = stop.partial
        raise Interrupted(result(values, computed, {})) from None
    return result(values, computed, cost)


class _Edges:
    """Both ends of the spectrum and the part in the plane, point after point."""

    names: tuple[str, ...] = _NAMES

    def __init__(
        self,
        objective: Objective,
        plane: Plane,
        tolerance: float,
        seed: int,
        tensors: str | None,
        buffers: np.ndarray | None,
    ) -> None:
        self.objective = objective
        self._directions = plane.directions
        self._at = objective.restrict(plane.origin, plane.directions, buffers=buffers)
        self._given = tolerance, seed, tensors
        self._before: Pairs | None = None

    def begin(self) -> None:
        """Start from a random vector: what a unit finds depends on no other."""
        self._before = None

    def row(self, point: np.ndarray) -> list[float]:
        """The numbers at one point; NaN where the loss has no finite curvature."""
        tolerance, seed, tensors = self._given
        with self._at.hessian(point, tensors=tensors) as hessian:
            first, second = (hessian.block(d).astype(np.float64) for d in self._directions)
            images = hessian.matvec(first), hessian.matvec(second)
            inside = [first @ images[0], second @ images[0], second @ images[1]]
            try:
                pairs = extremes_of(
                    hessian,
                    top=1,
                    bottom=1,
                    tolerance=tolerance,
                    seed=seed,
                    start=near(self._before, hessian.shape[0], seed),
                    ties=False,
                )
            except ValueError:
                self._before = None
                return [*[np.nan] * 4, *map(float, inside), hessian.loss, hessian.count]
        self._before = pairs
        value, residual = pairs.value[[0, -1]], pairs.residual[[0, -1]]
        return [*map(float, (*value, *residual, *inside)), hessian.loss, hessian.count]


def near(pairs: Pairs | None, size: int, seed: int) -> np.ndarray | None:
    """A start from the pairs of a point nearby, with a random part that sees what they do not."""
    if pairs is None or not np.isfinite(pairs.vector).all():
        return None
    random = np.random.default_rng(seed).standard_normal(size)
    start = pairs.vector.sum(axis=0)
    return start / np.linalg.norm(start) + _FRESH * random / np.linalg.norm(random)
