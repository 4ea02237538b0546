"""Weights that are in the model only while a module reads them.

Nothing is copied: right before a module's forward its tensors are made for the point that is
measured, and right after it they are gone. The model's own storage is set aside and never written.
In between a parameter is NaN everywhere, and whatever takes it, unseen until then, is refused.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from landscape.base.layout import Entry, Layout
from landscape.objective.lending.operations import Operations, memory_of
from landscape.objective.lending.rows import ByRows, by_rows

ELSEWHERE = (
    "Weights that come and go module by module (strategy 'streamed') give this model other "
    "numbers: some are read where they were not seen to be. Use strategy='sequential'."
)


@dataclass(frozen=True, eq=False)
class Streamed:
    """A parameter that comes and goes.

    Attributes:
        entry: Its place in the layout.
        parameter: It.
        own: The model's own values.
        absent: What it holds while nobody reads it: one NaN that looks like the whole.
    """

    entry: Entry
    parameter: nn.Parameter
    own: Tensor
    absent: Tensor


Make = Callable[[Sequence[Streamed]], Sequence[Tensor]]
Meet = Callable[[Any, Any], Any]


class Stream:
    """The parameters of a lent model, placed module by module.

    Args:
        model: The model, with its own weights.
        layout: Its trainable parameters.

    Attributes:
        make: Gives the values of the parameters that a module reads; None leaves the model's own
            in place.
        meet: Called with the place where parameters are read (a module, rows of one) and what
            makes them, at once or in the steps of a generator; passes that take turns wait there.
            It returns what was made.
    """

    def __init__(self, model: nn.Module, layout: Layout) -> None:
        named = dict(model.named_parameters())
        self.parameters: dict[str, Streamed] = {e.name: _streamed(e, named[e.name]) for e in layout}
        self.make: Make | None = None
        self.meet: Meet = _at_once
        self._readers: dict[nn.Module, list[Streamed]] = {}
        self._by_rows: dict[nn.Module, ByRows] = {}
        self._always: list[Streamed] = []
        self._placed: list[tuple[nn.Parameter, Tensor, Tensor]] = []  # in use, what to put back

    @property
    def nested(self) -> bool:
        """Whether some parameters stay while other modules run that place theirs."""
        inner = (m for reader in self._readers for m in reader.modules() if m is not reader)
        return bool(self._always) or any(module in self._readers for module in inner)

    def use(self, make: Make | None) -> None:
        """From now on parameters hold what this gives, while a module reads them; None: rest."""
        if make is None or make is not self.make:
            for each in self.parameters.values():
                each.parameter.data = each.own if make is None else each.absent
        self.make = make
        if make is not None and self._always:
            for each, values in zip(self._always, make(self._always), strict=True):
                each.parameter.data = values

    @contextlib.contextmanager
    def installed(
        self, readers: dict[str, list[nn.Module | None]], exact: dict[Any, bool]
    ) -> Iterator[None]:
        """Inside, modules place what they read.

        Args:
            readers: The modules that read each parameter; None: something outside of all.
            exact: Which products by blocks of rows are those of the whole, as far as it is known.
        """
        for name, modules in readers.items():
            for module in modules:
                place = self._always if module is None else self._readers.setdefault(module, [])
                place.append(self.parameters[name])
        found = {module: by_rows(module, read, exact) for module, read in self._readers.items()}
        self._by_rows = {module: way for module, way in found.items() if way is not None}
        before = {m: m.__dict__.get("forward") for m in self._readers}
        try:
            for module, own in before.items():
                module.__dict__["forward"] = _Placing(self, module, own)
            yield
        finally:
            self.use(None)
            for module, own in before.items():
                if own is None:
                    module.__dict__.pop("forward", None)
                else:
                    module.__dict__["forward"] = own
            self._readers, self._by_rows, self._always = {}, {}, []

    @contextlib.contextmanager
    def placing(self, module: nn.Module) -> Iterator[None]:
        """Inside, the parameters that a module reads are there."""
        if self.make is None:
            yield
            return
        read, make = self._readers[module], self.make
        made = self.meet(module, lambda: make(read))
        start = len(self._placed)
        try:
            for each, values in zip(read, made, strict=True):
                self._placed.append((each.parameter, values, each.parameter.data))
                each.parameter.data = values
            yield
        finally:
            while len(self._placed) > start:
                parameter, _, before = self._placed.pop()
                parameter.data = before

    def watched(self, metric: Callable[..., Any]) -> Callable[..., Any]:
        """The same metric, which may read no weight that is not there: later samples can."""
        absent = frozenset(each.absent.data_ptr() for each in self.parameters.values())

        def call(model: nn.Module, batch: Any) -> Any:
            with _Refusing(absent):
                return metric(model, batch)

        return call

    def rows_of(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What a module gives that needs only some rows of its weight at a time, or None."""
        way = self._by_rows.get(module)
        plain = len(args) == 1 and not kwargs and isinstance(args[0], Tensor)
        make: Any = self.make
        if way is None or not plain or not hasattr(make, "rows"):
            return None
        return way(make, self.meet, args[0])

    def leave(self) -> list[tuple[nn.Parameter, Tensor, Tensor]]:
        """Take what is placed out of the model, for another pass to run; see `come_back`."""
        placed, self._placed = self._placed, []
        for parameter, _, before in reversed(placed):
            parameter.data = before
        return placed

    def come_back(self, placed: Iterable[tuple[nn.Parameter, Tensor, Tensor]]) -> None:
        """Place again what `leave` took out."""
        self._placed = list(placed)
        for parameter, values, _ in self._placed:
            parameter.data = values


