"""Borrow a model: evaluate it at other weights and give it back exactly as it was.

The model's own tensors are set aside and put back; they are never written to, so weights, buffers,
gradients, `requires_grad`, modes and attributes are bit-identical afterwards, whatever happens in
between. Nothing that belongs to the whole process is touched: another thread may be training.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from landscape.base.layout import Entry, Layout
from landscape.objective.lending.aside import Aside
from landscape.objective.lending.draws import random_state_kept
from landscape.objective.lending.stream import Stream, Streamed

__all__ = ["Loan", "alone", "borrowed", "lent", "random_state_kept"]

Change = Callable[[Tensor, int], None]
_BLOCK = 2**18  # elements that are changed together
_OURS = ("forward", "training")  # attributes that are changed here

_lent: set[int] = set()  # identities of modules and tensors
_lending = threading.Lock()


@dataclass
class Loan:
    """What a borrowed model computes with.

    Attributes:
        model: The model, in evaluation mode.
        layout: Which slice of `flat` is which trainable parameter.
        flat: Flat vector that the parameters are views of, shape (P,).
        buffers_layout: Which slice of `buffers` is which floating-point buffer.
        buffers: Flat vector that the floating-point buffers are views of, shape (B,).
        others: The other buffers, as (in use, as they were).
        rounded: Parameters narrower than `flat`, as (their part of it, in use).
        rounded_buffers: The same of buffers.
        stream: Where weights come and go instead, and `flat` is empty.
        change: What weights are changed by at present; see `changed`.
        aside: The modules as they were lent, where weights come and go.
    """

    model: nn.Module
    layout: Layout
    flat: Tensor
    buffers_layout: Layout
    buffers: Tensor
    others: list[tuple[Tensor, Tensor]]
    rounded: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    rounded_buffers: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    stream: Stream | None = None
    change: Change | None = None
    aside: Aside = field(default_factory=Aside)

    def modules_put_back(self) -> bool:
        """Put back what the model assigned to its modules since it was lent; whether it did."""
        return self.aside.put_back_modules(_OURS)

    @contextlib.contextmanager
    def changed(self, change: Change) -> Iterator[None]:
        """Inside, the model is at other weights, and wherever points are placed too.

        Args:
            change: Writes other values into a part of the flat vector, given it and its first
                place.
        """
        outer, make = self.change, None if self.stream is None else self.stream.make
        self.change = change
        with _disable_current_modes():  # no reads and writes of the loss
            before = self.flat.clone()
        try:
            with _disable_current_modes():
                change(self.flat, 0)
                self.round()
            if self.stream is not None and make is None:
                self.stream.use(_Changed(self))
            torch.clear_autocast_cache()
            yield
        finally:
            self.change = outer
            with _disable_current_modes():
                self.flat.copy_(before)
                self.round()
            if self.stream is not None:
                self.stream.use(make)

    def reset_others(self) -> None:
        """Undo what the model wrote into integer buffers (counters)."""
        for used, original in self.others:
            used.copy_(original)

    def round(self) -> None:
        """Let narrower parameters follow the vector, each rounded once."""
        for part, used in self.rounded:
            used.copy_(part)

    def round_buffers(self) -> None:
        """The same for buffers."""
        for part, used in self.rounded_buffers:
            used.copy_(part)


class _Changed:
    """Gives the model's own weights, changed, where they come and go."""

    def __init__(self, loan: Loan) -> None:
        self._loan = loan

    def __call__(self, read: Sequence[Streamed]) -> list[Tensor]:
        made = [torch.empty_like(each.own) for each in read]
        for each, values in zip(read, made, strict=True):
            self._write(each, slice(0, len(each.own) if each.own.ndim else 1), values)
        return made

    def rows(self, place: Any, each: Streamed, runs: Sequence[slice]) -> Tensor:
        """Some runs of rows, below each other."""
        made = [torch.empty_like(each.own[run]) for run in runs]
        for run, values in zip(runs, made, strict=True):
            self._write(each, run, values)
        return torch.cat(made)

    def _write(self, each: Streamed, rows: slice, out: Tensor) -> None:
        entry = each.entry
        with torch.no_grad(), _disable_current_modes():
            for block in entry.blocks(_BLOCK):
                part = slice(max(block.start, rows.start), min(block.stop, rows.stop))
                if part.start >= part.stop:
                    continue
                own = entry.rows(each.own, part)
                width = entry.size // entry.shape[0] if entry.shape else 0
                values = torch.empty(own.shape, dtype=self._loan.flat.dtype, device=own.device)
                if self._loan.change is not None:
                    self._loan.change(values.copy_(own).view(-1), entry.offset + part.start * width)
                here = slice(part.start - rows.start, part.stop - rows.start)
                entry.rows(out, here).copy_(values)


