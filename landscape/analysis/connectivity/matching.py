"""Weight matching: the order of units that brings two sets of weights closest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from landscape.analysis.connectivity.permutations import Group, Place, permute

Tensors = Mapping[str, np.ndarray]
Orders = dict[str, np.ndarray]

_SWEEPS = 200
_GAIN = 1e-12  # least gain that counts, relative to the norms of both networks
_KEPT_BYTES = 2**28  # scores of blocks are kept where they all fit in


def inner_product(a: Tensors, b: Tensors) -> float:
    """Σ ⟨a, b⟩ over all tensors, in double precision."""
    return sum(_vdot(a[name], b[name]) for name in a)


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
) -> tuple[Orders, int]:
    """Coordinate ascent on ⟨a, π(b)⟩, from the identity and from random orders; the best counts.

    Every group is matched in turn with all others held; one is visited again only after a group
    that shares a tensor with it has moved. Scores are computed in the tensors' own precision, and
    a move counts when it gains in double precision.

    Args:
        a: Tensors by name.
        b: Those that are permuted.
        groups: What may be permuted.
        restarts: Starts from random orders, after that from the identity.
        seed: Of these orders, and of those in which groups are visited.

    Returns:
        The orders, and the sweeps of all starts.

    Source: Ainsworth et al. 2023, arXiv:2209.04836, algorithm 1.
    """
    generator = np.random.default_rng(seed)
    blocks = _Blocks(a, b, groups)
    best, reached, sweeps = [], -np.inf, 0
    for start in range(1 + restarts):
        orders = [generator.permutation(g.units) if start else np.arange(g.units) for g in groups]
        sweeps += _ascend(blocks, orders, generator)
        found = blocks.inner_product(orders) if restarts else 0.0
        if found > reached:
            best, reached = orders, found
    return {g.name: order for g, order in zip(groups, best, strict=True)}, sweeps


def _ascend(blocks: _Blocks, orders: list[np.ndarray], generator: np.random.Generator) -> int:
    """Improve `orders` in place until no group gains; the sweeps."""
    parts: Parts = {}
    waiting, sweeps = set(range(len(orders))), 0
    while waiting and sweeps < _SWEEPS:
        sweeps += 1
        for g in generator.permutation(len(orders)).tolist():
            if g not in waiting:
                continue
            waiting.discard(g)
            scores = blocks.scores(g, orders, parts)
            step = assigned(scores)
            if blocks.gain(g, scores, step, orders) > _GAIN * blocks.scale:
                orders[g] = orders[g][step]
                waiting |= blocks.changed(g, parts)
    return sweeps


@dataclass(frozen=True, eq=False)
class _Side:
    """A block as one of its groups sees it: (its units, units of other groups, all the rest)."""

    block: int
    others: tuple[int, ...]
    a: np.ndarray
    b: np.ndarray
    rounding: float

    def moved(self, orders: Sequence[np.ndarray]) -> np.ndarray:
        """b, the other groups in their orders."""
        b = self.b
        for axis, h in enumerate(self.others, 1):
            b = b.take(orders[h], axis=axis)
        return b


Parts = dict[_Side, np.ndarray]


class _Blocks:
    """Two networks as blocks: tensors whose axes the same groups order, side by side.

    ⟨a, π(b)⟩ is a sum over blocks. The scores of a group, ⟨a's unit, b's unit⟩, are a sum over its
    blocks, and when a group moves only those of the blocks that it shares with others change.

    Attributes:
        scale: The product of both networks' norms.
    """

    def __init__(self, a: Tensors, b: Tensors, groups: Sequence[Group]) -> None:
        along: dict[str, list[tuple[int, Place]]] = {}
        for g, group in enumerate(groups):
            for place in group.places:
                if place.name in a:
                    along.setdefault(place.name, []).append((g, place))
        alike: dict[tuple[int, ...], list[str]] = {}
        for name, found in along.items():
            alike.setdefault(tuple(g for g, _ in found), []).append(name)
        units = [group.units for group in groups]
        self._sides: list[list[_Side]] = [[] for _ in groups]
        self._whole: list[tuple[int, _Side]] = []  # a group of every block, and its side
        norms: list[list[float]] = []
        for number, (axes, names) in enumerate(alike.items()):
            one, two = (
                np.concatenate([_split(of[n], along[n], units) for n in names], axis=-1)
                for of in (a, b)
            )
            norms.append([float(np.vdot(x, x)) ** 0.5 for x in (one, two)])
            # A bound of the error of a sum of scores (Higham 2002, section 3.1).
            unit = float(np.finfo(np.result_type(one, two)).eps)
            rounding = 2 * one[0].size * unit * math.prod(norms[-1])
            for axis, g in enumerate(axes):
                turned = (axis, *(k for k in range(one.ndim) if k != axis))
                first, second = (np.ascontiguousarray(x.transpose(turned)) for x in (one, two))
                others = (*axes[:axis], *axes[axis + 1 :])
                side = _Side(number, others, first.reshape(units[g], -1), second, rounding)
                self._sides[g].append(side)
                self._whole += [(g, side)] if axis == 0 else []
        self.scale = math.prod(math.hypot(*each) for each in zip(*norms, strict=True))
        # Along two axes of one tensor, as in x + linear(x), the scores hold one where it was.
        self._twice = {g for axes in alike for g in axes if axes.count(g) > 1}
        self._keeps = 8 * sum(units[g] ** 2 for axes in alike for g in axes) <= _KEPT_BYTES
        self._rest = sum(_vdot(a[name], b[name]) for name in a if name not in along)

    def scores(self, g: int, orders: Sequence[np.ndarray], parts: Parts) -> np.ndarray:
        """The scores of group g, shape (units, units); what `parts` holds is not computed anew."""
        units = len(orders[g])
        total = np.zeros((units, units))
        for side in self._sides[g]:
            part = parts.get(side)
            if part is None:
                part = side.a @ side.moved(orders).reshape(units, -1).T
                if self._keeps:
                    parts[side] = part
            total += part
        return total[:, orders[g]]

    def changed(self, g: int, parts: Parts) -> set[int]:
        """Forget the parts that change where group g moves; the groups whose scores they are."""
        near = {h for side in self._sides[g] for h in side.others}
        for h in near:
            for side in self._sides[h]:
                if g in side.others:
                    parts.pop(side, None)
        return near

    def gain(
        self, g: int, scores: np.ndarray, step: np.ndarray, orders: Sequence[np.ndarray]
    ) -> float:
        """By how much ⟨a, π(b)⟩ grows by a step of group g; exact where rounding could decide."""
        here = np.arange(len(step))
        if np.array_equal(step, here):
            return 0.0
        told = float(scores[here, step].sum() - np.trace(scores))
        if g not in self._twice and told > sum(side.rounding for side in self._sides[g]):
            return told
        moved = [order[step] if h == g else order for h, order in enumerate(orders)]
        blocks = {side.block for side in self._sides[g]}
        return sum(self._product(k, moved) - self._product(k, orders) for k in blocks)

    def inner_product(self, orders: Sequence[np.ndarray]) -> float:
        """⟨a, π(b)⟩ over all tensors."""
        return self._rest + sum(self._product(k, orders) for k in range(len(self._whole)))

    def _product(self, block: int, orders: Sequence[np.ndarray]) -> float:
        g, side = self._whole[block]
        return _vdot(side.a, side.moved(orders)[orders[g]].reshape(side.a.shape))


def _split(
    tensor: np.ndarray, along: Sequence[tuple[int, Place]], units: Sequence[int]
) -> np.ndarray:
    """A tensor as (units of a group, units of the next, ..., all the rest)."""
    of = {place.axis: (g, place) for g, place in along}
    shape, at = [], {}
    for axis, size in enumerate(tensor.shape):
        if axis in of:
            g, place = of[axis]
            at[axis] = len(shape) + 1
            shape += [place.repeat, units[g], place.block]
        else:
            shape.append(size)
    first = [at[place.axis] for _, place in along]
    rest = [axis for axis in range(len(shape)) if axis not in first]
    whole = tensor.reshape(shape).transpose(*first, *rest)
    return whole.reshape(*whole.shape[: len(first)], -1)


def _vdot(a: np.ndarray, b: np.ndarray) -> float:
    """⟨a, b⟩ in double precision."""
    return float(np.vdot(a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)))
