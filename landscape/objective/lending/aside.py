"""What a loss reaches and may change is set aside, and put back exactly."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from torch import Tensor, nn

_DEPTH, _MANY = 3, 1000  # of containers inside containers, and of what is looked into
_NONE = object()  # no such attribute


class Aside:
    """Things of the user's, as they were; each is taken once, and `put_back` restores all.

    Attributes:
        changed: Which attributes of which modules, by identity, were found changed when they were
            put back.
    """

    def __init__(self) -> None:
        self.modules: dict[int, tuple[nn.Module, dict[str, Any]]] = {}
        self.leaves: dict[int, tuple[Tensor, Tensor | None, Tensor | None]] = {}
        self.storages: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self.changed: dict[int, set[str]] = {}
        self._containers: list[tuple[int, str, Any, Any]] = []
        self._again: list[tuple[dict[str, Any], str, Any]] = []

    def module(self, module: nn.Module) -> None:
        """The attributes of a module, and what containers among them hold."""
        if id(module) not in self.modules:
            self.modules[id(module)] = module, dict(module.__dict__)
            for name, value in module.__dict__.items():
                self._container(id(module), name, value, _DEPTH)

    def attribute(self, module: nn.Module, name: str) -> None:
        """An attribute that every call finds as it was; `module` takes the whole module."""
        self.module(module)
        self._again.append((module.__dict__, name, self.modules[id(module)][1].get(name, _NONE)))

    def leaf(self, tensor: Tensor) -> None:
        """The gradient of a leaf."""
        if id(tensor) not in self.leaves:
            kept = tensor.grad
            self.leaves[id(tensor)] = tensor, kept, None if kept is None else kept.clone()

    def storage(self, tensor: Tensor) -> None:
        """The values of a tensor, and of all that share its memory."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() and storage.data_ptr() not in self.storages:
            self.storages[storage.data_ptr()] = storage, storage.clone()

    @property
    def backward(self) -> bool:
        """Whether a gradient of a leaf has changed."""
        return any(_moved(*each) for each in self.leaves.values())

    def put_back_modules(self, but: tuple[str, ...]) -> bool:
        """Attributes of modules, but some, as they were; whether any was another."""
        changed = False
        for _, name, value, kept in self._containers:
            changed |= name not in but and _refill(value, kept)
        for module, attributes in self.modules.values():
            held = module.__dict__
            names = {n for n in {**attributes, **held} if n not in but}
            for name in names:
                before = attributes.get(name, _NONE)
                if held.get(name, _NONE) is before:
                    continue
                changed = True
                if before is _NONE:
                    del held[name]
                else:
                    held[name] = before
        return changed

    def reset(self) -> None:
        """Values and attributes as they were and no gradients, for another call."""
        for attributes, name, value in self._again:
            if value is _NONE:
                attributes.pop(name, None)
            else:
                attributes[name] = value
        if self._again:
            names = {(id(attributes), name) for attributes, name, _ in self._again}
            for owner, name, value, kept in self._containers:
                if (id(self.modules[owner][0].__dict__), name) in names:
                    _refill(value, kept)
        for storage, kept in self.storages.values():
            storage.copy_(kept)
        for tensor, _, _ in self.leaves.values():
            tensor.grad = None

    def put_back(self) -> None:
        """Everything as it was."""
        for storage, values in self.storages.values():
            storage.copy_(values)
        for owner, name, value, kept in self._containers:
            if _refill(value, kept):
                self.changed.setdefault(owner, set()).add(name)
        for key, (module, attributes) in self.modules.items():
            names = {
                name
                for name in {**attributes, **module.__dict__}
                if module.__dict__.get(name, _NONE) is not attributes.get(name, _NONE)
            }
            if _refill(module.__dict__, attributes):
                self.changed.setdefault(key, set()).update(names)
        for tensor, gradient, values in self.leaves.values():
            if _moved(tensor, gradient, values):
                if gradient is not None and values is not None:
                    gradient.detach().copy_(values)
                tensor.grad = gradient

    def _container(self, owner: int, name: str, value: Any, depth: int) -> None:
        if not isinstance(value, dict | list | set | deque):
            return
        self._containers.append((owner, name, value, _copied(value)))
        if depth and len(value) <= _MANY:
            for inner in value.values() if isinstance(value, dict) else value:
                self._container(owner, name, inner, depth - 1)


def _copied(value: Any) -> Any:
    plain = dict if isinstance(value, dict) else set if isinstance(value, set) else list
    return plain(value)


def _same(value: Any, kept: Any) -> bool:
    if isinstance(value, set):
        return value == kept
    if isinstance(value, dict):
        return list(map(id, value)) == list(map(id, kept)) and all(
            value[key] is kept[key] for key in kept
        )
    return len(value) == len(kept) and all(a is b for a, b in zip(value, kept, strict=True))


def _refill(value: Any, kept: Any) -> bool:
    """Let a container hold again what it held, and say whether it did not."""
    if _same(value, kept):
        return False
    value.clear()
    value.extend(kept) if isinstance(value, list | deque) else value.update(kept)
    return True


def _moved(tensor: Tensor, gradient: Tensor | None, values: Tensor | None) -> bool:
    if tensor.grad is not gradient or gradient is None or values is None:
        return tensor.grad is not gradient
    return not torch.equal(gradient, values)
