"""Tensors that are recorded beside a model's parameters."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from landscape.base.layout import Entry, Layout
from landscape.recording.steps import stepped_by
from landscape.recording.watch import MovedUnseen


def tensors_beside(
    model: nn.Module, optimizers: Sequence[Any], named: Mapping[str, Tensor] | None
) -> tuple[list[Tensor], Layout]:
    """What the user named, and what the optimizers step although the model does not hold it.

    Raises:
        TypeError: If something that was named is no tensor.
        ValueError: If no optimizer steps a parameter of the model, or a tensor cannot be recorded.
    """
    found = dict(named or {})
    for name, tensor in found.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f"beside[{name!r}] must be a tensor; got {type(tensor).__name__}.")
        if not tensor.is_floating_point():
            raise ValueError(f"beside[{name!r}] must hold real numbers; got {tensor.dtype}.")
    mine = {id(p) for p in model.parameters()}
    stepped = [p for optimizer in optimizers for p in stepped_by(optimizer)]
    if stepped and not mine & {id(p) for p in stepped}:
        raise ValueError(
            "The optimizer steps none of the model's parameters; pass the model whose parameters "
            "the optimizer was made with."
        )
    loose = _distinct(p for p in stepped if id(p) not in mine | {id(t) for t in found.values()})
    if wrong := [p for p in loose if not p.is_floating_point()]:
        raise ValueError(
            f"The optimizer steps a tensor of type {wrong[0].dtype} that is not the model's, which "
            "cannot be recorded; step torch.view_as_real(...) of it."
        )
    if loose:
        found |= {f"beside.{number}": p for number, p in enumerate(loose)}
        warnings.warn(
            f"{len(loose)} tensor(s) that the optimizer steps are not the model's (first: of shape "
            f"{tuple(loose[0].shape)}). They are recorded beside it as beside.0, ..., but a state "
            "is measured with their present values. Make them the model's (model.k = k), or name "
            "them: beside={'k': k}.",
            MovedUnseen,
            stacklevel=3,
        )
    entries: list[Entry] = []
    for name, tensor in found.items():
        offset = entries[-1].slice.stop if entries else 0
        kind = "weight" if tensor.dim() >= 2 else "bias"
        entries.append(Entry(name, tuple(tensor.shape), offset, kind))
    return list(found.values()), Layout(tuple(entries))


def _distinct(tensors: Iterable[Tensor]) -> list[Tensor]:
    return list({id(tensor): tensor for tensor in tensors}.values())
