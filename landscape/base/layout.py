"""Layout: which slice of the flat parameter vector is which tensor, and of what kind."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from landscape.base.kinds import Kind, check_real, filter_axis_of, kind_of
from landscape.base.names import paired_names
from landscape.base.shown import short

if TYPE_CHECKING:
    from torch import nn

_ORIGINAL = re.compile(r"(?:(.*)\.)?parametrizations\.\w+\.original\d*")


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
        aliases: Its other names, of tied weights.
    """

    name: str
    shape: tuple[int, ...]
    offset: int
    kind: Kind
    filter_axis: int = 0
    aliases: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def slice(self) -> slice:
        """Where the tensor lies in the flat vector."""
        return slice(self.offset, self.offset + self.size)

    def blocks(self, most: int = 2**20) -> Iterator[slice]:
        """Rows, along the first axis, in parts of at most so many elements, or of one row."""
        if not self.shape:
            yield slice(0, 1)
            return
        each = max(1, most * self.shape[0] // max(1, self.size))
        for start in range(0, self.shape[0], each):
            yield slice(start, min(self.shape[0], start + each))

    def rows(self, tensor: Any, rows: slice) -> Any:
        """Rows of a tensor of this shape; one without axes is given whole."""
        return tensor[rows] if self.shape else tensor

    def at(self, offset: int) -> Entry:
        """The same tensor at another place."""
        return replace(self, offset=offset)


@dataclass(frozen=True)
class Layout:
    """The order, shapes and kinds of the tensors that make up a flat vector.

    Only trainable parameters (`requires_grad`) are part of a model's layout: what an optimizer
    does not move is never perturbed either. A parameter used in several places (tied weights)
    appears once, under its first name. The tensors of a parametrized weight (weight norm) have
    the kind and the filter axis of the layer they belong to.

    >>> import torch
    >>> layout = Layout.of(torch.nn.Linear(2, 3))
    >>> [(entry.name, entry.shape) for entry in layout], layout.size
    ([('weight', (3, 2)), ('bias', (3,))], 9)
    """

    entries: tuple[Entry, ...]

    def __repr__(self) -> str:
        names = (f"{entry.name} {'x'.join(map(str, entry.shape))}" for entry in self.entries)
        return short("Layout", f"{self.size:,} parameters in {len(self)} tensors", *names)

    @classmethod
    def of(cls, model: nn.Module) -> Layout:
        """The layout of a model's trainable parameters.

        Raises:
            ValueError: If the model has none, or one that is complex or has no shape yet.
        """
        found = cls._of_parameters(model, trainable=True)
        if not found.size:
            raise ValueError(
                "The model has no trainable parameter (requires_grad is False on all of them, or "
                "there are none, or they are empty); call model.requires_grad_(True) on what "
                "should be studied."
            )
        return found

    @classmethod
    def of_buffers(cls, model: nn.Module) -> Layout:
        """The layout of a model's floating-point buffers (running statistics); may be empty."""
        named = [(n, b) for n, b in model.named_buffers() if b.is_floating_point()]
        return cls.joined(Entry(name, tuple(b.shape), 0, "norm") for name, b in named)

    @classmethod
    def of_frozen(cls, model: nn.Module) -> Layout:
        """The layout of a model's floating-point parameters that are not trained; may be empty."""
        return cls._of_parameters(model, trainable=False)

    @classmethod
    def joined(cls, entries: Iterable[Entry]) -> Layout:
        """The layout in which these tensors follow each other; their offsets are set."""
        found: list[Entry] = []
        for entry in entries:
            found.append(entry.at(found[-1].slice.stop if found else 0))
        return cls(tuple(found))

    @classmethod
    def _of_parameters(cls, model: nn.Module, *, trainable: bool) -> Layout:
        modules = dict(model.named_modules())
        aliases: dict[int, list[str]] = {}
        for name, parameter in model.named_parameters(remove_duplicate=False):
            aliases.setdefault(id(parameter), []).append(name)
        entries: list[Entry] = []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad is not trainable:
                continue
            if not (trainable or parameter.is_floating_point()):
                continue
            check_real(name, parameter)
            owner = modules[name.rpartition(".")[0]]
            dimensions = parameter.dim()
            if layer := _ORIGINAL.fullmatch(name):
                dimensions = max(p.dim() for p in owner.parameters(recurse=False))
                owner = modules[layer[1] or ""]
            entries.append(
                Entry(
                    name,
                    tuple(parameter.shape),
                    0,
                    kind_of(owner, dimensions),
                    filter_axis_of(owner) if parameter.dim() >= 2 else 0,
                    tuple(aliases[id(parameter)][1:]),
                )
            )
        return cls.joined(entries)

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
        if tensor.ndim < 2:
            return np.abs(tensor)
        axes = tuple(a for a in range(tensor.ndim) if a != entry.filter_axis)
        return np.sqrt((tensor**2).sum(axis=axes, keepdims=True))

    def pairs(self, other: Layout) -> dict[str, Entry]:
        """The tensors of `other` that are mine, by my names; see `landscape.base.names`.

        A tensor of another shape is none of mine.
        """
        mine = {e.name: (e.name, *e.aliases) for e in self}
        theirs = {e.name: e for e in other}
        found = paired_names(mine, theirs)
        if len(found) < len(mine):  # they may know a tied weight by its other names
            aliases = {name: e for e in other for name in (e.name, *e.aliases)}
            more = paired_names(mine, aliases)
            if len(more) > len(found):
                found, theirs = more, aliases
        shapes = {e.name: e.shape for e in self}
        return {n: theirs[t] for n, t in found.items() if theirs[t].shape == shapes[n]}

    def matched(self, vector: Any, *, of: Layout | None = None) -> Any:
        """A vector in the order of this layout.

        Args:
            vector: Shape (..., P). One without a layout is taken to be in this order already.
            of: The layout of the vector; default: what it knows itself.

        Returns:
            The vector itself where its order is this one.

        Raises:
            ValueError: If it belongs to another model.
        """
        theirs = of or getattr(vector, "layout", None)
        if theirs is None or theirs is self:
            return vector
        pieces = self.pieces(theirs)
        if all(piece == entry.slice for piece, entry in zip(pieces, self, strict=True)):
            return vector
        plain = np.asarray(vector)
        return np.concatenate([plain[..., piece] for piece in pieces], axis=-1)

    def pieces(self, theirs: Layout) -> list[slice]:
        """Where each of my tensors lies in a vector of layout `theirs`.

        Raises:
            ValueError: If it is the layout of another model.
        """
        if [(e.name, e.shape) for e in self] == [(e.name, e.shape) for e in theirs]:
            return [entry.slice for entry in self]
        found = self.pairs(theirs)
        if len(found) < len(self) or len(found) < len(theirs):
            raise ValueError(
                f"The vectors belong to different models: {self.differences(theirs)}. (Where only "
                "names differ, np.asarray(vector) has none and is taken as it is.)"
            )
        return [found[entry.name].slice for entry in self]

    def differences(self, other: Layout) -> str:
        """How `other` differs, in one sentence; empty when names, order and shapes agree.

        Wrappers' names make no difference.
        """
        pairs = self.pairs(other)
        renamed = {entry.name: name for name, entry in pairs.items()}
        mine = {e.name: e.shape for e in self}
        theirs = {renamed.get(e.name, e.name): e.shape for e in other}
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
        entries = [asdict(entry) for entry in self]
        return json.dumps([{k: v for k, v in e.items() if v or k != "aliases"} for e in entries])

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """The layout that `to_json` wrote.

        Raises:
            ValueError: If the text is not such a layout.
        """
        try:
            entries = tuple(_entry(e) for e in json.loads(text))
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            said = f"{error!r:.200}"
            raise ValueError(f"The stored layout cannot be read ({said}).") from error
        if len({entry.name for entry in entries}) < len(entries):
            raise ValueError("The stored layout names a tensor twice.")
        offset = 0
        for entry in entries:
            if entry.offset != offset:
                raise ValueError(f"The stored layout has a gap at {entry.name!r:.80}.")
            offset += entry.size
        return cls(entries)


def _entry(stored: Any) -> Entry:
    shape, axis = tuple(int(n) for n in stored["shape"]), int(stored["filter_axis"])
    aliases = stored.get("aliases", ())
    strings = (stored["name"], *aliases)
    if stored["kind"] not in get_args(Kind) or not all(isinstance(s, str) for s in strings):
        raise ValueError("a name or a kind is none")
    if min(shape, default=0) < 0 or not 0 <= axis < max(2, len(shape)) or math.prod(shape) >= 2**62:
        raise ValueError(f"shape {str(shape)[:80]} and filter axis {axis}")
    return Entry(stored["name"], shape, int(stored["offset"]), stored["kind"], axis, tuple(aliases))
