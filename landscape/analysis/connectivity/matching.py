"""Weight matching: the order of units that brings two sets of weights closest."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from landscape.analysis.connectivity.permutations import Group, Place, permute

Tensors = Mapping[str, np.ndarray]
Orders = dict[str, np.ndarray]

_SWEEPS = 200
_GAIN = 1e-12  # least gain that counts, relative to the norms of both networks
_KEPT_BYTES = 2**28  # the scores of single tensors are kept where they all fit in


def inner_product(a: Tensors, b: Tensors) -> float:
    """Σ ⟨a, b⟩ over all tensors."""
    return float(sum(np.vdot(a[name], b[name]) for name in a))


def ordered(b: Tensors, groups: Sequence[Group], orders: Orders) -> dict[str, np.ndarray]:
    """The tensors of `b` with the units of every group in their order."""
    found = dict(b)
    for group in groups:
        found = permute(found, group, orders[group.name])
    return found


def assigned(scores: np.ndarray) -> np.ndarray:
    """The order of b's units that gives the highest sum of scores[a's unit, b's unit]."""
    return linear_sum_assignment(scores, maximize=True)[1]


def match_weights(
    a: Tensors, b: Tensors, groups: Sequence[Group], *, restarts: int, seed: int
) -> tuple[Orders, float, int]:
    """Coordinate ascent on ⟨a, π(b)⟩, from the identity and from random orders; the best counts.

    Every group is matched in turn with all others held; one is visited again only after a group
    that shares a tensor with it has moved. A move counts when it gains in double precision.

    Args:
        a: Tensors by name, in double precision.
        b: Those that are permuted.
        groups: What may be permuted.
        restarts: Starts from random orders, after that from the identity.
        seed: Of these orders, and of those in which groups are visited.

    Returns:
        The orders, ⟨a, π(b)⟩, and the sweeps of all starts.

    Source: Ainsworth et al. 2023, arXiv:2209.04836, algorithm 1.
    """
    generator = np.random.default_rng(seed)
    best: tuple[Orders, float] | None = None
    begun, sweeps = _Scores(a, b, groups), 0
    least = _GAIN * np.sqrt(inner_product(a, a) * inner_product(b, b))
    for start in range(1 + restarts):
        orders = {
            g.name: generator.permutation(g.units) if start else np.arange(g.units) for g in groups
        }
        reached, taken = _ascend(begun, groups, orders, generator, least)
        sweeps += taken
        if best is None or reached > best[1]:
            best = orders, reached
    assert best is not None
    return (*best, sweeps)


def _ascend(
    start: _Scores,
    groups: Sequence[Group],
    orders: Orders,
    generator: np.random.Generator,
    least: float,
) -> tuple[float, int]:
    """Improve `orders` in place until no group gains by `least`; the inner product and sweeps."""
    scores = start.moved(orders)
    waiting, sweeps = set(range(len(groups))), 0
    while waiting and sweeps < _SWEEPS:
        sweeps += 1
        for i in generator.permutation(len(groups)):
            if i not in waiting:
                continue
            waiting.discard(i)
            each = scores.of(i)
            order = assigned(each)
            if scores.gain(i, each, order) > least:
                waiting |= scores.move(i, order)
                orders[groups[i].name] = orders[groups[i].name][order]
    return scores.inner_product(), sweeps


class _Scores:
    """⟨a's unit, b's unit⟩ of every group, while b is permuted.

    A group's scores are a sum over its tensors. When a group moves, its own scores move with it,
    and of the other groups' only the parts over a tensor that moved are computed anew.

    Args:
        a: Tensors by name.
        b: Those that are permuted.
        groups: What may be permuted.
    """

    def __init__(self, a: Tensors, b: Tensors, groups: Sequence[Group]) -> None:
        self._a, self._b, self._groups = a, dict(b), groups
        self._places = [[p for p in group.places if p.name in a] for group in groups]
        self._readers: dict[str, list[tuple[int, Place]]] = {}
        for i, places in enumerate(self._places):
            for place in places:
                self._readers.setdefault(place.name, []).append((i, place))
        # Groups along two axes of one tensor, as in x + linear(x): their scores hold the other axis
        # where it was, so that what an order gains is not the sum of its scores.
        pairs = Counter((i, p.name) for i, places in enumerate(self._places) for p in places)
        self._twice = {i for (i, _), count in pairs.items() if count > 1}
        size = sum(len(p) * g.units**2 for p, g in zip(self._places, groups, strict=True))
        self._keeps = 8 * size <= _KEPT_BYTES
        self._split: dict[tuple[int, Place], np.ndarray] = {}  # of a, which stays
        self._parts: dict[tuple[int, Place], np.ndarray] = {}

    def moved(self, orders: Orders) -> _Scores:
        """The same networks, b with its units in these orders."""
        found = copy.copy(self)
        found._b, found._parts = ordered(self._b, self._groups, orders), {}
        return found

    def of(self, i: int) -> np.ndarray:
        """The scores of group i, shape (units, units)."""
        parts = [self._part(i, place) for place in self._places[i]]
        return np.sum(parts, axis=0) if parts else np.zeros((self._groups[i].units,) * 2)

    def gain(self, i: int, scores: np.ndarray, order: np.ndarray) -> float:
        """By how much ⟨a, b⟩ grows when group i, with these scores, takes this order."""
        if i not in self._twice:
            return float(scores[np.arange(len(order)), order].sum() - np.trace(scores))
        names = {place.name for place in self._places[i]}
        a, b = ({name: of[name] for name in names} for of in (self._a, self._b))
        return inner_product(a, permute(b, self._groups[i], order)) - inner_product(a, b)

    def move(self, i: int, order: np.ndarray) -> set[int]:
        """Permute the units of group i; the groups that may gain by it."""
        self._b = permute(self._b, self._groups[i], order)
        near: set[int] = set()
        for place in self._places[i]:
            if (i, place) in self._parts:
                self._parts[i, place] = self._parts[i, place][:, order]
        for place in self._places[i]:
            for reader in self._readers[place.name]:
                if reader != (i, place):
                    near.add(reader[0])
                    self._parts.pop(reader, None)
        return near

    def inner_product(self) -> float:
        """Σ ⟨a, b⟩ as b is ordered now."""
        return inner_product(self._a, self._b)

    def _part(self, i: int, place: Place) -> np.ndarray:
        """The scores of a group over one of its tensors."""
        if (i, place) in self._parts:
            return self._parts[i, place]
        units, first = self._groups[i].units, self._split.get((i, place))
        if first is None:
            first = place.split(self._a[place.name], units)
        part = first @ place.split(self._b[place.name], units).T
        if self._keeps:
            self._split[i, place], self._parts[i, place] = first, part
        return part
