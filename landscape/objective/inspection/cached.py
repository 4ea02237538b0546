"""What a model or a loss computed of the weights before, and goes on using: no weights move it.

A merged adapter, a bias table, an effective kernel: whatever holds tensors is emptied for a moment,
here and at other weights. If the loss is the same here without it and another one elsewhere, it
was a cache, and a surface would ignore the weights it was computed of, all of them or in part.
"""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves

from landscape.objective.inspection.holding import slots_of
from landscape.objective.inspection.watched import Pass, reads, reads_buffers, watched
from landscape.objective.lending.loan import Loan
from landscape.objective.metrics import Metric

NOTHING_READ = (
    "The loss reads none of the model's trainable weights, and is the same at others: there is "
    "nothing to measure. Is it the loss of another model than the one that it is given, or of "
    "merged weights (then unmerge them)?"
)
_CONTAINERS = (dict, list, set)
_OWN = ("_parameters", "_modules")  # of every module
_MOST = 64  # things that are emptied, one after the other

Emptied = Callable[[], AbstractContextManager[Any]]


def check_no_cache(
    loan: Loan,
    metrics: Mapping[str, Metric],
    batch: Any,
    first: Pass | None,
    *,
    gradients: bool,
    own: frozenset[int],
    short: Any = None,
) -> None:
    """Refuse losses that go on using what was computed of the weights before.

    Args:
        loan: The borrowed model, at its own weights.
        metrics: Name to metric.
        batch: A few samples.
        first: What a pass over them found; None: such a pass is made if it is needed.
        gradients: Whether gradients are enabled.
        own: Identities of generators of the user's that are replaced.
        short: The same samples cut short, where passes are dear: what is missed there is no cache.

    Raises:
        ValueError: If there is such a thing; the message names it, and how to be rid of it.
    """
    if parametrize._cache_enabled:
        raise ValueError(
            "Measured inside `with parametrize.cached():`, where weights are computed once and for "
            "all; measure outside of it."
        )
    candidates = dict(list(_candidates(loan.model, metrics).items())[:_MOST])
    if loan.stream is not None:  # the others write into the weights, which are the model's own
        candidates = {told: found for told, found in candidates.items() if found[1]}

    def run(emptied: Emptied, *, away: bool, batch: Any = batch) -> Pass:
        def changed(metric: Metric) -> Metric:
            def call(model: nn.Module, batch: Any) -> Any:
                elsewhere = loan.changed(_near) if away else contextlib.nullcontext()
                with _weights_kept(loan), emptied(), torch.no_grad(), elsewhere:
                    torch.clear_autocast_cache()
                    with torch.set_grad_enabled(gradients):
                        return metric(model, batch)

            return call

        each = {name: changed(metric) for name, metric in metrics.items()}
        return watched(loan, each, batch, gradients=gradients, seed=0, own=own)

    if short is not None:
        passes = {
            told: run(found[0], away=False, batch=short) for told, found in candidates.items()
        }
        candidates = {told: f for told, f in candidates.items() if passes[told].problem is None}
    if first is None and not candidates:
        return
    if first is None:
        first = watched(loan, metrics, batch, gradients=gradients, seed=0, own=own)
    read = reads(loan, first)
    if not candidates and read:
        return
    far = run(contextlib.nullcontext, away=True)
    moves = loan.layout.size and not reads_buffers(loan, first)  # recorded statistics move too
    if not read and moves and far.problem is None and _alike(first, far):
        raise ValueError(NOTHING_READ)
    for (what, remedy), (emptied, holds) in candidates.items():
        there = run(emptied, away=True)
        if there.problem is not None:
            continue  # it is no cache, or not one that is filled again
        new = sorted(reads(loan, there) - read) if holds else []
        differs = far.problem is None and not _alike(far, there)
        if new or (differs and _alike(first, run(emptied, away=False))):
            ignored = f" (first: {new[0]})" if new else ""
            raise ValueError(
                f"The loss uses what was computed of the weights before, in {what}: moving those "
                f"weights{ignored} would change nothing, or not all. {remedy} before measuring."
            )


