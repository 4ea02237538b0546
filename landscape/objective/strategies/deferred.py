"""What a layer will have made, computed once it is known what follows.

oneDNN applies an activation, and adds another tensor before it, while a block of a convolution or
matrix product is in the cache; torch's own way passes over the memory once for each. A layer that
gives a `Deferred` lets the sum and the activation join. Whatever else is done with it computes it
first, also from C++: it has no memory of its own that could be read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map_only

from landscape.objective.strategies.work import UnsuitableError

Compute = Callable[[Tensor | None, str, str], Tensor]  # added, activation, its option

_TOLD = {  # what is known of a tensor before it is computed
    getattr(Tensor, name).__get__
    for name in ("shape", "dtype", "device", "ndim", "requires_grad", "is_cuda", "layout")
} | {Tensor.size, Tensor.dim, Tensor.numel, Tensor.is_floating_point, Tensor.__len__}
_ACTIVATIONS = {
    "relu": {F.relu, torch.relu, Tensor.relu},
    "tanh": {F.tanh, torch.tanh, Tensor.tanh},
    "sigmoid": {F.sigmoid, torch.sigmoid, Tensor.sigmoid},
    "gelu": {F.gelu},
}
_IN_PLACE = {F.relu_, torch.relu_, Tensor.relu_}
_ADD = {torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__}
_ADD_IN_PLACE = {Tensor.add_, Tensor.__iadd__}


@dataclass(frozen=True)
class Recipe:
    """How to make a tensor.

    Attributes:
        layer: What makes it.
        compute: Gives it, with a tensor added (or None) and an activation applied.
        read: Tensors that are read, with their versions when they were given.
        activations: Those that can be joined.
        after_sum: Those that can be joined when a tensor is added.
        added: Is added.
    """

    layer: Any
    compute: Compute
    read: tuple[tuple[Tensor, int], ...]
    activations: tuple[str, ...]
    after_sum: tuple[str, ...]
    added: Tensor | None = None

    def joins(self, activation: str) -> bool:
        """Whether oneDNN applies this activation here."""
        return activation in (self.activations if self.added is None else self.after_sum)

    def plus(self, other: Tensor) -> Recipe:
        """The same with a tensor added."""
        return replace(self, added=other, read=(*self.read, (other, other._version)))

    def make(self, activation: str = "none", option: str = "") -> Tensor:
        """Compute it."""
        if any(tensor._version != version for tensor, version in self.read):
            raise UnsuitableError("what a layer reads is written over before its output is read")
        return self.compute(self.added, activation, option)


class Deferred(Tensor):
    """A tensor that is computed when it is read."""

    recipe: Recipe
    value: Tensor | None

    @staticmethod
    def __new__(cls, recipe: Recipe, like: Tensor, shape: torch.Size) -> Deferred:
        """A tensor of this shape, of the type and on the device of another."""
        self = Tensor._make_wrapper_subclass(cls, shape, dtype=like.dtype, device=like.device)
        self.recipe, self.value = recipe, None
        return self

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Join a sum or an activation, tell the shape, or compute and go on."""
        kwargs = kwargs or {}
        if func in _TOLD:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **kwargs)
        if (joined := _joined(func, args, kwargs)) is not None:
            return joined
        return func(*_computed(args), **_computed(kwargs))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute what is read from C++, and go on."""
        return func(*_computed(args), **_computed(kwargs or {}))


def computed(x: Any) -> Any:
    """A plain tensor for what is deferred, everything else as it is."""
    if not isinstance(x, Deferred):
        return x
    if x.value is None:
        x.value = x.recipe.make()
    return x.value


def _computed(given: Any) -> Any:
    return tree_map_only(Deferred, computed, given)


def _joined(func: Any, args: Any, kwargs: Any) -> Tensor | None:
    """What oneDNN makes of a layer and the function that follows it; None if it cannot."""
    if func in _ADD and len(args) == 2 and not kwargs:
        return _sum(*args)
    if not args or not isinstance(args[0], Deferred) or args[0].value is not None:
        return None
    first = args[0]
    if func in _ADD_IN_PLACE and len(args) == 2 and not kwargs:
        other = computed(args[1])
        if not _fits(first, other):
            return None
        first.recipe = first.recipe.plus(other)
        return first
    name = next((name for name, functions in _ACTIVATIONS.items() if func in functions), None)
    inplace = func in _IN_PLACE or (
        func is F.relu and (kwargs.get("inplace") or args[1:] == (True,))
    )
    name = "relu" if inplace else name
    if name is None or not first.recipe.joins(name):
        return None
    option = kwargs.get("approximate", "none") if name == "gelu" else ""
    if set(kwargs) - {"inplace", "approximate"} or (args[1:] and func is not F.relu):
        return None
    value = first.recipe.make(name, option)
    if inplace:
        first.value = value
    return value


def _sum(a: Any, b: Any) -> Tensor | None:
    for one, other in ((a, b), (b, a)):
        if isinstance(one, Deferred) and one.value is None and _fits(one, other):
            other = computed(other)
            return Deferred(one.recipe.plus(other), other, one.shape)
    return None


def _fits(one: Deferred, other: Any) -> bool:
    return (
        isinstance(other, Tensor)
        and one.recipe.added is None
        and one is not other
        and other.shape == one.shape
        and other.dtype == one.dtype
        and other.device == one.device
    )
