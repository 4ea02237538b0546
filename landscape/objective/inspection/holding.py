"""What a loss itself writes between its calls: counts, averages, what it saw first.

Such things lie in a closure, in the object that the loss is or belongs to, or among the globals of
its file. Only what the code of the loss assigns to is looked at: everything else in reach may
belong to another thread.
"""

from __future__ import annotations

import dis
import functools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType
from typing import Any

from torch import nn

from landscape.objective.returned import Canonical

_NONE = object()  # nothing there
_CONTAINERS = (dict, list, set, deque)
_CHANGES = {"append", "extend", "insert", "pop", "clear", "update", "setdefault", "add"}


@dataclass(frozen=True)
class Slot:
    """A place that a loss assigns to, as it was when this was made.

    Attributes:
        place: A cell of a closure, or a dictionary of attributes or globals.
        name: The key in a dictionary.
        value: What it held.
        content: A copy of what that held, if it is a container.
    """

    place: Any
    name: str
    value: Any
    content: Any

    @property
    def changed(self) -> bool:
        """Whether it holds something else now."""
        now = _held(self.place, self.name)
        if now is not self.value or self.content is None:
            return now is not self.value
        if isinstance(now, set):
            return now != self.content
        one, other = (
            [*each, *each.values()] if isinstance(each, dict) else each
            for each in (now, self.content)
        )
        return len(one) != len(other) or any(a is not b for a, b in zip(one, other, strict=True))

    def put_back(self) -> None:
        """Let it hold again what it held."""
        if not self.changed:
            return
        if self.content is not None:
            self.value.clear()
            add = self.value.update if isinstance(self.value, dict | set) else self.value.extend
            add(self.content)
        if isinstance(self.place, dict):
            if self.value is _NONE:
                self.place.pop(self.name, None)
            else:
                self.place[self.name] = self.value
        elif self.value is _NONE:
            del self.place.cell_contents
        else:
            self.place.cell_contents = self.value


def slot_at(place: Any, name: str) -> Slot:
    """A place with what it holds now."""
    value = _held(place, name)
    return Slot(place, name, value, type(value)(value) if type(value) in _CONTAINERS else None)


def slots_of(loss: Callable[..., Any]) -> list[Slot]:
    """The places that the code of a loss, and of what it calls, assigns to."""
    found = {(id(place), name): (place, name) for place, name in _places(loss, set())}
    return [slot_at(place, name) for place, name in found.values()]


def _held(place: Any, name: str) -> Any:
    if isinstance(place, dict):
        return place.get(name, _NONE)
    try:
        return place.cell_contents
    except ValueError:  # an empty cell
        return _NONE


def _places(loss: Any, seen: set[CodeType]) -> Iterator[tuple[Any, str]]:
    while isinstance(loss, functools.partial | Canonical):
        loss = loss.func if isinstance(loss, functools.partial) else loss.metric
    owner = getattr(loss, "__self__", None)
    if isinstance(loss, nn.Module | type):
        return  # what modules hold is looked at where they run
    if not isinstance(loss, FunctionType) and owner is None:
        owner, loss = loss, vars(type(loss)).get("__call__")
    loss = getattr(loss, "__func__", loss)
    if not isinstance(loss, FunctionType) or loss.__code__ in seen:
        return
    seen.add(loss.__code__)
    names, cells = loss.__globals__, loss.__closure__ or ()
    closure = dict(zip(loss.__code__.co_freevars, cells, strict=True))
    steps = list(_steps(loss.__code__))
    items = any(step.opname == "STORE_SUBSCR" or step.argval in _CHANGES for step in steps)
    for step in steps:
        name = step.argval
        if name in closure:
            held = _held(closure[name], "")
            if step.opname == "STORE_DEREF" or (items and type(held) in _CONTAINERS):
                yield closure[name], ""
        elif step.opname == "STORE_GLOBAL":
            yield names, name
        elif step.opname == "LOAD_GLOBAL" and name in names:
            held = names[name]
            if items and type(held) in _CONTAINERS:
                yield names, name
            if not isinstance(held, FunctionType) or held.__module__ == loss.__module__:
                yield from _places(held, seen)
        elif step.opname in ("STORE_ATTR", "LOAD_ATTR", "LOAD_METHOD"):
            yield from _attributes(owner, step, items, seen)
            if step.opname == "STORE_ATTR":
                for held in (_held(cell, "") for cell in cells):
                    if name in getattr(held, "__dict__", ()):
                        yield held.__dict__, name
    for held in (_held(cell, "") for cell in cells):
        yield from _places(held, seen)


def _attributes(
    owner: Any, step: dis.Instruction, items: bool, seen: set[CodeType]
) -> Iterator[tuple[Any, str]]:
    """Attributes of the object that a loss is a method of."""
    attributes, name = getattr(owner, "__dict__", None), step.argval
    if type(attributes) is not dict:
        return
    kept = items and type(attributes.get(name)) in _CONTAINERS
    if step.opname == "STORE_ATTR" or kept:
        yield attributes, name
    method = getattr(type(owner), name, None)
    if isinstance(method, FunctionType) and name not in attributes:
        yield from _places(MethodType(method, owner), seen)


def _steps(code: CodeType) -> Iterator[dis.Instruction]:
    """The instructions of a function, and of functions inside it."""
    yield from dis.get_instructions(code)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _steps(inner)
