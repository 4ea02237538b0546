"""How a batch holds its samples: how many they are, how it is cut, joined and moved.

    tensors (n, ...), lists of n texts, lists of n structures    one each sample, cut alike
    tensors (1, ...), scalars, texts, other data of Python's     belong to all samples, stay whole

A batch that does not tell (point sets of different lengths, objects), or cannot be cut (sparse or
nested tensors), is handed to the loss as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from landscape.objective.data.structure import (
    children_of,
    fresh,
    is_object,
    is_structure,
    leaves,
    mapped,
    renewed,
    tensors_of,
    with_children,
)


class Uncounted(int):
    """The number of samples in a batch of which only the loss can tell it for sure.

    Attributes:
        known: Whether the batch itself says this number.
    """

    known: bool

    def __new__(cls, samples: int | None) -> Uncounted:
        """What the batch says; None counts it as one."""
        made = super().__new__(cls, samples or 1)
        made.known = samples is not None
        return made

    def __reduce__(self) -> Any:
        """For other processes."""
        return Uncounted, (int(self) if self.known else None,)


class Form(NamedTuple):
    """How a batch holds its samples.

    Attributes:
        samples: How many.
        cuttable: Whether it can be cut into parts.
        listed: Whether inner lists hold one structure per sample.
        shared: Whether a tensor (1, ...) belongs to all samples.
    """

    samples: int
    cuttable: bool = True
    listed: bool = False
    shared: bool = False


def forms_of(batches: Sequence[Any]) -> list[Form | None]:
    """How batches hold their samples: all in one way, or None for all."""
    forms = [form_of(batch) for batch in batches]
    lists = [[(len(part), depth) for part, depth in _lists_of_parts(batch)] for batch in batches]
    if any(form is not None and form.listed for form in forms) or any(
        found != lists[0] for found in lists
    ):  # a list that is longer in one batch than in another holds samples
        forms = [form_of(batch, listed=True) for batch in batches]
    return forms if all(forms) else [None] * len(forms)


def form_of(batch: Any, *, listed: bool = False) -> Form | None:
    """How a batch holds its samples; None where its parts do not tell.

    Args:
        batch: The batch.
        listed: Whether it is known that inner lists hold one structure per sample.

    Raises:
        ValueError: If it is empty.
    """
    tensors = tensors_of(batch)
    cuttable = not any(map(is_object, leaves(batch))) and all(map(_is_dense, tensors))
    lists = list(_lists(batch))
    lengths = {t.size(0) for t in tensors if t.ndim}
    lengths = lengths or {len(found) for found, _ in lists if _are_texts(found)}
    if lengths == {0}:
        raise ValueError("The data is empty: a tensor holds no sample.")
    samples = max(lengths, default=0)
    fields = samples > 0 and lengths <= {1, samples}
    if listed or not fields:
        inner = [found for found, depth in _lists_of_parts(batch) if depth == 1]
        outer: list[Any] = []
        mapped(batch, outer.append, whole=lambda part: any(part is found for found in inner))
        tensors = [part for part in outer if isinstance(part, Tensor) and part.ndim]
        lengths = {len(part) for part in (*inner, *tensors)}
        samples = max(lengths, default=0)
        if not inner or not lengths <= {1, samples} or {len(part) for part in inner} != {samples}:
            return None
    unclear = any(len(found) == samples > 1 and _are_numbers(found) for found, _ in lists)
    shared = len(lengths) > 1
    return Form(samples, cuttable and not unclear, listed=listed or not fields, shared=shared)


def counts_of(batches: Sequence[Any]) -> list[int]:
    """How many samples batches hold: `Uncounted` where that is the loss's to say."""
    objects = [[part for part in leaves(batch) if is_object(part)] for batch in batches]
    forms = forms_of(batches)
    if not any(objects):
        # What belongs to all samples of one batch only may be a single sample of many parts.
        sure = all(form is not None and not form.shared for form in forms) or len(forms) == 1
        return [form.samples if form and sure else Uncounted(None) for form in forms]
    said = [next((n for n in map(_said_by, some) if n), None) for some in objects]
    return [Uncounted(n if all(said) else None) for n in said]


