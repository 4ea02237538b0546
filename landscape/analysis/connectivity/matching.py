"""Weight matching: the order of units that brings two sets of weights closest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from landscape.analysis.connectivity.permutations import Group, Place, permute

Tensors = Mapping[str, np.ndarray]
Orders = dict[str, np.ndarray]

_SWEEPS = 200
_GAIN = 1e-12  # least gain that counts, relative to the norms of both networks
_KEPT_BYTES = 2**28  # scores of blocks are kept where they all fit in


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
    blocks = _Blocks(a, b, groups)
    least = _GAIN * np.sqrt(inner_product(a, a) * inner_product(b, b))
    best, reached, sweeps = [np.arange(g.units) for g in groups], -np.inf, 0
    for start in range(1 + restarts):
        orders = [generator.permutation(g.units) if start else np.arange(g.units) for g in groups]
        sweeps += _ascend(blocks, orders, generator, least)
        found = blocks.inner_product(orders)
        if found > reached:
            best, reached = orders, found
    return {g.name: order for g, order in zip(groups, best, strict=True)}, reached, sweeps


def _ascend(
    blocks: _Blocks, orders: list[np.ndarray], generator: np.random.Generator, least: float
) -> int:
    """Improve `orders` in place until no group gains more than `least`; the sweeps."""
    parts: Parts = {}
    waiting, sweeps = set(range(len(orders))), 0
    while waiting and sweeps < _SWEEPS:
        sweeps += 1
        for g in generator.permutation(len(orders)):
            if g not in waiting:
                continue
            waiting.discard(g)
            scores = blocks.scores(g, orders, parts)
            step = assigned(scores)
            gain = scores[np.arange(len(step)), step].sum() - np.trace(scores)
            if g in blocks.twice:
                gain = blocks.gain(g, orders, orders[g][step])
            if gain > least:
                orders[g] = orders[g][step]
                waiting |= blocks.changed(g, parts)
    return sweeps


Parts = dict[tuple[int, int], np.ndarray]  # by block and axis


class _Blocks:
    """Two networks as blocks: tensors whose axes the same groups order, side by side.

    With a block as (units of one group, units of another, everything else), ⟨a, π(b)⟩ is a sum
    over blocks. The scores of a group, ⟨a's unit, b's unit⟩, are a sum over its blocks, and when a
    group moves only those of the blocks that it shares with others change.

    Attributes:
        twice: Groups along two axes of one tensor, as in x + linear(x). Their scores hold the other
            axis where it was, so that what an order gains is not the sum of its scores.
    """

    def __init__(self, a: Tensors, b: Tensors, groups: Sequence[Group]) -> None:
        along: dict[str, list[tuple[int, Place]]] = {}
        for g, group in enumerate(groups):
            for place in group.places:
                if place.name in a:
                    along.setdefault(place.name, []).append((g, place))
        alike: dict[tuple[int, ...], list[str]] = {}
        for name, found in along.items():
            found.sort(key=lambda one: one[0])
            alike.setdefault(tuple(g for g, _ in found), []).append(name)
        units = [group.units for group in groups]
        self._groups = list(alike)
        self._a, self._b = (
            [
                np.concatenate([_split(of[name], along[name], units) for name in names], axis=-1)
                for names in alike.values()
            ]
            for of in (a, b)
        )
        self._of: list[list[tuple[int, int]]] = [[] for _ in groups]
        for block, axes in enumerate(alike):
            for axis, g in enumerate(axes):
                self._of[g].append((block, axis))
        self.twice = {g for axes in alike for g in axes if axes.count(g) > 1}
        self._keeps = 8 * sum(units[g] ** 2 for axes in alike for g in axes) <= _KEPT_BYTES
        self._rest = sum(float(np.vdot(a[name], b[name])) for name in a if name not in along)

    def scores(self, g: int, orders: Sequence[np.ndarray], parts: Parts) -> np.ndarray:
        """The scores of group g, shape (units, units); what `parts` holds is not computed anew."""
        total = np.zeros((len(orders[g]), len(orders[g])))
        for block, axis in self._of[g]:
            part = parts.get((block, axis))
            if part is None:
                a, b = self._a[block], self._b[block]
                for other, h in enumerate(self._groups[block]):
                    if other != axis:
                        b = b.take(orders[h], axis=other)
                one, two = (np.moveaxis(x, axis, 0).reshape(len(orders[g]), -1) for x in (a, b))
                part = one @ two.T
                if self._keeps:
                    parts[block, axis] = part
            total += part
        return total[:, orders[g]]

    def changed(self, g: int, parts: Parts) -> set[int]:
        """Forget the parts that change where group g moves; the groups whose scores they are."""
        near: set[int] = set()
        for block, own in self._of[g]:
            for axis, h in enumerate(self._groups[block]):
                if axis != own:
                    parts.pop((block, axis), None)
                    near.add(h)
        return near

    def gain(self, g: int, orders: Sequence[np.ndarray], order: np.ndarray) -> float:
        """By how much ⟨a, π(b)⟩ grows when group g takes another order."""
        moved = [order if h == g else old for h, old in enumerate(orders)]
        blocks = {block for block, _ in self._of[g]}
        return sum(self._product(k, moved) - self._product(k, orders) for k in blocks)

    def inner_product(self, orders: Sequence[np.ndarray]) -> float:
        """⟨a, π(b)⟩ over all tensors."""
        return self._rest + sum(self._product(k, orders) for k in range(len(self._a)))

    def _product(self, block: int, orders: Sequence[np.ndarray]) -> float:
        b = self._b[block]
        for axis, g in enumerate(self._groups[block]):
            b = b.take(orders[g], axis=axis)
        return float(np.vdot(self._a[block], b))


def _split(
    tensor: np.ndarray, along: Sequence[tuple[int, Place]], units: Sequence[int]
) -> np.ndarray:
    """A tensor as (units of a group, units of the next, ..., everything else)."""
    of = {place.axis: (g, place) for g, place in along}
    shape, at = [], {}
    for axis, size in enumerate(tensor.shape):
        if axis in of:
            g, place = of[axis]
            at[axis] = len(shape) + 1
            shape += [place.repeat, units[g], place.block]
        else:
            shape.append(size)
    whole = np.moveaxis(tensor.reshape(shape), [at[p.axis] for _, p in along], range(len(along)))
    return whole.reshape(*whole.shape[: len(along)], -1)
