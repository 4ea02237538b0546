"""The values of parameters at a point, made when a module is about to read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from landscape.objective.family import Family, combine
from landscape.objective.lending.loan import Loan
from landscape.objective.lending.stream import Streamed

Made = Callable[[], list[Tensor]]


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
        lost: That, by point and block of rows: Σ (rounded - θ)² and Σ (θ - θ(0))².
    """

    family: Family
    loan: Loan

    def __init__(self, loan: Loan, family: Family) -> None:
        self.loan, self.family = loan, family
        self.point: tuple[float, ...] = ()
        self.shared = False
        own = () if loan.stream is None else (s.own for s in loan.stream.parameters.values())
        self.counted: bool = any(t.dtype.itemsize < loan.flat.dtype.itemsize for t in own)
        self.lost: dict[tuple[float, ...], dict[Any, tuple[float, float]]] = {}
        self._place: Any = None  # for which something is kept
        self._made: tuple[Any, list[Tensor]] | None = None
        self._parts: dict[Any, Tensor] = {}

    def __call__(self, read: Sequence[Streamed]) -> list[Tensor]:
        """The values of the parameters that a module reads, at the present point."""
        return self._kept(read, lambda: [self._values(each) for each in read])

    def rows(self, place: Any, each: Streamed, runs: Sequence[slice]) -> Tensor:
        """Some runs of rows of a parameter, below each other; `place` is where they are read."""
        own, count = each.own, sum(run.stop - run.start for run in runs)

        def made() -> list[Tensor]:
            out, start = own.new_empty(count, *own.shape[1:]), 0
            for run in runs:
                part = out[start : start + run.stop - run.start]
                self._write(each, run, part)
                start += len(part)
            return [out]

        return self._kept(place, made, tuple((run.start, run.stop) for run in runs))[0]

    def _kept(self, place: Any, made: Made, rows: tuple[Any, ...] = ()) -> list[Tensor]:
        """What was made last, if it was the same rows for the same place and point."""
        if place is not self._place:
            self.forget()
        self._place = place
        key = self.point, rows, self.loan.change
        if self._made is None or self._made[0] != key:
            self._made = None
            with torch.no_grad(), _disable_current_modes():
                self._made = key, made()
        return self._made[1]

    def forget(self) -> None:
        """Let go of what is kept."""
        self._place, self._made, self._parts = None, None, {}

    def _values(self, each: Streamed) -> Tensor:
        whole = self.loan.change is None and self.family.origin is None
        if whole and not any(self.point[: len(self.family.directions)]):
            return each.own
        values = torch.empty_like(each.own)
        for rows in each.entry.blocks():
            self._write(each, rows, each.entry.rows(values, rows))
        return values

    def _write(self, each: Streamed, rows: slice, out: Tensor) -> None:
        """Make rows of a parameter."""
        dtype, entry = self.loan.flat.dtype, each.entry
        origin = self._part(None, each, rows)
        moving = [(c, self._part(k, each, rows)) for k, c in self._steps]
        direct = out.dtype == dtype and self.loan.change is None
        theta = out if direct else torch.empty(origin.shape, dtype=dtype, device=origin.device)
        combine(theta, origin, [d for _, d in moving], [c for c, _ in moving])
        if not direct:
            if self.loan.change is not None:
                start = rows.start * (entry.size // entry.shape[0]) if entry.shape else 0
                self.loan.change(theta.view(-1), entry.offset + start)
            out.copy_(theta)
        if self.counted and self.loan.change is None:
            self._count(each, rows, theta, origin, out)

    @property
    def _steps(self) -> list[tuple[int, float]]:
        """The directions that the present point is away along, and how far."""
        return [(k, c) for k, c in enumerate(self.point[: len(self.family.directions)]) if c]

    def rounding(self, coordinates: np.ndarray) -> np.ndarray | None:
        """The share of the displacement from the origin that rounding took, at points.

        ‖rounded - θ‖ / ‖θ - θ(0)‖ over all parameters; zero at the origin, NaN where nothing was
        made. None where no parameter is narrower than the sums.
        """
        if not self.lost:
            return None
        shares = np.full(len(coordinates), np.nan)
        for index, point in enumerate(coordinates):
            if not point[: len(self.family.directions)].any():
                shares[index] = 0.0
            elif (known := self.lost.get(tuple(map(float, point)))) is not None:
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

    def _part(self, k: int | None, each: Streamed, rows: slice) -> Tensor:
        key = each.entry.name, rows.start, rows.stop, k
        if key in self._parts:
            return self._parts[key]
        if self.shared:  # all at once: what comes from files is read once for all of them
            first = () if self.family.origin is None else (None,)
            for j in (*first, *range(len(self.family.directions))):
                part = self.family.part(j, each.entry, rows, each.own)
                self._parts[each.entry.name, rows.start, rows.stop, j] = part
        if key in self._parts:
            return self._parts[key]
        return self.family.part(k, each.entry, rows, each.own)

    def _count(
        self, each: Streamed, rows: slice, theta: Tensor, origin: Tensor, rounded: Tensor
    ) -> None:
        """Add up what rounding takes of a displacement."""
        lost = (rounded.to(theta.dtype) - theta).square_().sum(dtype=torch.float64)
        moved = (theta - origin).square_().sum(dtype=torch.float64)
        known = self.lost.setdefault(self.point, {})
        known[each.entry.name, rows.start, rows.stop] = float(lost), float(moved)
