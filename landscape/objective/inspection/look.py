"""A look at a loss before it is measured: what it needs, and what of the user's it reaches.

A loss may differentiate, draw random numbers, run other nets, write into tensors of the user's,
move the weights and put them back. Watching a few passes over a few samples tells which, operation
by operation. Most losses do nothing of the kind and are measured by the fastest ways there are.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from landscape.objective.inspection.cached import check_no_cache
from landscape.objective.inspection.nature import Nature
from landscape.objective.inspection.watched import Pass, unread, watched
from landscape.objective.lending.aside import Aside
from landscape.objective.lending.draws import Streams, drawing_from
from landscape.objective.lending.loan import Loan
from landscape.objective.metrics import Metric

_CLOSE = {torch.float64: 1e-9, torch.float32: 1e-5}  # others: 1e-2


def look(
    loan: Loan,
    metrics: Mapping[str, Metric],
    batch: Any,
    *,
    common: int | None,
    without: Pass | None = None,
) -> Nature:
    """Run the metrics a few times over a batch and see what they do.

    Args:
        loan: The borrowed model, at its own weights.
        metrics: Name to metric.
        batch: A few samples.
        common: Seed of common random numbers, or None when the user asked for none.
        without: What a pass without gradients found, if there was one.

    Raises:
        ValueError: If they give another number at every call, change their batch, or leave the
            weights changed.
        Exception: The user's own, when they fail with gradients and without.
    """

    def run(
        *, gradients: bool, seed: int = 0, own: frozenset[int] = frozenset(), graph: bool = True
    ) -> Pass:
        return watched(loan, metrics, batch, gradients=gradients, seed=seed, own=own, graph=graph)

    without = run(gradients=False) if without is None else without
    light = loan.stream is not None and without.problem is None  # a graph holds all activations
    within = run(gradients=True, graph=not light)
    if within.problem is not None and without.problem is not None:
        return _unwatched(loan, metrics, batch)
    neither = without.problem is None and within.problem is None
    gradients = without.problem is not None or (neither and not _alike(without, within))
    first = within if gradients else without
    second = run(gradients=gradients) if gradients or not neither else within
    own = frozenset(first.streams.held.keys() & second.streams.held.keys())
    mine = first.drawn.keys() & second.drawn.keys()
    own |= mine
    draws = bool(own) or first.streams.used
    if gradients and neither:
        _check_same(metrics, without, run(gradients=False), known=False)
    _check_same(metrics, first, second, known=False)
    if draws and common is None:
        a, b = (run(gradients=gradients, seed=seed, own=own) for seed in (0, 1))
        _check_same(metrics, a, b, known=True)
    if loan.stream is None:  # else later, when it is known who reads what
        check_no_cache(loan, metrics, batch, first, gradients=gradients, own=own)
    if names := unread(loan, first):
        warnings.warn(
            f"The loss does not read {len(names)} weights of layers that it runs (first: "
            f"{names[0]}): moving them changes nothing. If a layer keeps what it once computed of "
            "its weights, such as a cache filled in evaluation mode, clear that before measuring.",
            stacklevel=2,
        )
    changed, parts = _changed(first.aside, second.aside), set(loan.model.modules())
    assigned = {k: v for k, v in first.assigned.items() if k in second.assigned}
    matters = bool(changed or assigned) and _remembers(loan, metrics, batch, gradients, own)
    return Nature(
        gradients=gradients,
        differentiates=gradients or without.enabled,
        draws=draws,
        moves=first.moved,
        backward=first.backward,
        leaves=_common(first.aside.leaves, second.aside.leaves) if first.backward else (),
        written=tuple(t for key, t in first.written.items() if key in second.written),
        modules=tuple(m for m in changed if m not in parts),
        kept=tuple((m, n) for m, names in changed.items() for n in sorted(names) if matters),
        assigned=tuple((place, key[1]) for key, place in assigned.items() if matters),
        generators=tuple(first.streams.held[key][0] for key in own - mine),
        others=tuple(first.drawn[key] for key in mine),
    )


def look_again(
    loan: Loan, metrics: Mapping[str, Metric], batch: Any, nature: Nature, *, common: int | None
) -> Nature:
    """The same at a batch of the size to come, where some draw, or use what they drew, first.

    Args:
        loan: The borrowed model, at its own weights.
        metrics: Name to metric.
        batch: More samples.
        nature: What was found on a few.
        common: Seed of common random numbers, or None when the user asked for none.

    Raises:
        ValueError: If they give another number at every call.
    """
    own = frozenset(map(id, (*nature.generators, *nature.others)))
    found = watched(loan, metrics, batch, gradients=nature.gradients, seed=0, own=own)
    if found.problem is not None or nature.unknown:
        return nature  # it is said when it is measured
    if found.streams.used or (found.streams.held.keys() | found.drawn.keys()) - own:
        return look(loan, metrics, batch, common=common)
    return nature


def runs(loan: Loan, metrics: Mapping[str, Metric], batch: Any) -> bool:
    """Whether the metrics accept a batch, with gradients or without."""
    return any(
        watched(loan, metrics, batch, gradients=g, seed=0, own=frozenset()).problem is None
        for g in (True, False)
    )


def _remembers(
    loan: Loan, metrics: Mapping[str, Metric], batch: Any, gradients: bool, own: frozenset[int]
) -> bool:
    """Whether a call at other weights returns something else after one at the model's own."""

    def elsewhere(metric: Metric, calls: int) -> Metric:
        def call(model: nn.Module, batch: Any) -> Any:
            for _ in range(calls):
                metric(model, batch)
            with _other_weights(loan):
                return metric(model, batch)

        return call

    found = []
    for calls in (0, 1):
        changed = {name: elsewhere(metric, calls) for name, metric in metrics.items()}
        found.append(watched(loan, changed, batch, gradients=gradients, seed=0, own=own))
    one, other = ([v for values in each.values for v in values] for each in found)
    if any(each.problem is not None for each in found):
        return found[0].problem is not None  # else it fails at a later call, and then says so
    return not all(
        torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else _close(a, b)
        for a, b in zip(one, other, strict=False)
    )


