"""One pass of a loss over some samples, watched operation by operation, and undone."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.utils._pytree import tree_leaves

from landscape.objective.inspection.holding import slots_of
from landscape.objective.lending.aside import Aside
from landscape.objective.lending.draws import Drawing, Streams, drawing_from
from landscape.objective.lending.loan import Loan, lent
from landscape.objective.lending.operations import memory_of
from landscape.objective.lending.reach import (
    Reached,
    left_as_found,
    put_at,
    same_state,
    seed_anew,
    state_of,
)
from landscape.objective.metrics import Metric

_NORMS = ("native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm")  # write unannounced


class Pass:
    """What one pass over some samples returned, and what it touched."""

    def __init__(self) -> None:
        self.aside: Aside = Aside()
        self.values: list[Any] = []
        self.problem: Exception | None = None
        self.moved = self.backward = self.enabled = False
        self.written: dict[int, Tensor] = {}
        self.assigned: dict[tuple[int, str], Any] = {}  # places outside of modules, by identity
        self.called: set[int] = set()  # modules of the model's that ran
        self.read: set[tuple[int, int]] = set()  # where in memory weights and buffers were read
        self.weights: list[Tensor] | None = None  # copied before they are first written to
        self.streams: Streams = Streams((0,))
        self.drawn: dict[int, Any] = {}  # generators of numpy's and Python's that moved


def watched(
    loan: Loan,
    metrics: Mapping[str, Metric],
    batch: Any,
    *,
    gradients: bool,
    seed: int,
    own: frozenset[int],
    graph: bool = True,
) -> Pass:
    """Run the metrics once over a batch, note what they do, and undo it.

    Args:
        loan: The borrowed model, at its own weights.
        metrics: Name to metric.
        batch: A few samples.
        gradients: Whether gradients are enabled.
        seed: Seed of what is drawn.
        own: Identities of generators of the user's that are replaced as well.
        graph: Whether the weights require gradients where they are trained: with gradients
            enabled, what every operation took is then held until the pass ends.

    Raises:
        ValueError: If they change their batch, or leave the weights changed.
    """
    now = Pass()
    now.streams.begin((seed,))
    now.streams.instead = own
    parameters = list(loan.model.parameters())
    places = [p.data for p in parameters]
    buffers = [(b, b.detach().clone()) for b in loan.model.buffers()]
    leaves = [t for t in tree_leaves(batch) if isinstance(t, Tensor)]
    kept = [t.detach().clone() for t in leaves]
    for module in loan.model.modules():
        now.aside.module(module)
    slots = [slot for metric in metrics.values() for slot in slots_of(metric)]
    left = changed = False
    try:
        with (
            _reached(now, metrics, seed, own),
            _modules_seen(loan.model, now),
            contextlib.nullcontext() if graph else _not_trained(parameters),
            torch.set_grad_enabled(gradients),
        ):
            mode = _Watching(now, loan, leaves)
            for metric in metrics.values():
                now.streams.begin((seed,))
                with drawing_from(now.streams, mode):
                    value = metric(loan.model, batch)
                now.values.append([_plain(v) for v in tree_leaves(value)])
        changed = not all(map(_equal, kept, leaves))
        before = now.weights or places
        left = not all(_near(p.data, value) for p, value in zip(parameters, before, strict=True))
        now.moved |= any(
            p.data.data_ptr() != place.data_ptr()
            for p, place in zip(parameters, places, strict=True)
        )
        now.backward = now.aside.backward or any(p.grad is not None for p in parameters)
    except Exception as problem:  # it is the user's, and raised when it matters
        now.problem = problem
    finally:
        now.aside.put_back()
        now.streams.put_back()
        now.assigned = {(id(s.place), s.name): s.place for s in slots if s.changed}
        for slot in slots:
            slot.put_back()
        with torch.no_grad():
            for parameter, place in zip(parameters, places, strict=True):
                parameter.data, parameter.grad = place, None
            for place, value in zip(places, now.weights or (), strict=bool(now.weights)):
                place.copy_(value)
            for buffer, value in buffers:
                buffer.copy_(value)
    if left:
        raise ValueError(
            "The loss leaves the model's own weights changed after a call, so every call sees "
            "other ones; let it work on a copy (copy.deepcopy(model))."
        )
    if changed:
        raise ValueError(
            "The loss changes its batch in place, so every pass sees other data; copy what "
            "it changes, for example x = x - mean instead of x -= mean."
        )
    return now


class _Watching(Drawing):
    """Notes what the operations of a pass reach and write, and sets it aside."""

    def __init__(self, now: Pass, loan: Loan, batch: list[Tensor]) -> None:
        self.now = now
        self.model = loan.model
        self.weights = {memory_of(p) for p in loan.model.parameters()}
        self.told = {memory_of(b) for b in _buffers(loan)} | self.weights
        mine = [*loan.model.buffers(), *batch, loan.flat, loan.buffers]
        self.mine = {memory_of(t) for t in mine} | self.weights
        self.parameters = {id(p) for p in loan.model.parameters()}
        super().__init__(now.streams)

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Note the tensors of an operation, then run it."""
        self.now.enabled |= torch.is_grad_enabled()
        for tensor in _tensors((args, kwargs)):
            place = memory_of(tensor)
            if place in self.told:
                self.now.read.add((place, int(tensor.storage_offset())))
            if id(tensor) in self.parameters:
                self.now.moved |= place not in self.weights
            elif id(tensor._base) in self.parameters:
                continue  # a view of a weight, which may come and go: nothing holds on to it
            elif tensor.requires_grad and tensor.is_leaf:
                self.now.aside.leaf(tensor)
        for tensor in _written(func, args, kwargs or {}):
            place = memory_of(tensor)
            if place in self.weights and place:
                self.now.moved = True
                if self.now.weights is None:
                    self.now.weights = [p.data.clone() for p in self.model.parameters()]
            if place and place not in self.mine:
                self.now.aside.storage(tensor)
                self.now.written.setdefault(place, tensor)
        return super().run(func, args, kwargs)


