"""Barriers between all pairs of networks, from one list of points."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analysis.connectivity.families import EXPECTATION, family_of
from landscape.analysis.connectivity.pairs import Align, Network, Pairs
from landscape.analysis.fixed import check_frozen, uses_stored_statistics, warn_of_statistics
from landscape.analysis.segment import describe_buffers
from landscape.base.progress import Interrupted, Progress
from landscape.base.provenance import provenance
from landscape.base.runs.trajectory import Trajectory
from landscape.base.settings import joined
from landscape.objective.matched import matched_buffers
from landscape.objective.statistics import own_buffers
from landscape.objective.workers.engine import Engine
from landscape.objective.workers.in_units import in_units, key_of
from landscape.results.barriers import Barriers
from landscape.results.words import is_gain

if TYPE_CHECKING:
    from landscape.objective.objective import Objective


def barriers(
    objective: Objective,
    networks: Sequence[Trajectory | np.ndarray],
    *,
    names: Sequence[str] | None = None,
    buffers: Sequence[np.ndarray] | None = None,
    resolution: int = 25,
    align: Align | None = None,
    repair: bool = False,
    units: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
) -> Barriers:
    """Measure every pair of networks on the straight line between them.

    Each network is measured once, each of the n (n - 1) / 2 lines between them at its
    ``resolution - 2`` inner places. On a subset of the data all points see the same samples, and
    the errors of the barriers are those of differences.

    Args:
        objective: What to measure, on which data. A barrier is a rise, so that metrics should be
            small where a network is good: an error, not an accuracy.
        networks: Recorded runs, of which the last state counts, or flat parameter vectors.
        names: One per network; default: the runs' names, or numbers.
        buffers: For vectors, their floating-point buffers; runs bring those they recorded. With
            ``batch_norm="frozen"`` they are interpolated with the weights.
        resolution: Places on each line, both ends included; at least three.
        align: Permute the units of the second network of every pair onto the first before the line
            is drawn: ``weights`` or ``activations``, methods of `ls.align`, or a function
            ``align(objective, a, b)`` that returns an object with ``vector`` and ``buffers``.
            Every pair is aligned by itself, which shows weak connectivity only (Sharma et al.
            2024, arXiv:2404.06498): one network may be permuted differently in every pair. For
            strong connectivity pass the networks of `align_many`.
        repair: Restore the statistics of the units at every inner place (REPAIR, Jordan et al.
            2022, arXiv:2211.08403); for a network with batch norm, measure with
            ``batch_norm="recalibrated"``, which does the same.
        units: A folder that keeps what has been measured, pair by pair; after a crash the same
            call goes on where it stopped. The ends are then measured with each pair.
        engine: Whose workers measure the pairs, such as `Processes`; None: this process.

    Returns:
        Values and heights of all lines.

    Raises:
        ValueError: If there are fewer than two networks, names do not fit, or the resolution is
            below three, or the folder of units belongs to another measurement.
        RuntimeError: If workers failed three times at the same pair.

    Source: Frankle et al. 2020, arXiv:1912.05671; Entezari et al. 2022, arXiv:2110.06296.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> import numpy as np
    >>> ends = [np.full(10, -1.0, "float32"), np.full(10, 1.0, "float32")]
    >>> found = ls.barriers(objective, ends, names=["left", "right"], resolution=5)
    >>> found.height("entezari2022").tolist()
    [0.0]
    """
    if not isinstance(resolution, int | np.integer) or resolution < 3:
        raise ValueError(
            f"resolution counts both ends and must be a whole number, at least 3; got "
            f"{resolution!r}."
        )
    _warn_of_gains(objective.names)
    found = _networks(objective, list(networks), names, buffers)
    pairs = np.array(list(combinations(range(len(found)), 2)))
    alpha = np.linspace(0, 1, resolution)
    recorded = all(n.buffers is not None for n in found)
    if not recorded:
        found = _with_own_buffers(objective, found, align)
    moving = objective.batch_norm == "frozen" and all(n.buffers is not None for n in found)
    measured = Pairs(objective, found, alpha, align=align, moving=moving, repair=repair)
    count = len(found) + len(pairs) * (resolution - 2)
    if units is None and engine is None:
        values, covariance, cost = _in_turn(measured, pairs)
    else:
        count = len(pairs) * resolution
        values, covariance, cost = _in_units(measured, pairs, units, engine)
    policy = {"alignment": _described(objective, align), "repair": repair}
    return Barriers(
        names=tuple(network.name for network in found),
        pair=pairs,
        alpha=alpha,
        metrics=objective.names,
        values=values,
        covariance=covariance,
        settings=joined(
            objective.settings,
            {"buffers": describe_buffers(objective, recorded=moving and recorded), **policy},
        ),
        provenance=provenance(evaluation=objective.evaluation, cost=cost, evaluations=count),
    )


def _in_turn(measured: Pairs, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Values and covariances of all lines, each network measured once; and the cost."""
    inner, count = len(measured.alpha) - 2, len(measured.networks)
    lines = []
    with Progress("barriers", count + len(pairs) * inner) as progress:
        try:
            ends = [measured.end(k, progress) for k in range(count)]
            for i, j in pairs.tolist():
                lines.append(measured.line(i, j, (ends[i], ends[j]), progress))
        except Interrupted:
            raise Interrupted from None
    values, covariance = (np.stack(part) for part in zip(*lines, strict=True))
    return values, covariance, progress.cost


