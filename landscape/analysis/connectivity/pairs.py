"""Pairs of networks: each on the straight line between them, one row of numbers a pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analysis.connectivity.alignment import Method
from landscape.analysis.connectivity.alignment import align as match
from landscape.analysis.connectivity.repair import repair as repaired
from landscape.base.progress import Progress
from landscape.base.provenance import fingerprint
from landscape.objective.covariance import covariance_of_means
from landscape.objective.workers.rows import Rows

if TYPE_CHECKING:
    from landscape.objective.objective import Evaluation, Objective

Align = Method | Callable[..., Any]


@dataclass(frozen=True)
class Network:
    """A network under its name; buffers only where they are known of all."""

    name: str
    vector: np.ndarray
    buffers: np.ndarray | None


class Pairs(Rows):
    """What gives the values on the line between two of several networks, and their covariances.

    Args:
        objective: What is measured.
        networks: The networks; a pair is two of their numbers.
        alpha: Places on every line, both ends included.
        align: How a pair's second network is permuted onto its first, or None.
        moving: Whether buffers are interpolated with the weights.
        repair: Whether the statistics of the units are restored at every inner place.
    """

    def __init__(
        self,
        objective: Objective,
        networks: Sequence[Network],
        alpha: np.ndarray,
        *,
        align: Align | None,
        moving: bool,
        repair: bool,
    ) -> None:
        self.objective, self.networks, self.alpha = objective, networks, alpha
        self.tuning = objective.tuning
        self._align: Align | None = align
        self._moving, self._repair = moving, repair
        places = range(len(alpha))
        values = [f"{m} at {i}" for m in objective.names for i in places]
        both = [f"{m} at {i}, {j}" for m in objective.names for i in places for j in places]
        self.names: tuple[str, ...] = (*values, *both)

    def end(self, number: int, progress: Progress | None = None) -> Evaluation:
        """One of the networks."""
        return _at(self.objective, self.networks[number], self._moving, progress)

    def line(
        self, i: int, j: int, ends: tuple[Evaluation, Evaluation], progress: Progress | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Values of a pair, shape (metric, alpha), and their covariances, between known ends."""
        first, second = self.networks[i], self.networks[j]
        second = aligned(self.objective, self._align, first, second)
        way = _Line(self.objective, first, second, self._moving, self._repair)
        inner = way.measured(self.alpha[1:-1], progress)
        return _line([ends[0], *inner, ends[1]], population=self.objective.data.population)

    def row(self, place: np.ndarray, samples: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Values and covariances of one pair, flat."""
        i, j = place.astype(int).tolist()
        values, covariance = self.line(i, j, (self.end(i), self.end(j)))
        found = np.concatenate([values.ravel(), covariance.ravel()])
        return found, np.zeros_like(found)

    def lines(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and covariances of all pairs, from rows of shape (numbers, pairs)."""
        metrics, size = len(self.objective.names), len(self.alpha)
        values, covariance = rows.T[:, : metrics * size], rows.T[:, metrics * size :]
        return (
            values.reshape(-1, metrics, size),
            covariance.reshape(-1, metrics, size, size),
        )

    def said(self) -> list[Any]:
        """What tells these pairs from others; where they are computed makes no difference."""
        settings = {k: v for k, v in self.objective.settings.items() if k != "device"}
        how = getattr(self._align, "__qualname__", self._align)  # of a function
        hashed = [
            fingerprint(n.vector, np.zeros(0) if n.buffers is None else n.buffers)
            for n in self.networks
        ]
        return [
            "barriers",
            settings,
            self.alpha.tolist(),
            str(how),
            self._moving,
            self._repair,
            hashed,
        ]


@dataclass(frozen=True)
class _Line:
    """The straight line between two networks, and how its inner places are measured."""

    objective: Objective
    first: Network
    second: Network
    moving: bool
    repair: bool

    def measured(self, alpha: np.ndarray, progress: Progress | None) -> list[Evaluation]:
        if self.repair:
            found = repaired(self.objective, self.first.vector, self.second.vector, alpha)
            return [
                _at(self.objective, Network("", point, None), False, progress) for point in found
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


def _at(
    objective: Objective, network: Network, moving: bool, progress: Progress | None
) -> Evaluation:
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


def aligned(objective: Objective, align: Align | None, first: Network, second: Network) -> Network:
    """The second network, permuted onto the first."""
    if align is None:
        return second
    if callable(align):
        found = align(objective, first.vector, second.vector)
        if not (hasattr(found, "vector") and hasattr(found, "buffers")):
            raise ValueError(
                f"align returned a {type(found).__name__}; it is to return an object with a "
                "vector and its buffers (or None), as ls.align does."
            )
    else:
        found = match(objective, first.vector, second.vector, buffers=second.buffers, method=align)
    return Network(second.name, objective.matched(found.vector), found.buffers)
