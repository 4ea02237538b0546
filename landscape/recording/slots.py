"""Slots: the memory that recorded steps pass through on their way to the file."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.base.layout import Layout

_MEMORY = 512 << 20  # bytes of all slots together, unless the fewest possible need more
_VIEWS = 1 << 14  # tensors that all slots together are seen as, unless again
_MOST, _ENOUGH = 512, 4  # one is filled, one measured, one written, one compared with
_TOGETHER = 32  # of so many that there may be, one is made beside each that is needed


class Flat:
    """A flat vector seen as the tensors of a layout.

    Args:
        vector: The vector, shape (P,).
        layout: Where each tensor lies in it.
        views: The tensors in it, where they are made already.
    """

    def __init__(
        self, vector: Tensor, layout: Layout, views: Sequence[Tensor] | None = None
    ) -> None:
        self.vector = vector
        made = (vector[entry.slice].view(entry.shape) for entry in layout)
        self._views = list(made if views is None else views)
        self._zero: Tensor | None = None

    @classmethod
    def rows(cls, matrix: Tensor, layout: Layout) -> list[Flat]:
        """One for each row of a matrix, made together: views take longer than copies."""
        count = len(matrix)
        views = [matrix[:, e.slice].view(count, *e.shape).unbind() for e in layout]
        of_each = zip(*views, strict=True) if views else [()] * count
        return [cls(v, layout, parts) for v, parts in zip(matrix.unbind(), of_each, strict=True)]

    @torch.no_grad()
    def read(self, tensors: Iterable[Tensor | None]) -> Tensor:
        """Copy tensors in (None: zeros), in the order of the layout; returns the vector."""
        given = [self._zeros() if t is None else t for t in tensors]
        if len(given) != len(self._views):
            raise ValueError(f"{len(self._views)} tensors are recorded; got {len(given)}.")
        if any(t.is_sparse for t in given):
            given = [t.to_dense() for t in given]
        # One call, so that the interpreter is let go of once and not for every tensor.
        torch._foreach_copy_(self._views, given)  # pyright: ignore[reportPrivateImportUsage]
        return self.vector

    def _zeros(self) -> Tensor:
        if self._zero is None:
            self._zero = self.vector.new_zeros(())
        return self._zero

    def moved(self, tensors: Iterable[Tensor]) -> list[int]:
        """Which of the tensors differ, by a bit or more, from what was read of them."""
        pairs = enumerate(zip(self._views, tensors, strict=True))
        return [k for k, (view, tensor) in pairs if not _same(view, tensor)]


def _same(view: Tensor, tensor: Tensor) -> bool:
    bits = torch.int64 if view.dtype == torch.float64 else torch.int32
    now = tensor.detach().to(view).expand(view.shape).contiguous()
    return torch.equal(view.view(bits), now.view(bits))


@dataclass(frozen=True)
class Staged:
    """A vector that goes through a slot.

    Attributes:
        layout: The tensors in it.
        dtype: Its precision.
    """

    layout: Layout
    dtype: torch.dtype = torch.float32

    @property
    def bytes(self) -> int:
        """What one such vector takes."""
        return self.layout.size * self.dtype.itemsize


@dataclass(frozen=True)
class Slot:
    """Room for what is kept of one step.

    Attributes:
        parts: Name to vector: ``parameters`` and, if there are any, ``buffers``, ``beside``,
            ``evaluation``, ``gradient``.
        arrays: The same memory as arrays.
        rows: Name to the vectors of all slots that were made with it, shape (slots, P).
        row: Which of them is its own.
        again: Whether it is one of those that are used again and again.
    """

    parts: Mapping[str, Flat] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    rows: Mapping[str, np.ndarray] = field(default_factory=dict)
    row: int = 0
    again: bool = False


@dataclass
class Step:
    """What is known about one optimizer step (number 0: before the first).

    Attributes:
        number: Which step.
        slot: Where its vectors are.
        scalars: Its numbers.
        stored: Whether its state goes to the file.
        late: Whether its numbers were handed over before, and only its state is new.
        random_state: The random generators after it.
        sums: What `DeviceMotion` returned; None where the writing thread measures.
        sketch: The same for `Sketch`.
        ready: A torch.cuda.Event, or None when everything is there already.
    """

    number: int
    slot: Slot
    scalars: dict[str, float | Tensor] = field(default_factory=dict)
    stored: bool = False
    late: bool = False
    random_state: np.ndarray | None = None
    sums: Tensor | None = None
    sketch: Tensor | None = None
    histogram: Tensor | None = None
    ready: Any = None


class Slots:
    """Slots that are used again and again; so many are made as are needed, up to a limit.

    Args:
        staged: The vectors in a slot, by name.
        pinned: Whether they are in pinned memory, for copies from a GPU.
        fewest: How many there are at least, of which those of large models are not more.

    Attributes:
        staged: The vectors in a slot, by name.
        most: How many there may be.
        made: How many there are.
    """

    staged: Mapping[str, Staged]
    made: int

    def __init__(self, staged: Mapping[str, Staged], *, pinned: bool, fewest: int = 3) -> None:
        self.staged, self._pinned = staged, pinned
        size = sum(part.bytes for part in staged.values())
        views = sum(len(part.layout) for part in staged.values())
        large = _ENOUGH * size > _MEMORY
        least = fewest if large else _ENOUGH
        self.most: int = max(least, min(_MOST, _VIEWS // views, _MEMORY // size))
        self.made = 0
        self._free: queue.SimpleQueue[Slot] = queue.SimpleQueue()

    def take(self) -> Slot:
        """A free slot; waits until there is one when no more may be made."""
        if self.made == self.most or not self._free.empty():
            return self._free.get()
        count = min(max(1, self.most // _TOGETHER), self.most - self.made)
        self.made += count
        first, *others = self._make(count, again=True)
        for slot in others:
            self._free.put(slot)
        return first

    def new(self) -> Slot:
        """A slot that is none of those used again and again."""
        return self._make(1)[0]

    def _make(self, count: int, *, again: bool = False) -> list[Slot]:
        options: Any = {"device": "cpu", "pin_memory": self._pinned}  # whatever the default is
        found: list[dict[str, Flat]] = [{} for _ in range(count)]
        rows: dict[str, np.ndarray] = {}
        with torch.inference_mode(False):
            for name, part in self.staged.items():
                room = torch.empty((count, part.layout.size), dtype=part.dtype, **options)
                rows[name] = room.numpy()
                for parts, flat in zip(found, Flat.rows(room, part.layout), strict=True):
                    parts[name] = flat
        return [
            Slot(parts, {name: own[k] for name, own in rows.items()}, rows, k, again)
            for k, parts in enumerate(found)
        ]

    def give_back(self, slot: Slot) -> None:
        """Declare a slot empty; one that is none of those used again and again is let go of."""
        if slot.again:
            self._free.put(slot)


def neighbours(slots: Iterable[Slot]) -> list[tuple[Slot, slice]]:
    """Slots in a row as pieces: those that lie behind one another in the same memory together.

    Returns:
        The first slot of each piece, and which of its `rows` it is.
    """
    found: list[tuple[Slot, slice]] = []
    for slot in slots:
        if found and found[-1][0].rows is slot.rows and found[-1][1].stop == slot.row:
            first, part = found[-1]
            found[-1] = first, slice(part.start, slot.row + 1)
        else:
            found.append((slot, slice(slot.row, slot.row + 1)))
    return found
