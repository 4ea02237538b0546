"""Weight matching: the order of units that brings two sets of weights closest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from landscape.analysis.connectivity.permutations import Group, permute

Tensors = Mapping[str, np.ndarray]
Orders = dict[str, np.ndarray]

_SWEEPS = 200
_GAIN = 1e-12  # least gain that counts, relative to the norms of both networks


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
    sweeps = 0
    for start in range(1 + restarts):
        orders = {
            g.name: generator.permutation(g.units) if start else np.arange(g.units) for g in groups
        }
        reached, taken = _ascend(a, b, groups, orders, generator)
        sweeps += taken
        if best is None or reached > best[1]:
            best = orders, reached
    assert best is not None
    return (*best, sweeps)


def _ascend(
    a: Tensors,
    b: Tensors,
    groups: Sequence[Group],
    orders: Orders,
    generator: np.random.Generator,
) -> tuple[float, int]:
    """Improve `orders` in place until no group gains; the inner product and the sweeps."""
    now = ordered(b, groups, orders)
    touched = [{place.name for place in group.places} & set(a) for group in groups]
    near = [[j for j, other in enumerate(touched) if j != i and t & other] for i, t in
            enumerate(touched)]  # fmt: skip
    scale = np.sqrt(inner_product(a, a) * inner_product(b, b))
    waiting, sweeps = set(range(len(groups))), 0
    while waiting and sweeps < _SWEEPS:
        sweeps += 1
        for i in generator.permutation(len(groups)):
            if i not in waiting:
                continue
            waiting.discard(i)
            group = groups[i]
            scores = similarity(a, now, group)
            order = assigned(scores)
            gain = scores[np.arange(group.units), order].sum() - np.trace(scores)
            if gain > _GAIN * scale:
                now = permute(now, group, order)
                orders[group.name] = orders[group.name][order]
                waiting.update(near[i])
    return inner_product(a, now), sweeps


def similarity(a: Tensors, b: Tensors, group: Group) -> np.ndarray:
    """⟨a's unit, b's unit⟩ over all tensors of a group, shape (units, units)."""
    scores = np.zeros((group.units, group.units))
    for place in group.places:
        if place.name in a:
            scores += place.split(a[place.name], group.units) @ (
                place.split(b[place.name], group.units).T
            )
    return scores
