"""Structures of tensors: tuples, lists, mappings and dataclasses, which keep their class.

Whatever else has a ``.to`` of its own, as the batches of graph libraries, is an object: it is not
looked into. Arrays of numbers become tensors.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

_PLAIN = (str, bytes, int, float, complex, type(None), np.generic, torch.dtype, torch.device)
_DEEPEST = 3  # objects in objects that are still looked into for tensors


def mapped(
    batch: Any, leaf: Callable[[Any], Any], whole: Callable[[Any], bool] = lambda part: False
) -> Any:
    """Apply a function to everything in a structure.

    Args:
        batch: The structure.
        leaf: What replaces a part.
        whole: Which structures within are parts too, and not looked into.
    """
    if whole(batch) or not is_structure(batch):
        return leaf(batch)
    if type(batch) in (tuple, list):
        return type(batch)([mapped(part, leaf, whole) for part in batch])
    children = children_of(batch).items()
    return with_children(batch, {key: mapped(value, leaf, whole) for key, value in children})


def map_tensors(batch: Any, function: Callable[[Tensor], Any]) -> Any:
    """Apply a function to every tensor in a structure."""
    return mapped(batch, lambda x: function(x) if isinstance(x := tensor_of(x), Tensor) else x)


def leaves(batch: Any) -> list[Any]:
    """What a structure holds: tensors, plain data of Python's, objects."""
    found: list[Any] = []
    mapped(batch, found.append)
    return found


def tensors_of(batch: Any) -> list[Tensor]:
    """The tensors in a structure."""
    return [leaf for leaf in leaves(batch) if isinstance(leaf, Tensor)]


def everything(batch: Any, depth: int = 0) -> Iterator[Any]:
    """Tensors and plain data in a structure, and in the attributes of its objects."""
    for leaf in map(tensor_of, leaves(batch)):
        if not is_object(leaf):
            yield leaf
            continue
        yield type(leaf).__qualname__
        if depth < _DEEPEST and not callable(leaf):
            yield from everything(list(getattr(leaf, "__dict__", {}).values()), depth + 1)


def is_structure(batch: Any) -> bool:
    """Whether something is looked into."""
    if isinstance(batch, Tensor):
        return False
    if isinstance(batch, dict | UserDict):
        return True
    inside = dataclasses.is_dataclass(batch) and not isinstance(batch, type)
    inside = inside or isinstance(batch, tuple | list | Mapping)
    return inside and not callable(getattr(batch, "to", None))


def is_object(leaf: Any) -> bool:
    """Whether a leaf is neither a tensor nor plain data of Python's."""
    return not isinstance(leaf, (Tensor, *_PLAIN))


def tensor_of(leaf: Any) -> Any:
    """An array of numbers as a tensor; everything else as it is."""
    if not isinstance(leaf, np.ndarray) or leaf.dtype.kind not in "biufc":
        return leaf
    usable = leaf.flags.writeable and all(stride >= 0 for stride in leaf.strides)
    if usable and leaf.dtype.isnative:
        return torch.from_numpy(leaf)
    return torch.from_numpy(np.array(leaf, leaf.dtype.newbyteorder("=")))


def fresh(tensor: Tensor, like: Tensor) -> Tensor:
    """A tensor without history, which requires gradients if the other does."""
    return tensor.detach().requires_grad_(like.requires_grad)


def renewed(batch: Any) -> Any:
    """The same in new containers; tensors that require gradients are leaves of their own."""
    if type(batch) in (tuple, list) and all(type(x) is Tensor for x in batch):
        return type(batch)([fresh(x, x) if x.requires_grad else x for x in batch])
    return mapped(batch, lambda x: fresh(x, x) if isinstance(x, Tensor) and x.requires_grad else x)


def copied(batch: Any) -> Any:
    """A structure with copies of its tensors and objects."""

    def copy_of(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return leaf.clone()
        return copy.deepcopy(leaf) if is_object(leaf) else leaf

    return mapped(batch, copy_of)


def identical(one: Any, other: Any) -> bool:
    """Whether two structures hold the very same things."""
    if not is_structure(one) or type(one) is not type(other):
        return one is other
    first, second = children_of(one), children_of(other)
    return first.keys() == second.keys() and all(identical(first[k], second[k]) for k in first)


def children_of(batch: Any) -> dict[Any, Any]:
    """What lies in a structure, by key, place or name."""
    if isinstance(batch, Mapping):
        return {key: batch[key] for key in batch}
    if isinstance(batch, tuple | list):
        return dict(enumerate(batch))
    return {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}


def with_children(like: Any, children: dict[Any, Any]) -> Any:
    """A structure of the class of another."""
    if type(like) is dict or isinstance(like, MappingProxyType):
        return children
    if isinstance(like, tuple | list):
        values = list(children.values())
        return type(like)(*values) if hasattr(like, "_fields") else type(like)(values)
    if isinstance(like, Mapping) and not isinstance(like, MutableMapping):
        return type(like)(children)  # pyright: ignore[reportCallIssue]
    made = copy.copy(like)
    for key, value in children.items():
        if isinstance(like, Mapping):
            made[key] = value
        else:
            object.__setattr__(made, key, value)
    return made


def bytes_of(leaf: Any) -> list[np.ndarray]:
    """What a leaf is, for hashes."""
    if not isinstance(leaf, Tensor):
        return [] if leaf is None else [np.frombuffer(repr(leaf).encode(), np.uint8)]
    leaf = leaf.detach().cpu()
    if leaf.is_nested:
        return [piece for part in leaf.unbind() for piece in bytes_of(part)]
    if leaf.layout == torch.sparse_coo:
        leaf = leaf.coalesce()
        return bytes_of(leaf.indices()) + bytes_of(leaf.values())
    if leaf.layout != torch.strided:
        return bytes_of(leaf.to_sparse_coo())
    if leaf.dtype == torch.bfloat16:
        leaf = leaf.view(torch.int16)
    return [leaf.resolve_conj().resolve_neg().numpy()]
