"""What a loss can reach without being given it: nets in its closure, generators of random numbers.

A loss may put such a net into another mode before it runs it, or draw from a generator of its own.
They are looked up before, and put back.
"""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
_DEPTH, _MANY, _ALL = 6, 100, 2000  # of what is looked into: how deep, per container, in all
_SHARED = {id(np.random.mtrand._rand), id(getattr(random, "_inst", None))}  # the process's own


class Reached:
    """The nets and generators in reach of some functions and objects.

    Attributes:
        modules: Nets, without their parts.
        generators: Generators of numpy's and Python's that are not the process's own.
        torchs: The same of torch's.
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        self.modules: list[nn.Module] = []
        self.generators: list[Any] = []
        self.torchs: list[torch.Generator] = []
        self._seen: set[int] = set()
        for root in roots:
            self._visit(root, _DEPTH)

    def _visit(self, thing: Any, depth: int) -> None:
        plain = thing is None or isinstance(thing, str | bytes | int | float | complex | Tensor)
        if plain or isinstance(thing, type | ModuleType | np.ndarray):
            return
        if id(thing) in self._seen or not depth or len(self._seen) > _ALL:
            return
        self._seen.add(id(thing))
        if isinstance(thing, _GENERATORS):
            if id(thing) not in _SHARED:
                self.generators.append(thing)
            return
        if isinstance(thing, torch.Generator):
            self.torchs.append(thing)
            return
        if isinstance(thing, nn.Module):
            self._visit_module(thing, depth)
            return
        for inner in _inside(thing):
            self._visit(inner, depth - 1)

    def _visit_module(self, module: nn.Module, depth: int) -> None:
        self.modules.append(module)
        for part in module.modules():
            self._seen.add(id(part))
            for name, value in part.__dict__.items():
                if not name.startswith("_") or isinstance(value, (*_GENERATORS, torch.Generator)):
                    self._visit(value, depth - 1)


@contextlib.contextmanager
def left_as_found(reached: Reached) -> Iterator[Reached]:
    """Modes, and what requires gradients, of nets in reach are put back at the end."""
    modes = [(m, m.training) for net in reached.modules for m in net.modules()]
    trained = [(p, p.requires_grad) for net in reached.modules for p in net.parameters()]
    try:
        yield reached
    finally:
        for module, training in modes:
            if module.training != training:
                module.training = training
        for parameter, requires in trained:
            if parameter.requires_grad != requires:
                parameter.requires_grad_(requires)


@contextlib.contextmanager
def generators_kept(roots: Iterable[Any]) -> Iterator[None]:
    """Generators in reach stand at the end where they stood."""
    states = [(g, state_of(g)) for g in Reached(roots).generators]
    try:
        yield
    finally:
        for generator, state in states:
            put_at(generator, state)


def state_of(generator: Any) -> Any:
    """Where a generator stands; states can be compared by `repr`."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return generator.getstate()


def put_at(generator: Any, state: Any) -> None:
    """Let a generator stand there again."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.setstate(state)


def seed_anew(generator: Any, seed: tuple[int, ...]) -> None:
    """Let a generator stand where a seed puts it."""
    sequence = np.random.SeedSequence(seed)
    if isinstance(generator, np.random.Generator):
        bits = type(generator.bit_generator)
        generator.bit_generator.state = bits(sequence).state
    elif isinstance(generator, np.random.RandomState):
        generator.seed(sequence.generate_state(4))
    else:
        generator.seed(int(sequence.generate_state(1)[0]))


def same_state(one: Any, other: Any) -> bool:
    """Whether two states are the same."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_state(one[k], other[k]) for k in one)
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other))
    return bool(one == other)


def _inside(thing: Any) -> Iterable[Any]:
    if isinstance(thing, functools.partial):
        return [thing.func, *thing.args, *thing.keywords.values()]
    if isinstance(thing, MethodType):
        return [thing.__self__, thing.__func__]
    if isinstance(thing, FunctionType):
        return _of_function(thing)
    if isinstance(thing, dict):
        return list(thing.values())[:_MANY]
    if isinstance(thing, list | tuple | set | frozenset):
        return list(thing)[:_MANY]
    attributes = getattr(thing, "__dict__", None)
    library = type(thing).__module__.partition(".")[0] in ("torch", "numpy", "builtins")
    data = isinstance(thing, torch.utils.data.Dataset | torch.utils.data.DataLoader)
    if type(attributes) is dict and (data or is_dataclass(thing) or not library):
        call = type(thing).__dict__.get("__call__")
        return [*list(attributes.values())[:_MANY], *([call] if call else ())]
    return ()


def _of_function(function: FunctionType) -> list[Any]:
    found: list[Any] = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # an empty cell
            found.append(cell.cell_contents)
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        names = [function.__globals__[n] for n in code.co_names if n in function.__globals__]
        mine = function.__module__
        found += [n for n in names if not isinstance(n, FunctionType) or n.__module__ == mine]
        codes += [c for c in code.co_consts if isinstance(c, type(code))]
    return found