@contextlib.contextmanager
def borrowed(
    model: nn.Module,
    layout: Layout,
    buffers_layout: Layout,
    *,
    device: torch.device,
    dtype: torch.dtype,
    native: bool = False,
    streamed: bool = False,
) -> Iterator[Loan]:
    """Let the model compute with other weights and buffers, in evaluation mode.

    Args:
        model: The model.
        layout: Its trainable parameters; the others are used as they are.
        buffers_layout: Its floating-point buffers.
        device: Where to compute.
        dtype: Floating-point type of the vectors.
        native: Whether every tensor computes in its own type, rounded once from the vector; else
            all compute in `dtype`.
        streamed: Whether weights come and go module by module, each in its own type: no vector
            of parameters is made, and until points are placed the model's own are in use.

    Yields:
        Vectors whose elements are the model's weights and buffers, holding the model's own values;
        inside, writing to them, or to attributes of modules, changes what the model computes.

    Raises:
        RuntimeError: If the model, or a part of it, is lent already, to another thread or to a
            loss that measures.
    """
    parameters, aside = list(model.parameters()), Aside()
    with alone([*model.modules(), *parameters, *model.buffers()]):
        owned = [(p, p.data, p.grad, p.requires_grad) for p in parameters]
        modes = [(module, module.training) for module in model.modules()]
        try:
            torch.clear_autocast_cache()  # casts of weights, kept while autocast is on
            for module in model.modules():
                aside.module(module)
            for parameter in parameters:
                parameter.grad = None
            flat = torch.empty(0 if streamed else layout.size, device=device, dtype=dtype)
            loan = Loan(
                model, layout, flat, buffers_layout, flat.new_empty(buffers_layout.size), []
            )
            if streamed:
                loan.stream = Stream(model, layout)
            else:
                _replace_parameters(loan, native)
            _replace_buffers(loan, native or streamed)
            for module in model.modules():
                module.training = False
            for module in model.modules() if streamed else ():
                loan.aside.module(module)
            yield loan
        finally:
            torch.clear_autocast_cache()
            for parameter, data, gradient, trained in owned:
                parameter.data, parameter.grad = data, None
                parameter.requires_grad_(trained)
                parameter.grad = gradient
            aside.put_back()
            for module, training in modes:  # a scripted module keeps its mode elsewhere
                if module.training != training:
                    module.training = training


@contextlib.contextmanager
def alone(things: Iterable[nn.Module | Tensor]) -> Iterator[None]:
    """Lend things only once at a time: two borrowers would give back each other's values."""
    taken = {id(thing) for thing in things}
    with _lending:
        if taken & _lent:
            raise RuntimeError(
                "The model, or a part that it shares with another, is being measured already, by "
                "another thread or from inside its own loss; measure a copy (copy.deepcopy), or "
                "one after the other."
            )
        _lent.update(taken)
    try:
        yield
    finally:
        with _lending:
            _lent.difference_update(taken)


def lent() -> frozenset[int]:
    """Identities of what somebody has borrowed at present, and will give back."""
    with _lending:
        return frozenset(_lent)


def _replace_parameters(loan: Loan, native: bool) -> None:
    named, flat = dict(loan.model.named_parameters()), loan.flat
    for entry in loan.layout:
        used = _part_of(flat, entry, named[entry.name].data, native, loan.rounded)
        named[entry.name].data = used
    trainable = {entry.name for entry in loan.layout}
    for name, parameter in named.items():
        if name not in trainable:
            own = parameter.data
            keep = native or not own.is_floating_point()
            parameter.data = own.to(flat.device) if keep else own.to(flat)


def _part_of(
    flat: Tensor, entry: Entry, own: Tensor, native: bool, rounded: list[tuple[Tensor, Tensor]]
) -> Tensor:
    """Copy a tensor into its part of a vector, and what the model computes with from then on."""
    part = flat[entry.slice].view(entry.shape)
    part.copy_(own)
    if not native or own.dtype == flat.dtype:
        return part
    rounded.append((part, own.to(flat.device, copy=True)))
    return rounded[-1][1]


def _replace_buffers(loan: Loan, native: bool) -> None:
    entries = {entry.name: entry for entry in loan.buffers_layout}
    for name, buffer in loan.model.named_buffers():
        if name in entries:
            used = _part_of(loan.buffers, entries[name], buffer, native, loan.rounded_buffers)
        else:
            used = buffer.to(loan.buffers.device, copy=True)
            loan.others.append((used, buffer))
        for module in loan.model.modules():  # a buffer shared by two modules stays shared
            for key, own in module._buffers.items():
                if own is buffer:
                    module._buffers[key] = used
