"""Family: the points θ(c) = origin + Σ_k c_k · direction_k, and the buffers that go with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.base.blocks import inner
from landscape.base.layout import Entry, Layout
from landscape.objective.lending.room import Room
from landscape.objective.matched import matched_buffers, matched_parameters
from landscape.objective.problem import Problem


@dataclass(frozen=True, eq=False)
class Family:
    """Affine combinations of a few vectors, held on the device where they are measured.

    Coordinates beyond the directions move buffers only; coordinates that are not given are zero.

    Attributes:
        layout: Which slice of a vector is which trainable parameter.
        origin: Parameters at coordinates zero, shape (P,).
        directions: Shape (K, P).
        buffers: Floating-point buffers at coordinates zero, shape (B,); None: the model's own.
        buffer_directions: How the buffers move with the coordinates, shape (K or more, B), or None.
        products: Inner products of origin and directions, float64, shape (K + 1, K + 1); None
            where no measurement asks for them.
    """

    layout: Layout
    origin: Tensor
    directions: Tensor
    buffers: Tensor | None = None
    buffer_directions: Tensor | None = None
    products: np.ndarray | None = None

    @property
    def coordinates(self) -> int:
        """How many numbers say where a point is."""
        moving = 0 if self.buffer_directions is None else len(self.buffer_directions)
        return max(len(self.directions), moving)

    @cached_property
    def _rows(self) -> tuple[Tensor, ...]:
        return self.directions.unbind()

    def place(self, out: Tensor, point: Sequence[float]) -> None:
        """Write the parameters at a point into a vector of shape (P,)."""
        combine(out, self.origin, self._rows, point)

    def moves(self, k: int, entry: Entry) -> bool:
        """Whether direction k may move a tensor."""
        return True

    def part(
        self, k: int | None, entry: Entry, rows: slice, own: Tensor, room: Room | None = None
    ) -> Tensor:
        """Rows of one tensor of direction k, or of the origin; `own` are the model's.

        What is made may be made in memory that is used again.
        """
        vector = self.origin if k is None else self.directions[k]
        return entry.rows(vector[entry.slice].view(entry.shape), rows)

    def runs(
        self, k: int | None, entry: Entry, rows: Sequence[slice], own: Tensor, room: Room
    ) -> Tensor | None:
        """The same of several runs of rows, below each other; None where each is made alone."""
        return None

    def held(self, problem: Problem) -> Family:
        """The same, held in memory on the device where it is measured."""
        return self

    def place_buffers(self, out: Tensor, own: Tensor, point: Sequence[float]) -> None:
        """Write the buffers at a point into a vector of shape (B,); `own` are the model's."""
        start = own if self.buffers is None else self.buffers
        if self.buffer_directions is None:
            out.copy_(start)
        else:
            combine(out, start, self.buffer_directions, point)

    def __getstate__(self) -> dict[str, Any]:
        """What other processes are sent: not what was made of it."""
        return {field.name: self.__dict__[field.name] for field in fields(self)}

    def squared_norm(self, coordinates: np.ndarray) -> np.ndarray:
        """‖θ(c)‖² at points of shape (points, coordinates)."""
        if self.products is None:
            raise ValueError("Norms were not asked for when the family was made.")
        c = np.insert(coordinates[:, : len(self.directions)], 0, 1.0, axis=1)
        return np.einsum("pi,ij,pj->p", c, self.products, c)


def family_of(
    problem: Problem,
    origin: np.ndarray,
    directions: np.ndarray,
    buffers: np.ndarray | None = None,
    buffer_directions: np.ndarray | None = None,
) -> Family:
    """The family through vectors in memory, in the order of a problem's model, on its device.

    Args:
        problem: Whose parameters and buffers they are.
        origin: Shape (P,).
        directions: Shape (K, P); K may be zero.
        buffers: Shape (B,), or None.
        buffer_directions: Shape (K or more, B), or None.

    Raises:
        ValueError: If a vector belongs to another model.
    """
    if not len(directions):
        directions = np.zeros((0, problem.layout.size))
    origin = matched_parameters(problem, origin, moves=False)
    directions = matched_parameters(problem, directions, moves=True)
    _check_shapes(problem, origin, directions)
    start, moving = held_buffers(problem, buffers, buffer_directions, len(directions))
    products = None
    if problem.weight_decay is not None:
        span = np.concatenate([origin[None], directions])
        products = inner(span, span)

    def held(array: np.ndarray) -> Tensor:
        return torch.tensor(np.ascontiguousarray(array), dtype=problem.dtype, device=problem.device)

    return Family(
        problem.layout,
        held(origin),
        held(directions),
        start,
        moving,
        products,
    )


def held_buffers(
    problem: Problem, buffers: np.ndarray | None, directions: np.ndarray | None, count: int
) -> tuple[Tensor | None, Tensor | None]:
    """Recorded buffers and how they move, held in the order of a problem's model.

    Args:
        problem: Whose buffers they are.
        buffers: Shape (B,), or None.
        directions: Shape (count or more, B), or None.
        count: Of the directions of the parameters.

    Raises:
        ValueError: If they belong to another model.
    """
    start = matched_buffers(problem, buffers, moves=False)
    moving = matched_buffers(problem, directions, moves=True)
    size = problem.buffers_layout.size
    if start is not None and start.shape != (size,):
        raise ValueError(f"The model has {size} buffer values; got {start.shape}.")
    if moving is not None and (moving.ndim != 2 or moving.shape[1] != size or len(moving) < count):
        raise ValueError(
            f"buffer_directions have shape {moving.shape}; expected {(count, size)}, or "
            "more rows for coordinates that move buffers only."
        )
    options: Any = {"dtype": problem.dtype, "device": problem.device}
    return (
        None if start is None else torch.as_tensor(np.array(start), **options),
        None if moving is None else torch.as_tensor(np.array(moving), **options),
    )


def combine(
    out: Tensor, origin: Tensor, directions: Iterable[Tensor], point: Sequence[float]
) -> None:
    """Out = origin + Σ c_k · direction_k, in place, over the coordinates that are not zero."""
    so_far = origin
    for direction, c in zip(directions, point, strict=False):
        if not c:
            continue
        so_far = torch.add(so_far, direction, alpha=float(c), out=out)
    if so_far is origin:
        out.copy_(origin)


def _check_shapes(problem: Problem, origin: np.ndarray, directions: np.ndarray) -> None:
    size = problem.layout.size
    if origin.shape != (size,) or directions.ndim != 2 or directions.shape[1] != size:
        raise ValueError(
            f"The model has {size} trainable parameters; the origin has shape {origin.shape} "
            f"and the directions {directions.shape}. They belong to another model."
        )