TRANSFORMED = (
    "Weights that come and go module by module (strategy 'streamed') cannot be used here: the loss "
    "transforms the model by torch.func, which keeps weights for later. With strategy='sequential' "
    "all of them are copied."
)


class _Placing:
    """A forward that runs with the weights of the point; a copy of the module has its own."""

    def __init__(self, stream: Stream, module: nn.Module, own: Any) -> None:
        self._stream, self._module, self._own = stream, module, own
        self._forward = module.forward if own is None else own

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if torch._C._functorch.peek_interpreter_stack() is not None:  # pyright: ignore
            raise ValueError(TRANSFORMED)
        if (found := self._stream.rows_of(self._module, args, kwargs)) is not None:
            return found
        with self._stream.placing(self._module):
            return self._forward(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if self._own is not None:
            return copy.deepcopy(self._own, memo)
        copied = memo[id(self._module)]
        return type(copied).forward.__get__(copied)


class _Refusing(Operations):
    """Refuses operations that take a weight that is not there."""

    def __init__(self, absent: frozenset[int]) -> None:
        self.absent = absent
        super().__init__()

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation; to detach a tensor reads nothing."""
        if self.takes((*args, *kwargs.values())) and func is not torch.ops.aten.detach.default:
            raise ValueError(ELSEWHERE)
        return func(*args, **kwargs)

    def takes(self, given: Sequence[Any]) -> bool:
        """Whether a weight that is not there is among what an operation is given."""
        for part in given:
            if isinstance(part, Tensor):
                if memory_of(part) in self.absent:
                    return True
            elif isinstance(part, list | tuple) and self.takes(part):
                return True
        return False


def _at_once(place: Any, make: Callable[[], Any] | Generator[None, None, Any]) -> Any:
    if not isinstance(make, Generator):
        return make()
    while True:
        try:
            next(make)
        except StopIteration as end:
            return end.value


def _streamed(entry: Entry, parameter: nn.Parameter) -> Streamed:
    own = parameter.data
    absent = torch.full((), torch.nan, dtype=own.dtype, device=own.device).expand(own.shape)
    return Streamed(entry, parameter, own, absent)
