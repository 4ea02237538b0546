"""A vector that is not held, and where the lines and planes made of such vectors lie."""

from __future__ import annotations

import functools
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from landscape.base.layout import Entry
from landscape.objective.lending.room import Room
from landscape.objective.problem import Problem


class LazyVector(Protocol):
    """A flat parameter vector whose tensors are made, or read, when they are asked for."""

    def tensor(
        self, entry: Entry, rows: slice, device: torch.device, room: Room | None = None
    ) -> Tensor:
        """Rows of one tensor.

        Args:
            entry: Of the layout of the model that is measured.
            rows: Along the first axis; a tensor without axes is given whole.
            device: Where to put them.
            room: Memory to make them in, if there is some.

        Returns:
            Of any floating-point type, shape (rows, ...); nobody writes to it.
        """
        ...

    def moves(self, entry: Entry) -> bool:
        """Whether that tensor is not zero, as far as is known without making it."""
        ...

    @property
    def digest(self) -> str:
        """A short text that tells this vector from every other."""
        ...


Vectors = tuple[Any, Any]  # origin, directions: arrays, or lazy vectors; origin None: the model's


@functools.singledispatch
def vectors_of(place: Any, problem: Problem) -> Vectors:
    """Origin and directions of a line or a plane, for a problem's model.

    Kinds of places are registered where their vectors are; one that has arrays needs nothing.

    Returns:
        The origin, where None stands for the model's own weights as they are, and the directions:
        arrays of shape (P,) and (K, P), or a lazy vector and a sequence of them.
    """
    return place.origin, place.directions


def is_lazy(vector: Any) -> bool:
    """Whether a vector is no array."""
    return not isinstance(vector, np.ndarray | Tensor) and hasattr(vector, "tensor")


def any_lazy(origin: Any, directions: Any) -> bool:
    """Whether some of an origin and directions are not held."""
    return origin is None or any(map(is_lazy, (origin, *directions)))
