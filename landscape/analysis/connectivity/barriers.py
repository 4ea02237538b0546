"""Barriers between all pairs of networks, from one list of points."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analysis.connectivity.alignment import Method
from landscape.analysis.connectivity.alignment import align as match
from landscape.analysis.connectivity.families import EXPECTATION, family_of
from landscape.analysis.connectivity.repair import repair as repaired
from landscape.analysis.fixed import check_frozen, uses_stored_statistics, warn_of_statistics
from landscape.analysis.segment import describe_buffers
from landscape.base.progress import Interrupted, Progress
from landscape.base.provenance import provenance
from landscape.base.runs.trajectory import Trajectory
from landscape.base.settings import joined
from landscape.objective.covariance import covariance_of_means
from landscape.objective.matched import matched_buffers
from landscape.objective.statistics import own_buffers
from landscape.results.barriers import Barriers

if TYPE_CHECKING:
    from landscape.objective.objective import Evaluation, Objective

Align = Method | Callable[..., Any]

_GAINS = ("acc", "accuracy", "auc", "bleu", "f1", "precision", "r2", "recall", "top1", "top5")


@dataclass(frozen=True)
class _Network:
    name: str
    vector: np.ndarray
    buffers: np.ndarray | None


def barriers(
    objective: Objective,
    networks: Sequence[Trajectory | np.ndarray],
    *,
    names: Sequence[str] | None = None,
    buffers: Sequence[np.ndarray] | None = None,
    resolution: int = 25,
    align: Align | None = None,
    repair: bool = False,
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

    Returns:
        Values and heights of all lines.

    Raises:
        ValueError: If there are fewer than two networks, names do not fit, or the resolution is
            below three.

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
    count = len(found) + len(pairs) * (resolution - 2)
    recorded = all(n.buffers is not None for n in found)
    if not recorded:
        found = _with_own_buffers(objective, found, align)
    moving = objective.batch_norm == "frozen" and all(n.buffers is not None for n in found)
    aligned = _aligner(objective, align)
    lines = []
    with Progress("barriers", count) as progress:
        try:
            ends = [_at(objective, network, moving, progress) for network in found]
            for i, j in pairs:
                way = _Line(objective, found[i], aligned(found[i], found[j]), moving, repair)
                inner = way.measured(alpha[1:-1], progress)
                lines.append(
                    _line([ends[i], *inner, ends[j]], population=objective.data.population)
                )
        except Interrupted:
            raise Interrupted from None
    values, covariance = (np.stack(part) for part in zip(*lines, strict=True))
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
        provenance=provenance(
            evaluation=objective.evaluation, cost=progress.cost, evaluations=count
        ),
    )


def _warn_of_gains(metrics: Sequence[str]) -> None:
    gains = [name for name in metrics if name.lower() in _GAINS]
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
) -> list[_Network]:
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
        _Network(
            name,
            objective.matched(given.final if isinstance(given, Trajectory) else given),
            matched_buffers(objective.problem, own, moves=False),
        )
        for name, given, own in zip(names, networks, held, strict=True)
    ]


def _with_own_buffers(
    objective: Objective, networks: list[_Network], align: Align | None
) -> list[_Network]:
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


@dataclass(frozen=True)
class _Line:
    """The straight line between two networks, and how its inner places are measured."""

    objective: Objective
    first: _Network
    second: _Network
    moving: bool
    repair: bool

    def measured(self, alpha: np.ndarray, progress: Progress) -> list[Evaluation]:
        if self.repair:
            found = repaired(self.objective, self.first.vector, self.second.vector, alpha)
            return [
                _at(self.objective, _Network("", point, None), False, progress) for point in found
            ]
        origin = self.first.vector
        direction = self.second.vector.astype(np.float64) - origin
        start = moves = None
        if self.moving and self.first.buffers is not None and self.second.buffers is not None:
            start = self.first.buffers.astype(np.float64)
            moves = self.second.buffers.astype(np.float64)[None] - start
        at = self.objective.restrict(
            origin, direction[None], buffers=start, buffer_directions=moves
        )
        return [at.paired(alpha[:, None], progress=progress)]


def _at(objective: Objective, network: _Network, moving: bool, progress: Progress) -> Evaluation:
    point = objective.restrict(
        network.vector,
        np.zeros((0, network.vector.size)),
        buffers=network.buffers if moving else None,
    )
    return point.paired(np.zeros((1, 0)), progress=progress)


def _line(parts: Sequence[Evaluation], *, population: float) -> tuple[np.ndarray, np.ndarray]:
    """Values of a line, shape (metric, alpha), and their covariances."""
    values = np.concatenate([part.mean for part in parts], axis=1)
    metrics, points = values.shape
    covariance = np.zeros((metrics, points, points))
    seen = [part.each for part in parts if part.each is not None]
    if not seen:  # the whole data set
        return values, covariance
    each = np.concatenate(seen, axis=1)
    # Weight decay, which no sample changes, stands behind the metrics.
    for m, samples in enumerate(each):
        covariance[m] = covariance_of_means(samples, population=population)
    if metrics > len(each):
        covariance[-1] = covariance[0]
    return values, covariance


def _aligner(objective: Objective, align: Align | None) -> Callable[[_Network, _Network], _Network]:
    """From two networks to the second one, permuted onto the first."""
    if align is None:
        return lambda first, second: second

    def permuted(first: _Network, second: _Network) -> _Network:
        if callable(align):
            found = align(objective, first.vector, second.vector)
            if not (hasattr(found, "vector") and hasattr(found, "buffers")):
                raise ValueError(
                    f"align returned a {type(found).__name__}; it is to return an object with a "
                    "vector and its buffers (or None), as ls.align does."
                )
        else:
            found = match(
                objective, first.vector, second.vector, buffers=second.buffers, method=align
            )
        return _Network(second.name, objective.matched(found.vector), found.buffers)

    return permuted


def _described(objective: Objective, align: Align | None) -> str:
    if align is None:
        return "none"
    how = f"{align if isinstance(align, str) else 'given'}, each pair by itself"
    return f"{how}; {EXPECTATION}" if family_of(objective.model) else how