def cut(batch: Any, form: Form, where: slice | Tensor) -> Any:
    """Some of the samples of a cuttable batch, as views where that is possible."""

    def listed(part: Any) -> bool:
        alike = _is_list(part) and len(part) == form.samples
        return alike and (_are_texts(part) or (form.listed and part is not batch))

    def some(part: Any) -> Any:
        if isinstance(part, Tensor):
            own = part.ndim and len(part) == form.samples
            return fresh(part.detach()[where] if own else part, part)
        if not listed(part):
            return part
        kept = part[where] if isinstance(where, slice) else [part[i] for i in where.tolist()]
        return renewed(with_children(part, dict(enumerate(kept))))

    return mapped(batch, some, listed)


def join(batches: Sequence[Any], forms: Sequence[Form | None]) -> Any:
    """Cuttable batches as one.

    Raises:
        TypeError: If they do not fit together.
    """
    counts = [form.samples for form in forms if form is not None and form.cuttable]
    if len(counts) < len(batches) or len({form and form.listed for form in forms}) > 1:
        raise TypeError("batches that cannot be cut, or of different form")
    per_sample = forms[0] is not None and forms[0].listed

    def joined(parts: Sequence[Any], *, top: bool = False) -> Any:
        one = parts[0]
        if len({type(part) for part in parts}) > 1:
            raise TypeError("parts of different type")
        if isinstance(one, Tensor):
            return _joined_tensors(parts, counts)
        listed = _is_list(one) and (_are_texts(one) or (per_sample and not top))
        if listed and [len(part) for part in parts] == counts:
            return with_children(one, dict(enumerate(x for part in parts for x in part)))
        if not is_structure(one):
            if any(part != one for part in parts):
                raise TypeError("another value in another batch")
            return one
        each = [children_of(part) for part in parts]
        if any(list(children) != list(each[0]) for children in each):
            raise TypeError("batches of different structure")
        found = {key: joined([children[key] for children in each]) for key in each[0]}
        return with_children(one, found)

    return joined(batches, top=True)


def moved(batch: Any, device: torch.device) -> Any:
    """A batch on a device; an object by its own ``.to``, on a copy of it."""

    def to(part: Any) -> Any:
        if isinstance(part, Tensor):
            return fresh(part.detach().to(device), part)
        if not is_object(part) or not callable(getattr(part, "to", None)):
            return part
        part = copy.copy(part)
        there = part.to(device)
        return part if there is None else there

    return mapped(batch, to)


def _said_by(batch: Any) -> int | None:
    """The number of samples that an object says it holds."""
    for name in ("num_graphs", "batch_size"):
        count = getattr(batch, name, None)
        if isinstance(count, Sequence) and count:  # a torch.Size
            count = count[0]
        if isinstance(count, int) and count > 0:
            return count
    return len(batch) if hasattr(batch, "__len__") else None


def _joined_tensors(parts: Sequence[Tensor], counts: list[int]) -> Tensor:
    one = parts[0]
    if len({part.dtype for part in parts}) > 1:
        raise TypeError("tensors of different type")
    if one.ndim and [len(part) for part in parts] == counts:
        if len({part.shape[1:] for part in parts}) > 1:
            raise TypeError("tensors of different shape")
        made = torch.cat([part.detach() for part in parts])
        return made.requires_grad_(any(part.requires_grad for part in parts))
    if all(part.shape == one.shape and torch.equal(part, one) for part in parts):
        return one
    raise TypeError("another value in another batch")


def _lists(batch: Any, depth: int | None = None) -> Iterator[tuple[Sequence[Any], int]]:
    """Every list and tuple, and how many others it lies in; a batch itself is one."""
    if depth is None and not _is_list(batch):
        depth = 1
    depth = depth or 0
    if _is_list(batch):
        yield batch, depth
        depth += 1
    if is_structure(batch):
        for child in children_of(batch).values():
            yield from _lists(child, depth)


def _lists_of_parts(batch: Any) -> list[tuple[Sequence[Any], int]]:
    """The batch and the outermost lists in it, where they hold tensors or structures."""
    return [
        (found, depth)
        for found, depth in _lists(batch)
        if depth < 2 and not _are_texts(found) and not _are_numbers(found)
    ]


def _is_list(part: Any) -> bool:
    """Whether something may be one part per sample; the fields of a named tuple are not."""
    return isinstance(part, list | tuple) and not hasattr(part, "_fields") and is_structure(part)


def _is_dense(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_nested


def _are_texts(parts: Sequence[Any]) -> bool:
    return bool(parts) and all(isinstance(part, str | bytes | None) for part in parts)


def _are_numbers(parts: Sequence[Any]) -> bool:
    return bool(parts) and all(isinstance(part, int | float | np.number) for part in parts)
