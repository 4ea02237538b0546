"""Draws: the random numbers of one thread, taken from private streams instead of everybody's.

The global generators of torch, numpy and Python belong to the whole process. What is measured in
one thread must neither use them up nor put them back, because another thread may be training.
Inside `drawing_from` the draws of this thread are answered by streams of its own: torch's at the
operation that draws, numpy's and Python's at the functions of their modules.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.objective.lending.operations import Operations

_thread = threading.local()  # its `streams`, while it draws from private ones
_lock = threading.Lock()
_users = 0  # threads inside `drawing_from`
_SILENT = {"dropout_p": 0.0, "dropout": 0.0, "training": False, "train": False}  # nothing is drawn


class Streams:
    """Private random numbers.

    Args:
        seed: Where they begin; None begins where the process's own stand at present.

    Attributes:
        used: Whether anything was drawn, seeded or asked for its state.
        instead: Identities of generators that are the user's own and are replaced too.
        held: Generators that were given explicitly, with their states before.
    """

    instead: frozenset[int]

    def __init__(self, seed: tuple[int, ...] | None = None) -> None:
        self.used, self.instead = False, frozenset[int]()
        self.held: dict[int, tuple[torch.Generator, Tensor]] = {}
        self.process: int = os.getpid()  # a forked child, such as a loader's worker, has its own
        self.begin(seed)

    def begin(self, seed: tuple[int, ...] | None) -> None:
        """Begin anew at a seed."""
        self._torch: dict[str, torch.Generator] = {}
        for name in ("numpy", "python"):
            self.__dict__.pop(name, None)
        self._seed = seed
        if seed is None:
            self._now = random.getstate(), np.random.get_state(), torch.get_rng_state()
            self._first = 0
        else:
            state = np.random.SeedSequence(seed).generate_state(2, np.uint64)
            self._first = int(state[0] >> np.uint64(1))

    def of(self, device: torch.device) -> torch.Generator:
        """The generator of torch on a device."""
        key = str(device)
        if key not in self._torch:
            made = torch.Generator(device)
            if self._seed is not None:
                made.manual_seed(self._first)
            elif device.type == "cuda":
                made.set_state(torch.cuda.get_rng_state(device))
            elif device.type == "cpu":
                made.set_state(self._now[2])
            self._torch[key] = made
        return self._torch[key]

    @property
    def cpu(self) -> torch.Generator:
        """The generator of torch on the CPU."""
        return self.of(torch.device("cpu"))

    def manual_seed(self, seed: int) -> torch.Generator:
        """What the user's own `torch.manual_seed` does, here."""
        self._torch, self._seed, self._first = {}, (int(seed),), int(seed)
        return self.cpu

    @cached_property
    def numpy(self) -> np.random.RandomState:
        """Numpy's."""
        made = np.random.RandomState(self._first % 2**32)
        if self._seed is None:
            made.set_state(self._now[1])
        return made

    @cached_property
    def python(self) -> random.Random:
        """Python's."""
        made = random.Random(self._first)
        if self._seed is None:
            made.setstate(self._now[0])
        return made

    def put_back(self) -> None:
        """Give generators that the user passed explicitly their states back."""
        for generator, state in self.held.values():
            generator.set_state(state)

    def call(self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operation of torch; one that draws gets a generator of these."""
        if torch.Tag.nondeterministic_seeded not in getattr(operation, "tags", ()):
            return operation(*args, **kwargs)
        taken = operation._schema.arguments
        names = [a.name for a in taken]
        given = {a.name: a.default_value for a in taken if a.has_default_value()}
        given |= dict(zip(names, args, strict=False)) | kwargs
        if any(name in given and given[name] == off for name, off in _SILENT.items()):
            return operation(*args, **kwargs)
        own = given.get("generator")
        if own is not None and own is not torch.default_generator and id(own) not in self.instead:
            self.held.setdefault(id(own), (own, own.get_state()))
            return operation(*args, **kwargs)
        self.used: bool = True
        generator = self.of(_device(given))
        if "generator" in names:
            where = names.index("generator")
            if where < len(args):
                args = (*args[:where], generator, *args[where + 1 :])
            else:
                kwargs = kwargs | {"generator": generator}
            return operation(*args, **kwargs)
        if (other := _with_generator(operation, names)) is not None:
            return other(*args, **kwargs, generator=generator)
        if operation is torch.ops.aten.native_dropout.default:
            return _dropout(args[0], float(args[1]), generator)
        return operation(*args, **kwargs)


class Drawing(Operations):
    """Inside, the operations of this thread draw from private streams."""

    supports_higher_order_operators = True

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        if "torch._dynamo" in sys.modules:
            _leave_uncompiled()
        super().__init__()

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call an operation, with another generator when it draws."""
        if os.getpid() != self.streams.process:
            return func(*args, **kwargs)
        return self.streams.call(func, args, kwargs)


@cache
def _leave_uncompiled() -> None:
    """Once torch's compiler is loaded, keep it from compiling what sees the operations."""
    apart = torch._disable_dynamo  # pyright: ignore[reportPrivateImportUsage]
    Drawing.__torch_dispatch__ = apart(Drawing.__torch_dispatch__, recursive=True)


@contextlib.contextmanager
def drawing_from(streams: Streams, mode: AbstractContextManager | None = None) -> Iterator[Streams]:
    """Inside, this thread draws from these streams; other threads notice nothing.

    Args:
        streams: Private random numbers.
        mode: Sees the operations in place of `Drawing`.
    """
    outer = getattr(_thread, "streams", None)
    with _answered(), mode or Drawing(streams):
        _thread.streams = streams
        try:
            yield streams
        finally:
            _thread.streams = outer


@contextlib.contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """Inside, this thread draws what the process would draw next, and uses nothing up."""
    with drawing_from(Streams()) as streams:
        try:
            yield
        finally:
            streams.put_back()


def _device(given: dict[str, Any]) -> torch.device:
    tensors = [v for v in given.values() if isinstance(v, Tensor)]
    if given.get("device") is not None:
        return torch.device(given["device"])
    return tensors[0].device if tensors else torch.get_default_device()


def _with_generator(operation: Any, names: list[str]) -> Any:
    """The overload of an operation that also takes a generator."""
    types = {a.name: str(a.type) for a in operation._schema.arguments}
    packet = operation.overloadpacket
    for overload in map(packet.__getattr__, packet.overloads()):
        theirs = {a.name: str(a.type) for a in overload._schema.arguments}
        if "generator" in theirs and {n: t for n, t in theirs.items() if n != "generator"} == types:
            return overload
    return None


def _dropout(x: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    mask = torch.empty_like(x).bernoulli_(1 - share, generator=generator)
    return x * mask / (1 - share), mask.bool()


Redirect = tuple[Any, str, Callable[[Streams], Callable[..., Any]]]


def _redirects() -> Iterator[Redirect]:
    """The functions that draw from, or ask for, the global generators: module, name, instead."""
    for module, owner, mine in (
        (np.random, np.random.mtrand._rand, "numpy"),
        (random, random._inst, "python"),  # pyright: ignore[reportAttributeAccessIssue]
    ):
        for name, function in vars(module).items():
            if getattr(function, "__self__", None) is owner and callable(function):
                yield module, name, lambda s, m=mine, n=name: getattr(getattr(s, m), n)
    yield np.random, "seed", lambda s: s.numpy.seed
    for name in ("ranf", "sample"):
        yield np.random, name, lambda s: s.numpy.random_sample
    for module in (torch, torch.random):
        yield module, "manual_seed", lambda s: s.manual_seed
        yield module, "seed", lambda s: s.cpu.seed
        yield module, "initial_seed", lambda s: s.cpu.initial_seed
        yield module, "get_rng_state", lambda s: s.cpu.get_state
        yield module, "set_rng_state", lambda s: s.cpu.set_state


def _answering(
    original: Callable[..., Any], instead: Callable[[Streams], Callable[..., Any]]
) -> Callable[..., Any]:
    def answered(*args: Any, **kwargs: Any) -> Any:
        streams = getattr(_thread, "streams", None)
        if streams is None or streams.process != os.getpid():
            return original(*args, **kwargs)
        streams.used = True
        return instead(streams)(*args, **kwargs)

    return answered


_originals: list[tuple[Any, str, Any]] = []


@contextlib.contextmanager
def _answered() -> Iterator[None]:
    """While any thread is inside, the functions ask which thread calls them."""
    global _users
    with _lock:
        if not _users:
            for module, name, instead in list(_redirects()):
                original = getattr(module, name)
                _originals.append((module, name, original))
                setattr(module, name, _answering(original, instead))
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                while _originals:
                    module, name, original = _originals.pop()
                    setattr(module, name, original)