def _candidates(
    model: nn.Module, metrics: Mapping[str, Metric]
) -> dict[tuple[str, str], tuple[Emptied, bool]]:
    """What may be emptied: its name and a remedy, how, and whether it is something that holds."""
    found: dict[tuple[str, str], tuple[Emptied, bool]] = {}
    places: dict[tuple[type, str], list[tuple[str, dict[str, Any], Any]]] = {}
    for name, module in model.named_modules():
        attributes, buffers = module.__dict__, module._buffers
        mine = type(module).__module__.partition(".")[0] != "torch"
        for key, value in [*attributes.items(), *(buffers.items() if mine else ())]:
            if key not in _OWN and key != "_buffers" and _holds_tensors(value):
                place = buffers if key in buffers else attributes
                places.setdefault((type(module), key), []).append((name, place, value))
        for key, function in _remembering(module):
            instead = types.MethodType(function.__wrapped__, module)
            places.setdefault((type(module), key), []).append((name, attributes, instead))
    for (kind, key), held in places.items():
        where = f"{held[0][0]}.{key}".lstrip(".")
        remembers = isinstance(held[0][2], types.MethodType)
        remedy = f"Call {kind.__name__}.{key}.cache_clear()" if remembers else f"Empty {where}"
        found[f"{where} of the model", remedy] = functools.partial(_without, kind, key, held), True
    for slot in [slot for metric in metrics.values() for slot in slots_of(metric)]:
        if _holds_tensors(slot.value):
            name = slot.name or "a variable of the loss"
            found[name, f"Empty {name}"] = functools.partial(_slot_without, slot), True
    kinds = {type(module) for module in model.modules()}
    if any(k.train not in (nn.Module.train, nn.Sequential.train) for k in kinds):
        found["the form for evaluation", "Call model.train()"] = _in_training(model), False
    merged = [m for m in model.modules() if callable(getattr(m, "unmerge", None))]
    if merged:
        found["merged weights", "Call unmerge()"] = functools.partial(_unmerged, merged), False
    return found


def _holds_tensors(value: Any, depth: int = 3) -> bool:
    if isinstance(value, Tensor):
        plain = not isinstance(value, nn.Parameter)
        return plain and (value.is_floating_point() or value.is_complex()) and value.numel() > 0
    if not isinstance(value, (*_CONTAINERS, tuple)) or not depth or len(value) > 1000:
        return False
    inner = value.values() if isinstance(value, dict) else value
    return any(_holds_tensors(one, depth - 1) for one in inner)


def _remembering(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Methods that remember what they returned."""
    for kind in type(module).__mro__:
        for name, function in vars(kind).items():
            if (
                isinstance(function, functools._lru_cache_wrapper)
                and function.cache_info().currsize
            ):
                yield name, function


@contextlib.contextmanager
def _without(kind: type, key: str, held: list[tuple[str, dict[str, Any], Any]]) -> Iterator[None]:
    computed = isinstance(getattr(kind, key, None), functools.cached_property)
    before = [(place, key in place, place.get(key)) for _, place, _ in held]
    try:
        for _, place, value in held:
            if computed:
                place.pop(key)
            elif isinstance(value, types.MethodType):
                place[key] = value
            else:
                place[key] = type(value)() if isinstance(value, _CONTAINERS) else None
        yield
    finally:
        for place, there, value in before:
            if there:
                place[key] = value
            else:
                place.pop(key, None)


@contextlib.contextmanager
def _slot_without(slot: Any) -> Iterator[None]:
    empty = type(slot.value)() if isinstance(slot.value, _CONTAINERS) else None
    try:
        if isinstance(slot.place, dict):
            slot.place[slot.name] = empty
        else:
            slot.place.cell_contents = empty
        yield
    finally:
        slot.put_back()


def _in_training(model: nn.Module) -> Emptied:
    @contextlib.contextmanager
    def trained() -> Iterator[None]:
        model.train()
        for module in model.modules():
            module.training = False
        yield

    return trained


@contextlib.contextmanager
def _unmerged(modules: list[Any]) -> Iterator[None]:
    for module in modules:
        module.unmerge()
    yield


@contextlib.contextmanager
def _weights_kept(loan: Loan) -> Iterator[None]:
    """Weights are put back, wherever they went; attributes are by those who watch."""
    parameters = [] if loan.stream is not None else list(loan.model.parameters())
    with _disable_current_modes():  # not watched: these are no reads of the loss
        before = [(p.data, p.data.clone()) for p in parameters]
    try:
        yield
    finally:
        with torch.no_grad(), _disable_current_modes():
            for parameter, (place, value) in zip(parameters, before, strict=True):
                parameter.data = place
                place.copy_(value)


def _near(values: Tensor, start: int) -> None:
    """Other weights, near enough to be fit for a model and far enough to be told apart."""
    places = torch.arange(start, start + len(values), device=values.device, dtype=values.dtype)
    values.mul_(1 + 0.1 * torch.cos(places)).add_(0.02 * torch.cos(3 * places))


def _alike(one: Pass, other: Pass) -> bool:
    """Whether two passes returned the same, up to the rounding of another way to compute it."""
    if one.problem is not None or other.problem is not None:
        return False
    pairs = zip(*(tree_leaves(each.values) for each in (one, other)), strict=False)
    return all(
        torch.allclose(a.double(), b.double(), 1e-4, 1e-6, equal_nan=True)
        for a, b in pairs
        if isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape
    )
