"""The loss along straight lines."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from landscape.analysis.fixed import warn_of_statistics
from landscape.analysis.places import Places
from landscape.analysis.planes.random import random_line
from landscape.analysis.segment import Ends, describe_buffers
from landscape.base.progress import Interrupted, Progress
from landscape.base.provenance import provenance
from landscape.base.settings import joined, of_all
from landscape.base.statistics import without
from landscape.objective.objective import Objective
from landscape.objective.statistics import known_with, warn_if_foreign, whose
from landscape.objective.workers.engine import Engine
from landscape.results.affine import Line
from landscape.results.construction import Construction
from landscape.results.profile import Profile
from landscape.results.seeded import SeededLine


def loss_line(
    objective: Objective,
    lines: Line | SeededLine | Sequence[Line | SeededLine] | None = None,
    *,
    directions: int | None = None,
    names: Sequence[str] | None = None,
    extent: tuple[float, float] = (-0.5, 1.5),
    resolution: int = 101,
    buffers: Sequence[Ends] | None = None,
    tolerance: float | None = None,
    seed: int = 0,
    units: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
    shard: tuple[int, int] = (0, 1),
) -> Profile:
    """Measure every metric along one or several lines, at common coordinates.

    Args:
        objective: What to measure.
        lines: Where, for example `line_between(trajectory.initial, trajectory.final)`.
        directions: Instead of lines: so many random directions around the model as it is, of the
            seeds `seed`, `seed` + 1, ...; `Profile.band` and figures show their median and where
            80 % of them lie ("most-case" landscapes, Chen et al. 2025, arXiv:2505.17646).
        names: One per line; default: numbers.
        extent: First and last coordinate.
        resolution: Number of points.
        buffers: For each line the recorded buffers at 0 and at 1, such as
            ``(trajectory.buffers(0), trajectory.buffers(-1))``: batch-norm statistics are then
            interpolated with the weights (and held beyond the ends). None uses the model's,
            which a warning says where they are not those of both ends.
        tolerance: Leave out samples as far as the loss's error of 95 % stays within this share of
            its range along the line (5 to 95 %).
        seed: Seed of the order of samples, with a tolerance, and the first of `directions`.
        units: A folder that keeps what has been measured, unit by unit; after a crash the same
            call goes on where it stopped. Several machines may share it.
        engine: Whose workers measure, such as ``Processes(("cuda:0", "cuda:1"))``; None measures
            in this process.
        shard: (i, n): measure only the i-th of n parts of every line (from 0); not with a
            tolerance. The profile then lacks the places of the others, unless they are in the same
            `units`.

    Returns:
        One profile per line. Lines of several seeds have a `Profile.band`.

    Raises:
        ValueError: If there is no line or no place in the shard, the extent is empty, the
            resolution below two, or the folder of units is of another measurement.
        RuntimeError: If workers failed three times at the same places.
        Interrupted: On Ctrl-C; nothing is kept but in `units`.

    Source: Goodfellow et al. 2015, arXiv:1412.6544.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> line = ls.line_between(objective.parameters(), 0 * objective.parameters())
    >>> profile = ls.loss_line(objective, line, extent=(0, 1), resolution=3)
    >>> profile.loss[0].round(3).tolist()  # ½ Σ h_i (1 - α)²
    [124.091, 31.023, 0.0]
    """
    if (lines is None) == (directions is None):
        raise ValueError("Give lines, or how many random directions=, and not both.")
    if lines is None:
        lines = [random_line(objective, seed=seed + k) for k in range(directions or 0)]
    lines = list(lines) if isinstance(lines, Sequence) else [lines]
    names = [str(i + 1) for i in range(len(lines))] if names is None else list(names)
    if not lines or len(names) != len(lines):
        raise ValueError(f"Got {len(lines)} lines and {len(names)} names; give one name per line.")
    if buffers is not None and len(buffers) != len(lines):
        raise ValueError(f"Got {len(lines)} lines and {len(buffers)} pairs of buffers.")
    if not extent[0] < extent[1] or resolution < 2:
        raise ValueError(f"extent {extent} with {resolution} points is empty; give at least two.")
    for line in lines:
        line.check_filters(objective.layout)
    if tolerance is not None and shard != (0, 1):
        raise ValueError("A tolerance is for whole lines: give no shard.")
    if tolerance is not None and not 0 < tolerance < 1:
        raise ValueError(f"tolerance must be between 0 and 1, a share; got {tolerance}.")
    alpha = np.linspace(*extent, resolution)
    told: dict[str, Any] = {"buffers": describe_buffers(objective, recorded=buffers is not None)}
    if tolerance is not None:
        told |= {"tolerance": tolerance, "order_seed": seed}
    where = _with_statistics(objective, lines, given=buffers is not None)
    settings = {**joined(of_all(where), objective.settings), **told}
    folder = None if units is None else Path(units)
    ends = [None] * len(lines) if buffers is None else list(buffers)
    places = Places(objective, lines, ends, None if folder is None else without(settings))
    with Progress("line", len(lines) * resolution) as progress:
        try:
            if tolerance is None:
                found = places.measured(
                    alpha, folder=folder, engine=engine, shard=shard, progress=progress
                )
            else:
                found = places.measured_sparingly(
                    alpha, tolerance, seed=seed, folder=folder, engine=engine
                )
        except Interrupted:
            raise Interrupted from None
    done = np.all([line.computed for line in found], axis=0)
    if not done.any():
        raise ValueError(f"There are fewer units than shards: none is in {shard}; ask for fewer.")
    shares = [line.rounding for line in found]
    return Profile(
        alpha=alpha[done],
        metrics=objective.names,
        values=np.stack([line.mean[:, done] for line in found]),
        standard_error=np.stack([line.standard_error[:, done] for line in found]),
        names=tuple(names),
        label=lines[0].labels[0],
        rounding=_stacked(shares, done),
        settings=settings,
        provenance=provenance(evaluation=objective.evaluation, cost=progress.cost),
    )


def _with_statistics(
    objective: Objective, lines: Sequence[Any], *, given: bool
) -> list[dict[str, Any]]:
    """Settings of lines, which say whose batch-norm statistics are used; warns of those of others.

    Args:
        objective: What measures.
        lines: Where.
        given: Whether the buffers of the ends are given.
    """
    if given:
        return [without(line.settings) for line in lines]
    for line in lines:
        warn_if_foreign(objective.problem, line.settings, stacklevel=4)
    between = [line for line in lines if "between" in (Construction.of(line.settings).kind or "")]
    if any(len(known_with(line.settings)) < 2 for line in between):
        warn_of_statistics(objective, "both ends of a line and all between", stacklevel=4)
    return [whose(objective.problem, line.settings) for line in lines]


def _stacked(shares: Sequence[np.ndarray | None], done: np.ndarray) -> np.ndarray | None:
    """What rounding took on every line; None where one does not tell."""
    known = [share[done] for share in shares if share is not None]
    return np.stack(known) if known and len(known) == len(shares) else None
