"""The values of parameters at a point, made when a module is about to read them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from landscape.objective.family import Family, combine
from landscape.objective.lending.loan import Loan
from landscape.objective.lending.stream import Streamed

Pieces = tuple[Tensor, Sequence[Tensor]]  # rows of the origin, and of every direction


class Making:
    """Makes parameters at points of a family, block by block, each rounded once.

    What was made for a module is kept until another asks: the batches of one point share it. The
    rows of the directions can be kept as well, for other points to come.

    Args:
        loan: The lent model.
        family: The points.

    Attributes:
        point: Where parameters are made.
        shared: Whether the rows of the directions are kept.
        counted: Whether it is counted what rounding takes: some parameters are narrower.
        lost: That, by point and parameter: Σ (rounded - θ)² and Σ (θ - θ(0))².
    """

    family: Family
    loan: Loan

    def __init__(self, loan: Loan, family: Family) -> None:
        self.loan, self.family = loan, family
        self.point: tuple[float, ...] = ()
        self.shared = False
        own = () if loan.stream is None else (s.own for s in loan.stream.parameters.values())
        self.counted: bool = any(t.dtype.itemsize < loan.flat.dtype.itemsize for t in own)
        self.lost: dict[tuple[float, ...], dict[str, tuple[float, float]]] = {}
        self._read: Sequence[Streamed] = ()  # for which module something is kept
        self._made: tuple[tuple[float, ...], list[Tensor]] | None = None
        self._pieces: dict[tuple[str, int], Pieces] = {}

    def __call__(self, read: Sequence[Streamed]) -> list[Tensor]:
        """The values of the parameters that a module reads, at the present point."""
        if read is not self._read:
            self.forget()
        self._read = read
        if self._made is None or self._made[0] != self.point:
            self._made = None
            with torch.no_grad(), _disable_current_modes():
                self._made = self.point, [self._values(each) for each in read]
        return self._made[1]

    def forget(self) -> None:
        """Let go of what is kept."""
        self._read, self._made, self._pieces = (), None, {}

    def _values(self, each: Streamed) -> Tensor:
        values, dtype = torch.empty_like(each.own), self.loan.flat.dtype
        narrow = dtype.itemsize > each.own.dtype.itemsize
        for rows in each.entry.blocks():
            origin, moving = self._pieces_of(each, rows)
            direct = not narrow and self.loan.change is None
            out = (
                each.entry.rows(values, rows)
                if direct
                else torch.empty(origin.shape, dtype=dtype, device=origin.device)
            )
            combine(out, origin, moving, self.point)
            if not direct:
                self.loan.write(each, rows, out, values)
            if self.counted and self.loan.change is None:
                self._count(each, rows, out, origin, each.entry.rows(values, rows))
        return values

    def rounding(self, coordinates: np.ndarray) -> np.ndarray | None:
        """The share of the displacement from the origin that rounding took, at points.

        ‖rounded - θ‖ / ‖θ - θ(0)‖ over all parameters; zero at the origin, NaN where nothing was
        made. None where no parameter is narrower than the sums.
        """
        if not self.lost:
            return None
        shares = np.full(len(coordinates), np.nan)
        for index, point in enumerate(coordinates):
            if (known := self.lost.get(tuple(map(float, point)))) is not None:
                lost, moved = np.sum(list(known.values()), axis=0)
                shares[index] = np.sqrt(lost / moved) if moved else 0.0
        return shares

    def count_whole(self, point: Sequence[float]) -> None:
        """The same where all parameters are in the model at once."""
        loan, origin = self.loan, self.family.origin
        lost = moved = 0.0
        for entry in loan.layout:
            away = loan.flat[entry.slice] - origin[entry.slice]
            moved += float(away.square_().sum(dtype=torch.float64))
        for part, used in loan.rounded:
            lost += float((used.to(part.dtype) - part).square_().sum(dtype=torch.float64))
        self.lost[tuple(map(float, point))] = {"": (lost, moved)}

    def _pieces_of(self, each: Streamed, rows: slice) -> Pieces:
        key = each.entry.name, rows.start
        if key not in self._pieces:
            found = self.family.pieces(each.entry, rows, each.own)
            if not self.shared:
                return found
            self._pieces[key] = found
        return self._pieces[key]

    def _count(
        self, each: Streamed, rows: slice, theta: Tensor, origin: Tensor, rounded: Tensor
    ) -> None:
        """Add up what rounding takes of a displacement."""
        lost = (rounded.to(theta.dtype) - theta).square_().sum(dtype=torch.float64)
        moved = (theta - origin).square_().sum(dtype=torch.float64)
        known = self.lost.setdefault(self.point, {})
        before = known.get(each.entry.name, (0.0, 0.0)) if rows.start else (0.0, 0.0)
        known[each.entry.name] = before[0] + float(lost), before[1] + float(moved)
