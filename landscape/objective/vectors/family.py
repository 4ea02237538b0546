"""A family of points whose vectors are not held."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.base.layout import Entry
from landscape.objective.family import Family, held_buffers
from landscape.objective.inspection.present import gathered
from landscape.objective.lending.room import Room
from landscape.objective.problem import Problem


@dataclass(frozen=True, eq=False)
class LazyFamily(Family):
    """Affine combinations of vectors that are made, or read, tensor by tensor.

    Attributes:
        origin: Parameters at coordinates zero; None: the model's own.
        directions: The directions.
        dtype: In which sums are made.
    """

    origin: Any
    directions: Any
    dtype: torch.dtype = torch.float32

    def moves(self, k: int, entry: Entry) -> bool:
        """Whether direction k may move a tensor."""
        return self.directions[k].moves(entry)

    def part(
        self, k: int | None, entry: Entry, rows: slice, own: Tensor, room: Room | None = None
    ) -> Tensor:
        """Rows of one tensor of direction k, or of the origin; `own` are the model's.

        What is made may be made in memory that is used again.
        """
        vector = self.origin if k is None else self.directions[k]
        if vector is None:
            found = entry.rows(own, rows)
        else:
            found = vector.tensor(entry, rows, own.device, room)
        if found.dtype == self.dtype or room is None:
            return found.to(self.dtype)
        return room.empty(found.shape, self.dtype, found.device).copy_(found)

    def runs(
        self, k: int | None, entry: Entry, rows: Sequence[slice], own: Tensor, room: Room
    ) -> Tensor | None:
        """The same of several runs of rows, below each other; None where each is made alone."""
        vector: Any = None if k is None else self.directions[k]
        if len(rows) == 1 or not hasattr(vector, "runs") or self.dtype != torch.float32:
            return None
        return vector.runs(entry, rows, own.device, room)

    def held(self, problem: Problem) -> Family:
        """The same, held in memory on the device where it is measured."""
        if "kept" not in self.__dict__:
            named = dict(problem.model.named_parameters())
            size, device = problem.layout.size, problem.device
            whole = torch.empty(1 + len(self.directions), size, dtype=self.dtype, device=device)
            for entry in problem.layout:
                own = gathered(named[entry.name]).to(device)
                rows = slice(0, len(own) if own.ndim else 1)
                for row, k in zip(whole, (None, *range(len(self.directions))), strict=True):
                    row[entry.slice] = self.part(k, entry, rows, own).reshape(-1)
            self.__dict__["kept"] = Family(
                problem.layout,
                whole[0],
                whole[1:],
                self.buffers,
                self.buffer_directions,
                self.products,
            )
        return self.__dict__["kept"]

    def place(self, out: Tensor, point: Sequence[float]) -> None:
        """A family that is not held has no vector to write: place its tensors, or `held`."""
        raise TypeError("The vectors of this family are not held.")


def lazy_family_of(
    problem: Problem,
    origin: Any,
    directions: Sequence[Any],
    buffers: np.ndarray | None = None,
    buffer_directions: np.ndarray | None = None,
) -> LazyFamily:
    """The family through lazy vectors; the arguments are those of `family_of`.

    Raises:
        ValueError: If some vectors are lazy and others are not, or buffers are of another model.
    """
    if not all(hasattr(v, "tensor") for v in (*directions, *(() if origin is None else [origin]))):
        raise ValueError(
            "Some of these vectors are held and others are not; give arrays only, or none."
        )
    start, moving = held_buffers(problem, buffers, buffer_directions, len(directions))
    made = LazyFamily(problem.layout, origin, tuple(directions), start, moving, None, problem.dtype)
    if problem.weight_decay is not None:
        object.__setattr__(made, "products", _products(problem, made))
    return made


def _products(problem: Problem, family: LazyFamily) -> np.ndarray:
    """Inner products of origin and directions, in double precision, tensor by tensor."""
    named, count = dict(problem.model.named_parameters()), 1 + len(family.directions)
    total = np.zeros((count, count))
    for entry in problem.layout:
        own = gathered(named[entry.name])
        for rows in entry.blocks():
            parts = [family.part(k, entry, rows, own) for k in (None, *range(count - 1))]
            each = [part.double().reshape(-1) for part in parts]
            total += np.array([[float(a @ b) for b in each] for a in each])
    return total
