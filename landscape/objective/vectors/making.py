"""The values of parameters at a point, made when a module is about to read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.objective.family import Family, combine
from landscape.objective.lending.loan import Loan
from landscape.objective.lending.operations import unseen
from landscape.objective.lending.room import Room
from landscape.objective.lending.slices import LARGE
from landscape.objective.lending.stream import Streamed
from landscape.objective.vectors.lazy import is_lazy

_BLOCK = 2**17  # elements that are summed and rounded together
_ALL = slice(None)
_SHARE = 0.05  # of the model: parts of larger tensors are made for each point
_COUNTED = 8  # one block of so many tells what rounding took: they are much alike

Made = Callable[[], list[Tensor]]


class Making:
    """Makes parameters at points of a family, block by block, each rounded once.

    What was made for a module is kept until another asks: the batches of one point share it. The
    parts of the directions can be kept as well, for other points to come, and so can the sum of all
    but the last of them, for points that differ in the last coordinate only.

    Args:
        loan: The lent model.
        family: The points.

    Attributes:
        point: Where parameters are made.
        shared: Whether parts of the directions are kept.
        counted: Whether it is counted what rounding takes: some parameters are narrower.
        lost: That, by point and rows: Σ (rounded - θ)² and Σ (θ - θ(0))², of every eighth part of
            a large tensor.
    """

    family: Family
    loan: Loan

    def __init__(self, loan: Loan, family: Family) -> None:
        self.loan, self.family = loan, family
        self.point: tuple[float, ...] = ()
        self.shared = False
        own = () if loan.stream is None else (s.own for s in loan.stream.parameters.values())
        self.counted: bool = any(t.dtype.itemsize < loan.flat.dtype.itemsize for t in own)
        self._size = loan.layout.size
        self.lost: dict[tuple[float, ...], dict[Any, np.ndarray]] = {}
        self._place: Any = None  # for which something is kept
        self._made: tuple[Any, list[Tensor]] | None = None
        self._parts: dict[Any, Tensor] = {}
        self._sums: dict[Any, tuple[Any, Tensor]] = {}
        self._room = Room()

    def __call__(self, read: Sequence[Streamed]) -> list[Tensor]:
        """The values of the parameters that a module reads, at the present point."""
        return self._kept(read, lambda: [self._values(each) for each in read])

    def rows(self, place: Any, each: Streamed, runs: Sequence[slice]) -> Tensor:
        """Some runs of rows of a parameter, below each other; `place` is where they are read."""
        made = partial(self._some, each, runs)
        return self._kept(place, made, (each.entry.name, *_ends(runs)))[0]

    @property
    def cuts(self) -> bool:
        """Whether `columns` can be made: of what is kept of the whole."""
        return self.shared and self.loan.change is None

    def columns(self, place: Any, each: Streamed, columns: slice) -> Tensor:
        """Some columns of a parameter; `place` is where it is read."""
        made = partial(self._some, each, [slice(0, len(each.own))], columns)
        return self._kept(place, made, (each.entry.name, columns.start, columns.stop))[0]

    def _some(self, each: Streamed, runs: Sequence[slice], columns: slice = _ALL) -> list[Tensor]:
        steps, own = self._steps(each), each.own
        if steps and self._before_last(steps) == steps and self._is_direct(own):
            return [self._sum(each, runs, steps, columns)]
        shape = sum(run.stop - run.start for run in runs), *own.shape[1:]
        if columns != _ALL:
            shape = shape[0], columns.stop - columns.start
        out, start = self._room.empty(shape, own.dtype, own.device), 0
        if self.loan.change is None:
            self._write(each, runs, out, columns)
            return [out]
        for run in runs:  # what changes them has to know where they lie
            part = out[start : start + run.stop - run.start]
            self._write(each, [run], part)
            start += len(part)
        return [out]

    def _is_alone(self, made: Tensor) -> bool:
        """Whether neither a tensor nor its parts are kept: it is too much of the model."""
        if made.numel() < LARGE:
            return False
        most = _SHARE * self._size
        return not self.shared or (made.numel() > most and not is_lazy(self.family.origin))

    def _is_direct(self, own: Tensor) -> bool:
        """Whether the sums are what is wanted: they are not changed, nor rounded, nor counted."""
        return own.dtype == self.loan.flat.dtype and self.loan.change is None and not self.counted

    def _kept(self, place: Any, made: Made, rows: tuple[Any, ...] = ()) -> list[Tensor]:
        """What was made last, if it was the same rows for the same place and point."""
        if place is not self._place:
            self.forget()
        self._place = place
        key = self.point, rows, self.loan.change
        if self._made is not None and self._made[0] == key:
            return self._made[1]
        self._made = None
        with unseen():
            found = made()
        if not any(map(self._is_alone, found)):
            self._made = key, found
        return found

    def forget(self) -> None:
        """Let go of what is kept."""
        self._place, self._made, self._parts, self._sums = None, None, {}, {}

    def _values(self, each: Streamed) -> Tensor:
        steps, own = self._steps(each), each.own
        if self.loan.change is None and self.family.origin is None and not steps:
            return own
        complete = slice(0, len(own) if own.ndim else 1)
        alone = self._is_alone(own)  # let go of before the loss is computed
        if not alone and self._before_last(steps) == steps and self._is_direct(own):
            return self._sum(each, [complete], steps)
        values = (torch.empty if alone else self._room.empty)(
            own.shape, dtype=own.dtype, device=own.device
        )
        shared, self.shared = self.shared, self.shared and not alone
        for rows in [complete] if self.shared else each.entry.blocks():
            self._write(each, [rows], each.entry.rows(values, rows))
        self.shared = shared
        return values

    def _write(
        self, each: Streamed, rows: Sequence[slice], out: Tensor, columns: slice = _ALL
    ) -> None:
        """Make runs of rows: (origin + Σ of all steps but the last) + the last step."""
        dtype, change = self.loan.flat.dtype, self.loan.change
        steps = self._steps(each)
        before = self._before_last(steps)

        def part(k: int | None) -> Tensor:
            return _cut(self._part(k, each, rows), columns)

        base = self._sum(each, rows, before, columns) if before else part(None)
        moving = [(part(k), c) for k, c in steps[len(before) :]]
        direct = out.dtype == dtype and change is None
        if self._is_direct(out) and len(moving) < 2:
            combine(out, base, [d for d, _ in moving], [c for _, c in moving])
            return
        origin = None
        if self.counted and change is None:
            origin = part(None) if before else base
            self._lost_of(each, rows, columns)[:] = 0.0
        blocks = list(_blocks(out))
        told = out.numel() / max(1, sum(out[b].numel() for b in blocks[::_COUNTED]))
        for number, block in enumerate(blocks):
            shape = out[block].shape
            start = None if origin is None or number % _COUNTED else origin[block]
            theta = out[block] if direct else self._room.empty(shape, dtype, out.device)
            combine(theta, base[block], [d[block] for d, _ in moving], [c for _, c in moving])
            if direct and start is not None:
                away = (theta - start).reshape(-1)
                self._lost_of(each, rows, columns)[1] += told * float(away @ away)
            if direct:
                continue
            if change is not None:
                width = each.entry.size // each.entry.shape[0] if each.entry.shape else 0
                first = rows[0].start + (block.start if isinstance(block, slice) else 0)
                change(theta.view(-1), each.entry.offset + first * width)
            out[block].copy_(theta)
            if start is not None:
                rounded = out[block].to(dtype).sub_(theta).reshape(-1)
                away = theta.sub_(start).view(-1)
                lost = np.array([float(rounded @ rounded), float(away @ away)])
                self._lost_of(each, rows, columns)[:] += told * lost

    def _sum(
        self,
        each: Streamed,
        rows: Sequence[slice],
        steps: list[tuple[int, float]],
        columns: slice = _ALL,
    ) -> Tensor:
        """The origin and some steps, kept for the points that share these."""
        key = each.entry.name, _ends(rows), columns.start, columns.stop
        if key not in self._sums or self._sums[key][0] != steps:
            self._sums = {k: kept for k, kept in self._sums.items() if k[0] != key[0]}
            origin = _cut(self._part(None, each, rows), columns)
            out = self._room.empty(origin.shape, origin.dtype, origin.device)
            parts = [_cut(self._part(k, each, rows), columns) for k, _ in steps]
            for block in _blocks(out):
                combine(out[block], origin[block], [p[block] for p in parts], [c for _, c in steps])
            self._sums[key] = steps, out
        return self._sums[key][1]

    def _before_last(self, steps: list[tuple[int, float]]) -> list[tuple[int, float]]:
        """The steps whose sum is kept: along all directions but the last."""
        return [(k, c) for k, c in steps if self.shared and k < len(self.family.directions) - 1]

    def _steps(self, each: Streamed) -> list[tuple[int, float]]:
        """The directions that the present point is away along in a parameter, and how far."""
        away = enumerate(self.point[: len(self.family.directions)])
        return [(k, c) for k, c in away if c and self.family.moves(k, each.entry)]

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
        self.lost[tuple(map(float, point))] = {"": np.array([lost, moved])}

    def settle(self) -> None:
        """Add up what was counted of points that are finished."""
        for point, known in self.lost.items():
            if len(known) > 1:
                self.lost[point] = {"": np.sum(list(known.values()), axis=0)}

    def _part(self, k: int | None, each: Streamed, rows: Sequence[slice]) -> Tensor:
        """Rows of the origin (None) or of a direction, in the type of the sums."""
        key = each.entry.name, _ends(rows), k
        if key in self._parts:
            return self._parts[key]
        numbers = (None, *range(len(self.family.directions)))
        # All at once: what comes from files is read once for all of them.
        wanted = numbers if self.shared else (k,)
        found: dict[int | None, Tensor] = {}
        made: dict[int | None, list[Tensor]] = {}
        for j in wanted:
            if (part := self.family.runs(j, each.entry, rows, each.own, self._room)) is None:
                made[j] = []
            else:
                found[j] = part
        for run in rows:
            for j, parts in made.items():
                parts.append(self.family.part(j, each.entry, run, each.own, self._room))
        found |= {j: parts[0] if len(rows) == 1 else torch.cat(parts) for j, parts in made.items()}
        if self.shared:
            self._parts.update({(*key[:2], j): part for j, part in found.items()})
        return found[k]

    def _lost_of(self, each: Streamed, rows: Sequence[slice], columns: slice = _ALL) -> np.ndarray:
        """What rounding took of some rows at the present point, to be counted."""
        known = self.lost.setdefault(self.point, {})
        key = each.entry.name, _ends(rows), columns.start, columns.stop
        return known.setdefault(key, np.zeros(2))


def _cut(tensor: Tensor, columns: slice) -> Tensor:
    return tensor if columns == _ALL else tensor[:, columns]


def _ends(rows: Sequence[slice]) -> tuple[tuple[int, int], ...]:
    return tuple((run.start, run.stop) for run in rows)


def _blocks(tensor: Tensor) -> Iterator[Any]:
    """Parts of a tensor, along its first axis, that stay in a cache."""
    if tensor.numel() <= _BLOCK or not tensor.ndim:
        yield ...
        return
    each = max(1, _BLOCK * len(tensor) // tensor.numel())
    for start in range(0, len(tensor), each):
        yield slice(start, min(len(tensor), start + each))