def reads(loan: Loan, now: Pass) -> set[str]:
    """Trainable weights of which an operation read something."""
    named = dict(loan.model.named_parameters())
    found = set()
    for entry in loan.layout:
        weight = named[entry.name].data
        first, place = weight.storage_offset(), memory_of(weight)
        if any(p == place and first <= at < first + entry.size for p, at in now.read):
            found.add(entry.name)
    return found


def reads_buffers(loan: Loan, now: Pass) -> bool:
    """Whether an operation read a buffer of those that may move."""
    places = {memory_of(buffer) for buffer in _buffers(loan)}
    return any(place in places for place, _ in now.read)


def unread(loan: Loan, now: Pass) -> list[str]:
    """Trainable weights of modules that ran, of which no operation read anything."""
    modules, read = dict(loan.model.named_modules()), reads(loan, now)
    return [
        entry.name
        for entry in loan.layout
        if entry.size
        and entry.name not in read
        and id(modules[entry.name.rpartition(".")[0]]) in now.called
    ]


def _buffers(loan: Loan) -> list[Tensor]:
    return [b for b in loan.model.buffers() if b.is_floating_point() and b.numel()]


def _written(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Tensor]:
    schema = getattr(operation, "_schema", None)
    if schema is None:
        return
    given = dict(zip([a.name for a in schema.arguments], args, strict=False)) | kwargs
    for argument in schema.arguments:
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield from _tensors(given.get(argument.name))
    if schema.name.removeprefix("aten::") in _NORMS and given.get("training"):
        yield from _tensors((given.get("running_mean"), given.get("running_var")))


def _tensors(value: Any) -> Iterator[Tensor]:
    return (t for t in tree_leaves(value) if isinstance(t, Tensor))


@contextlib.contextmanager
def _not_trained(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Inside, weights require no gradients: operations on them keep nothing."""
    trained = [p for p in parameters if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


@contextlib.contextmanager
def _reached(
    now: Pass, metrics: Mapping[str, Metric], seed: int, own: frozenset[int]
) -> Iterator[None]:
    """Nets and generators that the metrics reach are put back; which were drawn from is noted."""
    with left_as_found(Reached(metrics.values())) as reached:
        states = [(g, state_of(g)) for g in reached.generators]
        for generator, _ in states:
            if id(generator) in own:
                seed_anew(generator, (seed,))
        begun = [state_of(generator) for generator, _ in states]
        try:
            yield
        finally:
            for (generator, state), first in zip(states, begun, strict=True):
                if not same_state(state_of(generator), first):
                    now.drawn[id(generator)] = generator
                if id(generator) in now.drawn or id(generator) in own:
                    put_at(generator, state)


@contextlib.contextmanager
def _modules_seen(model: nn.Module, now: Pass) -> Iterator[None]:
    """Inside, other modules that this thread runs are set aside before they run."""
    mine = {id(m): {k: id(p) for k, p in m._parameters.items()} for m in model.modules()}
    thread, before = threading.get_ident(), lent()

    def see(module: nn.Module, args: Any) -> None:
        if threading.get_ident() != thread or id(module) in lent() - before:
            return  # borrowed by the loss itself, which gives it back
        if id(module) in mine:  # as `torch.func.functional_call` does it
            now.called.add(id(module))
            now.moved |= mine[id(module)] != {k: id(p) for k, p in module._parameters.items()}
            return
        for inner in module.modules():
            if id(inner) not in mine:
                now.aside.module(inner)
        for parameter in module.parameters():
            if parameter.requires_grad and parameter.is_leaf and id(parameter) not in weights:
                now.aside.leaf(parameter)

    weights = {id(p) for p in model.parameters()}
    handle = register_module_forward_pre_hook(see)
    try:
        yield
    finally:
        handle.remove()


def _plain(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def _equal(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.is_sparse or a.layout != torch.strided:
        return a.shape == b.shape
    return torch.equal(a, b) or bool(((a == b) | ((a != a) & (b != b))).all())


def _near(a: Tensor, b: Tensor) -> bool:
    """Whether weights were put back, up to the rounding of adding and subtracting a step."""
    if a.shape != b.shape:
        return False
    if a.data_ptr() == b.data_ptr() or _equal(a, b) or not a.numel():
        return True
    scale = float(b.abs().max())
    return bool(torch.allclose(a, b, rtol=1e-4, atol=1e-5 * scale, equal_nan=True))
