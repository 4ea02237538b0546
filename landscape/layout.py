"""Layout: which slice of the flat parameter vector is which tensor, and of what kind."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from torch import nn

Kind = Literal["weight", "bias", "norm"]


@dataclass(frozen=True)
class Entry:
    """One tensor in the flat vector.

    Attributes:
        name: Its name in the model, as in `named_parameters()`.
        shape: Its shape.
        offset: Position of its first element in the flat vector.
        kind: ``weight`` (two or more dimensions), ``bias`` (one or none), ``norm`` (any tensor of
            a normalization module).
        filter_axis: The axis that counts output filters or neurons (1 for transposed
            convolutions and for weights stored as (in, out)).
    """

    name: str
    shape: tuple[int, ...]
    offset: int
    kind: Kind
    filter_axis: int = 0

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def slice(self) -> slice:
        """Where the tensor lies in the flat vector."""
        return slice(self.offset, self.offset + self.size)


@dataclass(frozen=True)
class Layout:
    """The order, shapes and kinds of the tensors that make up a flat vector.

    Only trainable parameters (`requires_grad`) are part of a model's layout: what an optimizer
    does not move is never perturbed either. A parameter used in several places (tied weights)
    appears once, under its first name.
    """

    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, model: nn.Module) -> Layout:
        """The layout of a model's trainable parameters.

        Raises:
            ValueError: If the model has none.
        """
        modules = dict(model.named_modules())
        entries: list[Entry] = []
        offset = 0
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            owner = type(modules[name.rpartition(".")[0]]).__name__
            shape = tuple(parameter.shape)
            entries.append(Entry(name, shape, offset, _kind(owner, shape), _filter_axis(owner)))
            offset += entries[-1].size
        if not entries:
            raise ValueError(
                "The model has no trainable parameter (requires_grad is False on all of them, or "
                "there are none); call model.requires_grad_(True) on what should be studied."
            )
        return cls(tuple(entries))

    @classmethod
    def of_buffers(cls, model: nn.Module) -> Layout:
        """The layout of a model's floating-point buffers (running statistics); may be empty."""
        entries: list[Entry] = []
        offset = 0
        for name, buffer in model.named_buffers():
            if buffer.is_floating_point():
                entries.append(Entry(name, tuple(buffer.shape), offset, "norm"))
                offset += entries[-1].size
        return cls(tuple(entries))

    @classmethod
    def of_frozen(cls, model: nn.Module) -> Layout:
        """The layout of a model's floating-point parameters that are not trained; may be empty."""
        modules = dict(model.named_modules())
        entries: list[Entry] = []
        offset = 0
        for name, parameter in model.named_parameters():
            if parameter.requires_grad or not parameter.is_floating_point():
                continue
            owner, shape = type(modules[name.rpartition(".")[0]]).__name__, tuple(parameter.shape)
            entries.append(Entry(name, shape, offset, _kind(owner, shape), _filter_axis(owner)))
            offset += entries[-1].size
        return cls(tuple(entries))

    @property
    def size(self) -> int:
        """Length of the flat vector."""
        return sum(entry.size for entry in self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def filter_norms(self, entry: Entry, vector: np.ndarray) -> np.ndarray:
        """Euclidean norm of every filter of the tensor `entry` in `vector`.

        A filter is what makes one output channel of a convolution or one output neuron of a
        linear layer; a tensor of fewer than two dimensions has one-element filters.

        Returns:
            Norms in double precision, shaped to broadcast against the tensor.
        """
        tensor = vector[entry.slice].reshape(entry.shape).astype(np.float64)
        axes = tuple(a for a in range(tensor.ndim) if a != entry.filter_axis)
        return np.sqrt((tensor**2).sum(axis=axes, keepdims=True)) if axes else np.abs(tensor)

    def differences(self, other: Layout) -> str:
        """How `other` differs, in one sentence; empty when names, order and shapes agree."""
        mine = {e.name: e.shape for e in self}
        theirs = {e.name: e.shape for e in other}
        if list(mine.items()) == list(theirs.items()):
            return ""
        missing = [n for n in mine if n not in theirs]
        extra = [n for n in theirs if n not in mine]
        shapes = [n for n in mine if n in theirs and mine[n] != theirs[n]]
        parts = []
        if missing:
            parts.append(f"{len(missing)} missing (first: {missing[0]})")
        if extra:
            parts.append(f"{len(extra)} unknown (first: {extra[0]})")
        if shapes:
            first = shapes[0]
            parts.append(
                f"{len(shapes)} of another shape (first: {first}, {mine[first]} against "
                f"{theirs[first]})"
            )
        return "; ".join(parts) or "the same tensors in another order"

    def to_json(self) -> str:
        """This layout as JSON text."""
        return json.dumps([asdict(entry) for entry in self])

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """The layout that `to_json` wrote.

        Raises:
            ValueError: If the text is not such a layout.
        """
        try:
            entries = tuple(
                Entry(
                    str(e["name"]),
                    tuple(int(n) for n in e["shape"]),
                    int(e["offset"]),
                    e["kind"],
                    int(e["filter_axis"]),
                )
                for e in json.loads(text)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"The stored layout cannot be read ({error!r}).") from error
        offset = 0
        for entry in entries:
            if entry.offset != offset or min(entry.shape, default=0) < 0:
                raise ValueError(f"The stored layout has a gap at {entry.name!r}.")
            offset += entry.size
        return cls(entries)


def _kind(owner: str, shape: tuple[int, ...]) -> Kind:
    if re.search(r"[Nn]orm(\dd)?($|[A-Z_])", owner):  # BatchNorm2d, LlamaRMSNorm; not NormedLinear
        return "norm"
    return "weight" if len(shape) >= 2 else "bias"


def _filter_axis(owner: str) -> int:
    return 1 if "ConvTranspose" in owner or owner == "Conv1D" else 0
