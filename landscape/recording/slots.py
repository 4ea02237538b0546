"""Slots: the memory that recorded steps pass through on their way to the file."""

from __future__ import annotations

import queue
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.layout import Layout

_MEMORY = 512 << 20  # bytes of all slots together, unless the fewest possible need more
_VIEWS = 1 << 14  # tensors that all slots together are seen as, unless again
_MOST, _FEWEST = 512, 4  # one is filled, one measured, one written, one compared with


class Flat:
    """A flat vector seen as the tensors of a layout.

    Args:
        vector: The vector, float32, shape (P,).
        views: The same memory in the shapes of the tensors.
    """

    def __init__(self, vector: Tensor, views: list[Tensor]) -> None:
        self.vector, self._views = vector, views
        self._zero = vector.new_zeros(())

    @classmethod
    def rows(cls, block: Tensor, layout: Layout) -> list[Flat]:
        """Every row of `block`, shape (K, P), as a flat vector."""
        count = len(block)
        tensors = [block[:, e.slice].view(count, *e.shape).unbind() for e in layout]
        views = map(list, zip(*tensors, strict=True))
        return [cls(row, seen) for row, seen in zip(block.unbind(), views, strict=True)]

    @torch.no_grad()
    def read(self, tensors: Iterable[Tensor | None]) -> Tensor:
        """Copy tensors in (None: zeros), in the order of the layout; returns the vector."""
        given = [self._zero if t is None else t for t in tensors]
        if len(given) != len(self._views):
            raise ValueError(f"{len(self._views)} tensors are recorded; got {len(given)}.")
        if any(t.is_sparse for t in given):
            given = [t.to_dense() for t in given]
        # One call, so that the interpreter is let go of once and not for every tensor.
        torch._foreach_copy_(self._views, given)  # pyright: ignore[reportPrivateImportUsage]
        return self.vector


@dataclass(frozen=True)
class Slot:
    """Room for what is kept of one step.

    Attributes:
        index: Its place among the slots.
        parts: Name to vector: ``parameters`` and, if there are any, ``buffers``, ``evaluation``,
            ``gradient``.
        arrays: The same memory as arrays.
    """

    index: int
    parts: Mapping[str, Flat]
    arrays: Mapping[str, np.ndarray]


@dataclass
class Step:
    """What is known about one optimizer step (number 0: before the first).

    Attributes:
        number: Which step.
        slot: Where its vectors are.
        scalars: Its numbers.
        stored: Whether its state goes to the file.
        random_state: The random generators after it.
        sums: What `DeviceMotion` returned; None where the writing thread measures.
        sketch: The same for `Sketch`.
        ready: A torch.cuda.Event, or None when everything is there already.
    """

    number: int
    slot: Slot
    scalars: dict[str, float | Tensor] = field(default_factory=dict)
    stored: bool = False
    random_state: np.ndarray | None = None
    sums: Tensor | None = None
    sketch: Tensor | None = None
    histogram: Tensor | None = None
    ready: Any = None


class Slots:
    """A fixed number of slots; the first free one is handed out, so that few of them stay warm.

    Args:
        layouts: Name to layout of the vectors in a slot.
        pinned: Whether they are in pinned memory, for copies from a GPU.

    Attributes:
        count: Number of slots.
    """

    def __init__(self, layouts: Mapping[str, Layout], *, pinned: bool) -> None:
        size = 4 * sum(layout.size for layout in layouts.values())
        most = min(_MOST, _VIEWS // sum(len(layout) for layout in layouts.values()))
        self.count = max(_FEWEST, min(most, _MEMORY // size))
        blocks = {
            name: torch.empty((self.count, layout.size), pin_memory=pinned)
            for name, layout in layouts.items()
        }
        arrays = {name: block.numpy() for name, block in blocks.items()}
        flats = {name: Flat.rows(block, layouts[name]) for name, block in blocks.items()}
        self._slots = [
            Slot(
                index,
                {name: rows[index] for name, rows in flats.items()},
                {name: rows[index] for name, rows in arrays.items()},
            )
            for index in range(self.count)
        ]
        self._free: queue.PriorityQueue[int] = queue.PriorityQueue()
        for index in range(self.count):
            self._free.put(index)

    @property
    def free(self) -> int:
        """Number of slots that can be taken without waiting."""
        return self._free.qsize()

    def take(self) -> Slot:
        """The first free slot; waits until there is one."""
        return self._slots[self._free.get()]

    def give_back(self, slot: Slot) -> None:
        """Declare a slot empty."""
        self._free.put(slot.index)