@contextlib.contextmanager
def _other_weights(loan: Loan) -> Iterator[None]:
    with torch.no_grad(), loan.changed(_scaled):
        yield


def _scaled(values: Tensor, start: int) -> None:
    places = torch.arange(start, start + len(values), device=values.device, dtype=values.dtype)
    values.mul_(1 + 0.3 * torch.cos(places))


def _changed(first: Aside, second: Aside) -> dict[nn.Module, set[str]]:
    """Modules that two passes ran both, and their attributes that a pass changed."""
    found = {
        m: first.changed.get(id(m), set()) | second.changed.get(id(m), set())
        for m in _common(first.modules, second.modules)
    }
    return {module: names for module, names in found.items() if names}


def _common(first: dict[int, Any], second: dict[int, Any]) -> tuple[Any, ...]:
    """What two passes reached both: it was there before."""
    return tuple(first[key][0] for key in first if key in second)


def _unwatched(loan: Loan, metrics: Mapping[str, Metric], batch: Any) -> Nature:
    """Run without being watched, in case it is the watching that fails."""
    state, streams = torch.get_rng_state(), Streams((0,))
    try:
        with drawing_from(streams, contextlib.nullcontext()), torch.enable_grad():
            for metric in metrics.values():
                metric(loan.model, batch)
    finally:
        if not torch.equal(torch.get_rng_state(), state):
            torch.set_rng_state(state)
        for parameter in loan.model.parameters():
            parameter.grad = None
    return Nature(gradients=True, differentiates=True, moves=True, backward=True, unknown=True)


def _alike(first: Pass, second: Pass) -> bool:
    """Whether two passes returned the same, up to rounding."""
    if first.problem is not None or second.problem is not None:
        return (first.problem is None) == (second.problem is None)
    a, b = ([v for values in p.values for v in values] for p in (first, second))
    return len(a) == len(b) and all(map(_close, a, b))


def _close(a: Any, b: Any) -> bool:
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        if isinstance(a, int | float) and isinstance(b, int | float):
            return abs(a - b) <= 1e-9 * abs(a) or a == b or math.isnan(a)
        return True
    if a.shape != b.shape:
        return False
    if not (a.is_floating_point() or a.is_complex()):
        return torch.equal(a, b)
    tolerance = _CLOSE.get(a.dtype, 1e-2)
    finite = a[a.isfinite()].abs()
    scale = float(finite.max()) if finite.numel() else 0.0
    return torch.allclose(a, b.to(a), rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _check_same(metrics: Mapping[str, Metric], first: Pass, second: Pass, *, known: bool) -> None:
    for found in (first, second):
        if found.problem is not None:
            raise found.problem
    if _alike(first, second):
        return
    name, a, b = next(
        (name, a, b)
        for name, a, b in zip(metrics, first.values, second.values, strict=True)
        if not all(map(_close, a, b))
    )
    remedy = (
        "Make it deterministic in evaluation mode, or give common_random_numbers=0: the same "
        "draws at every point."
        if known
        else "Its draws cannot be replaced: draw with torch, or with functions of numpy.random and "
        "random called through their modules, or from a generator made inside the loss from a "
        "fixed seed."
    )
    raise ValueError(
        f"{name!r} gives {_shown(a)} and then {_shown(b)} at the same point: something random is "
        "active (dropout applied in evaluation mode, or noise or augmentation inside the loss). "
        + remedy
    )


def _shown(values: list[Any]) -> str:
    first: Any = next((v for v in values if isinstance(v, Tensor)), None)
    return "one value" if first is None else f"{first.double().mean().item():.6g}"
