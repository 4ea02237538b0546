"""Random directions made tensor by tensor from a seed, with the same bits wherever they are made.

Entry i of tensor n of direction k is a standard normal number that depends on (seed, k, n, i) only
(`landscape.objective.vectors.philox`), times one scale per filter, tensor or direction. The drawn
numbers have 16 bits, so sums of their squares are exact in double precision, whatever their order,
and the scales are the same everywhere as well.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.base.layout import Entry
from landscape.base.names import plain_name
from landscape.base.provenance import fingerprint
from landscape.objective.lending.room import Room
from landscape.objective.vectors.philox import draw, in_threads, key_of, normals
from landscape.results.seeded import Normalization

_DRAWN = ("filter", "layer", "gaussian", "none")  # what needs no whole vector
_BLOCK = 2**17  # numbers that are drawn together


class SeededVector:
    """Direction k of a seed.

    Args:
        seed: Of all directions.
        number: k.
        moved: The tensors that it moves; the others are zero.
        normalization: What the norms are of.
        norms: Of the origin, by the name of a tensor: of its filters, shape as
            `Layout.filter_norms` gives them, or of the whole tensor, shape (); for ``gaussian``
            the norm of all of it under every name. Empty for ``none``.

    Raises:
        ValueError: If the normalization is one of whole vectors only.
    """

    number: int
    seed: int
    moved: dict[str, Entry]
    norms: dict[str, np.ndarray]

    def __init__(
        self,
        seed: int,
        number: int,
        moved: Mapping[str, Entry],
        normalization: Normalization,
        norms: Mapping[str, np.ndarray],
    ) -> None:
        if normalization not in _DRAWN:
            raise ValueError(
                f"Directions that are not stored are normalized by {', '.join(_DRAWN)}; not "
                f"{normalization!r}. Keep the vectors: random_plane(objective, stored=True)."
            )
        self.seed, self.number, self.normalization = seed, number, normalization
        self.moved, self.norms = dict(moved), dict(norms)
        self._keys: dict[str, tuple[int, int]] = {}
        told = fingerprint(*self.norms.values()), tuple(self.norms), tuple(self.moved)
        self._scales = _known_scales(seed, number, normalization, *told)

    @property
    def digest(self) -> str:
        """A short text that tells this direction from every other with the same norms."""
        return f"seeded {self.seed}/{self.number} {self.normalization}"

    def moves(self, entry: Entry) -> bool:
        """Whether a tensor is not zero; see `LazyVector`."""
        return entry.name in self.moved

    def tensor(
        self, entry: Entry, rows: slice, device: torch.device, room: Room | None = None
    ) -> Tensor:
        """Rows of one tensor; see `LazyVector`."""
        start, stop = (0, 1) if not entry.shape else rows.indices(entry.shape[0])[:2]
        shape = (stop - start, *entry.shape[1:]) if entry.shape else ()
        if entry.name not in self.moved:
            return torch.zeros(shape, device=device)
        empty = torch.empty if room is None else room.empty
        out = empty(shape, dtype=torch.float32, device=device)
        complete, by_rows = out.numel() == entry.size, self.by_rows(entry)
        if not (complete or by_rows) or self.normalization == "gaussian":
            self.scale(entry)
        scale = self._scale(entry)

        def make(drawn: slice) -> np.ndarray | None:
            part = entry.rows(out, slice(drawn.start - start, drawn.stop - start))
            self._draw(entry, drawn, part)
            mine = scale[drawn] if by_rows else scale
            if np.isnan(mine).any():
                squares = self._squares(entry, part)
                if not by_rows:
                    return squares
                self._learn(entry, squares, drawn)
            _multiply(part, mine)
            return None

        squares = [s for s in in_threads(make, _blocks(entry, start, stop)) if s is not None]
        if squares:
            self._learn(entry, sum(squares))
            out.mul_(torch.from_numpy(scale).to(device))
        return out

    def runs(
        self, entry: Entry, rows: Sequence[slice], device: torch.device, room: Room | None = None
    ) -> Tensor:
        """Many runs of rows of one tensor, below each other; the same as `tensor` gives for each.

        Of an embedding only the rows of some tokens are needed: what a call costs beside its
        numbers is spent once.
        """
        index = np.concatenate([np.arange(run.start, run.stop) for run in rows])
        shape = len(index), *entry.shape[1:]
        by_rows = self.by_rows(entry)
        if not by_rows and entry.name in self.moved:
            self.scale(entry)
        known = entry.name in self.moved
        if known and by_rows:
            known = not np.isnan(self._scale(entry)[index]).any()
        if device.type != "cpu" or not known or math.prod(shape) > _BLOCK * len(rows):
            return torch.cat([self.tensor(entry, run, device, room) for run in rows])
        out = (torch.empty if room is None else room.empty)(
            shape, dtype=torch.float32, device=device
        )
        flat, key, width, at = out.numpy().reshape(-1), self._key(entry), math.prod(shape[1:]), 0
        for run in rows:
            stop = at + (run.stop - run.start) * width
            draw(key, run.start * width, flat[at:stop])
            at = stop
        scale = self._scale(entry)
        _multiply(out, scale[index] if by_rows else scale)
        return out

    def drawn_at(self, entry: Entry, at: int) -> float:
        """One number of a tensor before it is scaled."""
        return float(normals(self._key(entry), at, 1, torch.device("cpu")))

    def scale(self, entry: Entry) -> np.ndarray:
        """What the drawn numbers are multiplied by: wanted norm / drawn norm, float32."""
        scale = self._scale(entry)
        if np.isnan(scale).any():
            all_of_it = [replace(e, name=name) for name, e in self.moved.items()]
            squares = []
            for each in all_of_it if self.normalization == "gaussian" else [entry]:
                blocks = _blocks(each, 0, each.shape[0] if each.shape else 1)
                make = functools.partial(self._squares_of, each)
                squares += in_threads(make, blocks)
            by_rows = self.by_rows(entry)
            self._learn(entry, np.concatenate(squares) if by_rows else sum(squares))
        return scale

    def _scale(self, entry: Entry) -> np.ndarray:
        """The same, NaN where it is not known yet."""
        key = "" if self.normalization == "gaussian" else entry.name
        if key not in self._scales:
            none = self.normalization == "none"
            like = np.ones(()) if none else np.full_like(self.norms[entry.name], np.nan)
            self._scales[key] = like.astype(np.float32)
        return self._scales[key]

    def _learn(self, entry: Entry, squares: Any, rows: slice = slice(None)) -> None:
        """Note a scale, from sums of squares of what was drawn."""
        scale, wanted = self._scale(entry), self.norms[entry.name].astype(np.float64)
        if self.by_rows(entry):
            scale, wanted = scale[rows], wanted[rows]
        mine = np.sqrt(np.asarray(squares, np.float64))
        zero = np.zeros_like(wanted)
        scale[...] = np.divide(wanted, mine, out=zero, where=mine > 0)

    def by_rows(self, entry: Entry) -> bool:
        """Whether every row has a scale of its own."""
        axis = entry.filter_axis if len(entry.shape) > 1 else 0
        return self.normalization == "filter" and bool(entry.shape) and axis == 0

    def _squares_of(self, entry: Entry, rows: slice) -> np.ndarray:
        shape = (rows.stop - rows.start, *entry.shape[1:]) if entry.shape else ()
        return self._squares(entry, self._draw(entry, rows, torch.empty(shape)))

    def _squares(self, entry: Entry, drawn: Tensor) -> np.ndarray:
        """Σ z² of some rows, over every filter or over all; exact, whatever the order."""
        z = drawn.cpu().numpy()
        squares = z * z  # rounded alike everywhere
        if self.normalization != "filter":
            return squares.sum(dtype=np.float64)
        if z.ndim < 2:
            return squares.astype(np.float64)
        axes = tuple(a for a in range(z.ndim) if a != entry.filter_axis)
        return squares.sum(axis=axes, keepdims=True, dtype=np.float64)

    def _draw(self, entry: Entry, rows: slice, out: Tensor) -> Tensor:
        """Rows of one tensor before they are scaled."""
        start = rows.start * math.prod(entry.shape[1:])
        if out.device.type == "cpu":
            draw(self._key(entry), start, out.numpy().reshape(-1))
        else:
            out.view(-1).copy_(normals(self._key(entry), start, out.numel(), out.device))
        return out

    def _key(self, entry: Entry) -> tuple[int, int]:
        if entry.name not in self._keys:
            name = plain_name(self.moved[entry.name].name)
            self._keys[entry.name] = key_of(self.seed, self.number, name)
        return self._keys[entry.name]


@functools.lru_cache(maxsize=16)
def _known_scales(*told: Any) -> dict[str, np.ndarray]:
    """What directions learned of their scales, which those made later of the same recipe share."""
    return {}


def _blocks(entry: Entry, start: int, stop: int) -> Iterator[slice]:
    """Rows of a tensor in parts that stay in a cache."""
    most = max(1, _BLOCK // max(1, math.prod(entry.shape[1:])))
    count = max(1, math.ceil((stop - start) / most))
    each = max(1, math.ceil((stop - start) / count))
    for first in range(start, stop, each):
        yield slice(first, min(stop, first + each))


def _multiply(part: Tensor, scale: np.ndarray) -> None:
    if part.device.type == "cpu":  # by numpy, in this thread alone
        np.multiply(part.numpy(), scale, out=part.numpy())
    else:
        part.mul_(torch.from_numpy(np.ascontiguousarray(scale)).to(part.device))