def _in_units(
    measured: Pairs,
    pairs: np.ndarray,
    folder: str | os.PathLike[str] | None,
    engine: Engine | None,
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """The same, pair by pair, kept in a folder or measured by workers."""
    places = pairs.astype(np.float64)
    with Progress("barriers", len(pairs), unit="pair") as progress:
        try:
            found = in_units(
                measured, places, key=key_of(places, json.dumps(measured.said())), folder=folder,
                engine=engine, progress=progress,
            )  # fmt: skip
        except Interrupted:
            raise Interrupted from None
    return *measured.lines(found.mean), progress.cost


def _warn_of_gains(metrics: Sequence[str]) -> None:
    gains = [name for name in metrics if is_gain(name)]
    if gains:
        warnings.warn(
            f"A barrier is how far a metric rises, and {', '.join(gains)} of a better network is "
            "higher: measure an error in its place, such as 1 - accuracy.",
            stacklevel=3,
        )


def _networks(
    objective: Objective,
    networks: Sequence[Trajectory | np.ndarray],
    names: Sequence[str] | None,
    buffers: Sequence[np.ndarray] | None,
) -> list[Network]:
    runs = [n if isinstance(n, Trajectory) else None for n in networks]
    if names is None:
        named = iter(run_names([run for run in runs if run is not None]))
        names = [str(k) if run is None else next(named) for k, run in enumerate(runs, 1)]
    if len(networks) < 2 or len(names) != len(networks):
        raise ValueError(
            f"Got {len(networks)} networks and {len(names)} names; give at least two networks, and "
            "one name for each."
        )
    if buffers is not None and (len(buffers) != len(networks) or any(runs)):
        raise ValueError(
            f"Got {len(networks)} networks and {len(buffers)} buffers; give one for each vector, "
            "and none for runs, which bring their own."
        )
    if buffers is None and not any(runs):
        warn_of_statistics(objective, "all networks", networks)
    for run in filter(None, runs):
        check_frozen(objective, run)
    held = list(buffers or [None] * len(networks))
    held = [
        given.buffers(-1) if isinstance(given, Trajectory) else own
        for given, own in zip(networks, held, strict=True)
    ]
    return [
        Network(
            name,
            objective.matched(given.final if isinstance(given, Trajectory) else given),
            matched_buffers(objective.problem, own, moves=False),
        )
        for name, given, own in zip(names, networks, held, strict=True)
    ]


def _with_own_buffers(
    objective: Objective, networks: list[Network], align: Align | None
) -> list[Network]:
    """Networks not all of which have buffers, with the model's where these follow the units.

    Raises:
        ValueError: If the statistics of some batch norms are known.
    """
    without = [network.name for network in networks if network.buffers is None]
    if uses_stored_statistics(objective) and len(without) < len(networks):
        raise ValueError(
            f"No batch-norm statistics are known of {', '.join(without)}, but those of the others "
            "are: give the buffers of all, or Objective(..., batch_norm='recalibrated')."
        )
    if align is None or not objective.buffers_layout.size:
        return networks
    return [
        replace(network, buffers=own_buffers(objective.problem).astype(np.float32))
        for network in networks
    ]


def run_names(runs: Sequence[Trajectory]) -> list[str]:
    """The runs' names; where two are alike, with those of their files."""
    names = [run.name for run in runs]
    if len(set(names)) == len(names):
        return names
    return [f"{run.name} ({run.path.stem})" for run in runs]


def _described(objective: Objective, align: Align | None) -> str:
    if align is None:
        return "none"
    how = f"{align if isinstance(align, str) else 'given'}, each pair by itself"
    return f"{how}; {EXPECTATION}" if family_of(objective.model) else how
