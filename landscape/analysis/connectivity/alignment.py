"""Alignment: the units of one network permuted onto those of another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from landscape.analysis.connectivity.activations import correlations
from landscape.analysis.connectivity.matching import (
    Orders,
    assigned,
    inner_product,
    match_weights,
    ordered,
)
from landscape.analysis.connectivity.permutations import Group, Permutable, flat, tensors_of
from landscape.analysis.connectivity.symmetries import permutable_of
from landscape.base.provenance import provenance
from landscape.objective.matched import matched_buffers
from landscape.objective.statistics import own_buffers
from landscape.results.alignment import Alignment

if TYPE_CHECKING:
    from landscape.objective.objective import Objective

Method = Literal["weights", "activations"]
METHODS = ("weights", "activations")
_ROUNDS = 50  # of aligning each network to the mean of the others


def align(
    objective: Objective,
    a: np.ndarray,
    b: np.ndarray,
    *,
    buffers: np.ndarray | None = None,
    method: Method = "weights",
    restarts: int = 8,
    seed: int = 0,
) -> Alignment:
    """Permute the units of network b so that it comes close to network a.

    Which units may be permuted is traced from the model, or known by its class, and checked by
    permuting at random in double precision. Axes that cannot be followed keep their order and are
    named in the result. For transformers permutations alone are not known to remove the barrier
    (Theus et al. 2025, arXiv:2506.22712).

    Args:
        objective: The model, and the data of ``activations``.
        a: Flat parameters, shape (P,).
        b: Those that are permuted.
        buffers: Floating-point buffers of b, shape (B,); default: the model's own, which are
            permuted where there are any.
        method: ``weights`` maximises the inner product of the weights (Ainsworth et al. 2023,
            arXiv:2209.04836); ``activations`` the correlation of the units over the data (Li et
            al. 2015, arXiv:1511.07543), each group by itself.
        restarts: Further searches from random orders, for ``weights``; the best counts.
        seed: Of these.

    Returns:
        The permuted network and the permutations.

    Raises:
        ValueError: If the model cannot be traced, or the permutations are no symmetries of it.

    >>> from torch import nn
    >>> import landscape as ls
    >>> model = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1))
    >>> objective = ls.Objective(model, lambda model, x: model(x[0]).mean(), (torch.ones(4, 2),))
    >>> a = objective.parameters()
    >>> b = ls.align(objective, np.random.default_rng(0).normal(size=a.size), a).vector
    >>> bool(np.allclose(ls.align(objective, a, b).vector, a))
    True
    """
    check_method(method, restarts)
    a, b = (_finite(objective, vector) for vector in (a, b))
    permutable, error = permutable_of(objective)
    return _aligned(
        objective, a, b, buffers, permutable, error, method=method, restarts=restarts, seed=seed
    )


def align_many(
    objective: Objective,
    vectors: Sequence[np.ndarray],
    *,
    to: int | Literal["mean"] = 0,
    buffers: Sequence[np.ndarray] | None = None,
    method: Method = "weights",
    restarts: int = 8,
    seed: int = 0,
) -> list[Alignment]:
    """Permute each of several networks once, for all pairs together.

    Barriers between them then speak of strong linear connectivity: one permutation for each
    network. Aligning every pair by itself shows weak connectivity only (Sharma et al. 2024,
    arXiv:2404.06498).

    Args:
        objective: The model.
        vectors: Flat parameters of the networks.
        to: The number of the network onto which the others are permuted; or ``mean``: in turn
            each onto the mean of the others, until none moves (Ainsworth et al. 2023, algorithm
            3; weights only).
        buffers: Those of the networks.
        method: As for `align`.
        restarts: As for `align`; onto the mean, of the first round.
        seed: As for `align`.

    Returns:
        One alignment for each network, in the given order.

    Raises:
        ValueError: As `align`, or if `to` names no network.

    >>> import numpy as np
    >>> import torch
    >>> import landscape as ls
    >>> def loss(model, batch):
    ...     return (model(batch[0]) - batch[1]).square().mean(1)
    >>> data = (torch.randn(32, 2), torch.randn(32, 1))
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    >>> objective = ls.Objective(model, loss, data)
    >>> a = objective.parameters()
    >>> [float(found.after) for found in ls.align_many(objective, [a, a])]
    [1.0, 1.0]
    """
    check_method(method, restarts)
    mean = to == "mean"
    one = isinstance(to, int | np.integer) and 0 <= to < len(vectors)
    if len(vectors) < 2 or not (mean or one):
        raise ValueError(
            f"Got {len(vectors)} networks and to={to!r}; give at least two networks, and the "
            "number of one of them or 'mean'."
        )
    if mean and method != "weights":
        raise ValueError("A mean of networks has no activations; give method='weights' with it.")
    if buffers is not None and len(buffers) != len(vectors):
        raise ValueError(f"Got {len(vectors)} networks and {len(buffers)} buffers.")
    vectors = [_finite(objective, vector) for vector in vectors]
    permutable, error = permutable_of(objective)
    targets = _to_mean(objective, vectors, permutable, restarts, seed) if mean else None
    found = []
    for k, vector in enumerate(vectors):
        fixed = targets[k] if targets else identity(permutable.groups) if k == to else None
        reference = np.mean(np.stack(vectors), axis=0) if mean else vectors[int(to)]
        found.append(
            _aligned(
                *(objective, reference, vector, None if buffers is None else buffers[k]),
                *(permutable, error),
                method=method,
                restarts=restarts,
                seed=seed,
                orders=fixed,
                more={"to": to if mean else int(to), "connectivity": "strong"},
            )
        )
    return found


def check_method(method: str, restarts: int) -> None:
    """Refuse what is unknown, before anything is computed."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; not {method!r}.")
    if not isinstance(restarts, int | np.integer) or restarts < 0:
        raise ValueError(f"restarts must be a whole number, zero or more; got {restarts!r}.")


