"""The loss on a plane: a surface."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from landscape.analysis.planes.extent import Extent, box_of
from landscape.analysis.planes.random import random_plane
from landscape.analysis.several import most_case
from landscape.analysis.sparing.surface import measure_sparingly
from landscape.base.progress import Interrupted, Progress
from landscape.base.provenance import fingerprint, provenance
from landscape.base.settings import devices, joined
from landscape.objective.evaluation import Evaluation, spread_over
from landscape.objective.objective import Objective
from landscape.objective.restriction import Restriction
from landscape.objective.statistics import warn_if_foreign, whose
from landscape.objective.workers.engine import Engine
from landscape.objective.workers.in_units import check_shard, in_units, key_of
from landscape.results.affine import Plane
from landscape.results.projection import Projection
from landscape.results.seeded import SeededPlane
from landscape.results.surface import Surface


def loss_surface(
    objective: Objective,
    plane: Plane | SeededPlane | None = None,
    *,
    directions: int | None = None,
    extent: Extent = 1.0,
    resolution: int | tuple[int, int] = 51,
    paths: Sequence[Projection] = (),
    margin: float = 0.15,
    resume: Surface | None = None,
    units: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
    shard: tuple[int, int] = (0, 1),
    buffers: np.ndarray | None = None,
    tolerance: float | None = None,
    budget: float | None = None,
    seed: int = 0,
) -> Surface:
    """Measure every metric on a regular grid of a plane.

    Args:
        objective: What to measure.
        plane: Where; default: two filter-normalized random directions (of `seed`) around the model
            as it is, `random_plane`.
        directions: Instead of a plane: measure so many random planes, of the seeds `seed`,
            `seed` + 1, ..., and give their mean and where 80 % of them lie; see
            `landscape.analysis.several.most_case`. Not with `resume`, `units` or a shard.
        extent: ``r`` for [-r, r]², (α_min, α_max, β_min, β_max), or ``trajectory`` for the box
            around `paths` (by default around the runs the plane was made from), widened by
            `margin`.
        resolution: Points along both axes, or (along α, along β).
        paths: Projected runs that ``extent="trajectory"`` should hold.
        margin: Share of the box added on every side for ``trajectory``.
        resume: An unfinished surface: if it is of the same plane, grid, data and settings, and up
            to three of its points have the same values today, only its missing points are
            measured; otherwise all of them.
        units: A folder that keeps what has been measured, unit by unit; after a crash the same
            call goes on where it stopped. Several machines may share it.
        engine: Whose workers measure, such as ``Processes(("cuda:0", "cuda:1"))`` or
            ``RayActors(4)``; None measures in this process.
        shard: (i, n): measure only the i-th of n parts (from 0), for job arrays; the surface then
            lacks the other parts. With a shared `units` folder any later call puts them together,
            without one `merge_surfaces` does. With a tolerance, `resume` from the merged shards
            measures what their points leave open.
        buffers: Recorded buffers to measure with, such as ``trajectory.buffers(index)``: the
            batch-norm statistics of that state; default: the model's own, which a warning says
            where they are of none of the runs that the plane was made from.
        tolerance: Accept an error of this share of the surface's range (5 to 95 % of its values;
            above it, of the height above the median), for example 0.01, and save what it allows:
            points are interpolated and samples left out. Compared with all samples at random
            points at the end; see `landscape.analysis.sparing.surface`.
        budget: Instead of a tolerance: the smallest error that this many passes over the data
            give.
        seed: Seed of the plane, where none is given, and with a tolerance or a budget of the order
            of samples and of the random points.

    Returns:
        The surface.

    Raises:
        ValueError: If the extent is empty, the resolution below two, or the plane belongs to
            another model, or the folder of units to another measurement; or if a tolerance is
            not between 0 and 1, or a budget is combined with shards.
        RuntimeError: If workers failed three times at the same points.
        Interrupted: On Ctrl-C; its `partial` is the unfinished surface, for `resume`.

    Source: Li et al. 2018, arXiv:1712.09913, section 4.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> surface = ls.loss_surface(objective, resolution=5)
    >>> middle = objective.at(objective.parameters()).mean.item()  # the model as it is
    >>> abs(float(surface.loss[2, 2]) - middle) < 1e-6
    True
    """
    if directions is not None:
        if plane is not None or resume is not None or units is not None or shard != (0, 1):
            raise ValueError("directions= makes its own planes, and measures them whole.")
        return _over_planes(
            objective, directions, seed, extent=extent, resolution=resolution, engine=engine,
            buffers=buffers, tolerance=tolerance, budget=budget,
        )  # fmt: skip
    across, up = (resolution, resolution) if isinstance(resolution, int) else resolution
    if min(across, up) < 2:
        raise ValueError(f"resolution must be at least 2 along both axes; got {across}x{up}.")
    plane = plane or random_plane(objective, seed=seed)
    plane.check_filters(objective.layout)
    warn_if_foreign(objective.problem, plane.settings, buffers)
    box = box_of(plane, extent, paths, margin)
    alpha, beta = np.linspace(box[0], box[1], across), np.linspace(box[2], box[3], up)
    grid = np.stack(np.meshgrid(alpha, beta), axis=-1).reshape(-1, 2)
    restriction = objective.along(plane, buffers=buffers)
    blank = unmeasured(objective, plane, alpha, beta, buffers=buffers)
    check_shard(shard)
    if tolerance is not None or budget is not None:
        return measure_sparingly(
            restriction, blank, grid, tolerance=tolerance, budget=budget, seed=seed,
            shard=shard, resume=resume, units=units, engine=engine,
        )  # fmt: skip
    known = blank if resume is None else _earlier(resume, blank, restriction, grid)
    missing = np.flatnonzero(~known.computed)
    with Progress("surface", len(missing)) as progress:
        try:
            found = in_units(
                restriction,
                grid[missing],
                key=key_of(grid[missing], blank.measurement),
                folder=units,
                engine=engine,
                shard=shard,
                progress=progress,
            )
        except Interrupted as stop:
            raise Interrupted(_filled(known, missing, stop.partial)) from None
    if restriction.reduced and found.observed_error is None:  # units tell none
        few = restriction(grid[missing][spread_over(len(missing), 8)])
        found = replace(found, observed_error=few.observed_error)
    whole = _filled(known, missing, found)
    told: dict[str, Any] = {"evaluation": objective.evaluation, "cost": progress.cost}
    if found.observed_error is not None:  # of the lower precision, at a few points
        error = (float(e) for e in found.observed_error)
        told["observed_error"] = dict(zip(objective.names, error, strict=True))
    where = devices(known.settings, blank.settings)
    _warn_if_flat(whole)
    return replace(
        whole,
        settings={**blank.settings, **where},
        provenance={**blank.provenance, **told},
    )


def _earlier(
    resume: Surface, blank: Surface, restriction: Restriction, grid: np.ndarray
) -> Surface:
    """An earlier measurement, if it is one of the same and still holds; else one of nothing."""
    same = resume.measured is None and not resume.differences(blank)
    return resume if same and _still_holds(resume, restriction, grid) else blank


def _over_planes(objective: Objective, count: int, seed: int, **options: Any) -> Surface:
    """Mean and band over surfaces on so many random planes."""
    if count < 2:
        raise ValueError(f"directions must be at least 2 planes; got {count}.")
    seeds = range(seed, seed + count)
    planes = [random_plane(objective, seed=each) for each in seeds]
    return most_case(
        [
            loss_surface(objective, plane, seed=each, **options)
            for each, plane in zip(seeds, planes, strict=True)
        ]
    )


def unmeasured(
    objective: Objective,
    plane: Plane | SeededPlane,
    alpha: np.ndarray,
    beta: np.ndarray,
    *,
    buffers: np.ndarray | None = None,
) -> Surface:
    """A surface of which no point was measured yet, with the settings that it will have."""
    recorded = {} if buffers is None else {"buffers": f"recorded, {fingerprint(buffers)}"}
    shape = (len(objective.names), len(beta), len(alpha))
    return Surface(
        alpha=alpha,
        beta=beta,
        metrics=objective.names,
        values=np.full(shape, np.nan),
        standard_error=np.full(shape, np.nan),
        computed=np.zeros(shape[1:], bool),
        gram=plane.gram,
        labels=plane.labels,
        explained=plane.explained,
        explained_null=plane.explained_null,
        settings=joined(
            whose(objective.problem, plane.settings, buffers), objective.settings, recorded
        ),
        provenance=provenance(plane_hash=plane.digest),
    )


def _warn_if_flat(surface: Surface) -> None:
    """Say that a surface is exactly flat: what its directions move has no effect on the loss."""
    values = surface.loss[surface.computed]
    if len(values) > 3 and np.isfinite(values).all() and np.ptp(values) == 0:
        warnings.warn(
            f"The surface is exactly flat: all {len(values)} points have the same "
            f"{surface.metrics[0]}, {values[0]:.6g}. Nothing the loss depends on moves along these "
            "directions; choose others, or a larger extent.",
            stacklevel=3,
        )


def _still_holds(surface: Surface, restriction: Restriction, grid: np.ndarray) -> bool:
    """Whether some of a surface's points have the same values when they are measured again."""
    done = np.flatnonzero(surface.computed)
    if not len(done):
        return False
    again = np.unique(done[[0, len(done) // 2, -1]])
    before = surface.values.reshape(len(surface.metrics), -1)[:, again]
    # Ways of evaluating agree to 1e-4; another loss, model or data does not.
    try:
        now = restriction(grid[again]).mean
    except Interrupted:
        raise Interrupted(surface) from None
    return np.allclose(now, before, rtol=1e-3, equal_nan=True)


def merge_surfaces(parts: Sequence[Surface]) -> Surface:
    """Put together surfaces that hold different points of one measurement.

    Args:
        parts: Surfaces of the same plane, grid, data and settings, for example all shards.

    Returns:
        One surface; where several parts hold a point, the first one's value.

    Raises:
        ValueError: If there is none, or they are of different measurements.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> halves = [ls.loss_surface(objective, resolution=3, shard=(part, 2)) for part in (0, 1)]
    >>> whole = ls.merge_surfaces(halves)
    >>> [part.computed.sum().item() for part in (*halves, whole)]
    [5, 4, 9]
    """
    if not parts:
        raise ValueError("There is no surface to merge.")
    merged = parts[0]
    for number, part in enumerate(parts[1:], start=2):
        if problem := merged.differences(part):
            raise ValueError(f"Surface {number} is another measurement than the first: {problem}.")
        merged = merged.merged(part)
    return merged


def _filled(surface: Surface, points: np.ndarray, found: Evaluation) -> Surface:
    values, errors = surface.values.copy(), surface.standard_error.copy()
    computed = surface.computed.copy()
    rows, columns = np.unravel_index(points, computed.shape)
    values[:, rows, columns] = found.mean
    errors[:, rows, columns] = found.standard_error
    computed[rows, columns] = found.computed
    rounding = surface.rounding
    if found.rounding is not None:
        rounding = np.full(computed.shape, np.nan) if rounding is None else rounding.copy()
        rounding[rows, columns] = found.rounding
    return replace(
        surface, values=values, standard_error=errors, computed=computed, rounding=rounding
    )