def _finite(objective: Objective, vector: np.ndarray) -> np.ndarray:
    """A network in the model's order, refused where it has no finite weights."""
    found = objective.matched(vector)
    if not np.isfinite(found).all():
        raise ValueError(
            "A network has entries that are not finite, so its units are like no others; align "
            "states from before it diverged."
        )
    return found


def identity(groups: Sequence[Group]) -> Orders:
    """The order in which nothing moves."""
    return {group.name: np.arange(group.units) for group in groups}


def _aligned(
    objective: Objective,
    a: np.ndarray,
    b: np.ndarray,
    buffers: np.ndarray | None,
    permutable: Permutable,
    error: float,
    *,
    method: Method,
    restarts: int,
    seed: int,
    orders: Orders | None = None,
    more: dict[str, Any] | None = None,
) -> Alignment:
    layout, groups, sweeps = objective.layout, permutable.groups, 0
    buffers = matched_buffers(objective.problem, buffers, moves=False)
    if buffers is not None and np.shape(buffers) != (objective.buffers_layout.size,):
        raise ValueError(
            f"Got buffers of shape {np.shape(buffers)}; the model's floating-point buffers have "
            f"{objective.buffers_layout.size} elements."
        )
    first, second = tensors_of(a, layout), tensors_of(b, layout)
    if orders is None and method == "weights":
        orders, sweeps = match_weights(first, second, groups, restarts=restarts, seed=seed)
    elif orders is None:
        scores = correlations(objective, a, b, groups, buffers)
        orders = {g.name: assigned(scores[g.name]) for g in groups}
    moved = ordered(second, groups, orders)
    norms = np.sqrt(inner_product(first, first) * inner_product(second, second)) or 1.0
    return Alignment(
        parameters=flat(moved, layout, b.dtype),
        buffers=_buffers(objective, buffers, groups, orders),
        group=tuple(g.name for g in groups),
        units=np.array([g.units for g in groups], dtype=np.int64),
        order=np.concatenate([np.zeros(0, np.int64), *(orders[g.name] for g in groups)]),
        pinned=permutable.pinned,
        method=method,
        before=inner_product(first, second) / norms,
        after=inner_product(first, moved) / norms,
        function_error=error,
        layout=layout.to_json(),
        settings={"restarts": restarts, "seed": seed, "sweeps": sweeps, **(more or {})},
        provenance=provenance(),
    )


def _buffers(
    objective: Objective, buffers: np.ndarray | None, groups: Sequence[Group], orders: Orders
) -> np.ndarray | None:
    layout = objective.buffers_layout
    if not len(layout):
        return None
    buffers = own_buffers(objective.problem).astype(np.float32) if buffers is None else buffers
    moved = ordered(tensors_of(buffers, layout), groups, orders)
    return flat(moved, layout, buffers.dtype)


def _to_mean(
    objective: Objective,
    vectors: Sequence[np.ndarray],
    permutable: Permutable,
    restarts: int,
    seed: int,
) -> list[Orders]:
    """Orders after each network was matched to the mean of the others until none moved."""
    groups, layout = permutable.groups, objective.layout
    given = [tensors_of(v, layout) for v in vectors]
    orders, moved = [identity(groups) for _ in given], list(given)
    for turn in range(_ROUNDS):
        settled = True
        for k in range(len(given)):
            others = [m for j, m in enumerate(moved) if j != k]
            mean = {
                n: np.stack([o[n] for o in others]).astype(np.float64).mean(0) for n in given[k]
            }
            more = restarts if turn == 0 else 0
            step, _ = match_weights(mean, moved[k], groups, restarts=more, seed=seed)
            closer, before = ordered(moved[k], groups, step), inner_product(mean, moved[k])
            if inner_product(mean, closer) > before + 1e-12 * abs(before):
                orders[k] = {n: orders[k][n][step[n]] for n in step}
                moved[k], settled = closer, False
        if settled:
            break
    return orders
