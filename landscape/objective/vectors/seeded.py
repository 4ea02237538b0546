"""Random directions made tensor by tensor from a seed, with the same bits wherever they are made.

Entry i of tensor n of direction k is a standard normal number that depends on (seed, k, n, i) only
(`landscape.objective.vectors.philox`), times one scale per filter, tensor or direction. The drawn
numbers have 16 bits, so sums of their squares are exact in double precision, whatever their order,
and the scales are the same everywhere as well.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.base.layout import Entry, Layout
from landscape.base.names import plain_name
from landscape.base.provenance import fingerprint
from landscape.objective.inspection.present import gathered
from landscape.objective.lending.room import Room
from landscape.objective.problem import Problem
from landscape.objective.vectors.lazy import Vectors, vectors_of
from landscape.objective.vectors.philox import draw, in_threads, key_of, normals
from landscape.results.seeded import Normalization, SeededLine, SeededPlane

PROBES = 64
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


def norms_by_name(
    layout: Layout, moved: Mapping[str, Entry], normalization: str, norms: np.ndarray
) -> dict[str, np.ndarray]:
    """The stored norms of a recipe, by the name of each moved tensor.

    Args:
        layout: Of the recipe.
        moved: Names of the model to entries of the recipe.
        normalization: What the norms are of.
        norms: As they are stored.

    Raises:
        ValueError: If there are too many or too few.
    """
    if normalization == "none":
        return {}
    names = {entry.name: name for name, entry in moved.items()}
    found, start = {}, 0
    for entry in layout:
        if entry.name not in names:
            continue
        shape = filters_of(entry) if normalization == "filter" else ()
        stop = start + math.prod(shape)
        if stop > len(norms):
            raise ValueError(f"The recipe holds {len(norms)} norms, fewer than its tensors need.")
        found[names[entry.name]] = norms[start:stop].reshape(shape)
        start = 0 if normalization == "gaussian" else stop
    return found


def filters_of(entry: Entry) -> tuple[int, ...]:
    """The shape of what `Layout.filter_norms` gives for a tensor."""
    if len(entry.shape) < 2:
        return entry.shape
    return tuple(n if a == entry.filter_axis else 1 for a, n in enumerate(entry.shape))


def probe_places(size: int) -> np.ndarray:
    """Where a vector of so many entries is looked at."""
    return np.unique(np.linspace(0, size - 1, min(PROBES, size)).round().astype(np.int64))


def probed(layout: Layout, moved: list[Entry]) -> list[tuple[Entry, int]]:
    """Tensors, and places in them, at which a vector that moves some tensors is looked at."""
    total = Layout.joined(moved)
    found = []
    for place in probe_places(total.size):
        entry = next(e for e in total if e.slice.start <= place < e.slice.stop)
        found.append((entry.at(0), int(place) - entry.offset))
    return found


@vectors_of.register(SeededPlane)
@vectors_of.register(SeededLine)
def vectors_of_recipe(place: SeededPlane | SeededLine, problem: Problem) -> Vectors:
    """The model itself, and the directions of the recipe.

    Raises:
        ValueError: If the model is another one, its weights are others, or the directions come out
            otherwise than they were.
    """
    theirs = place.layout
    problem.layout.pieces(theirs)
    pairs = problem.layout.pairs(theirs)
    names = set(place.moved)
    moved = {mine: entry for mine, entry in pairs.items() if entry.name in names}
    norms = norms_by_name(theirs, moved, place.normalization, place.norms)
    kind: Any = place.normalization
    vectors = [SeededVector(place.seed, k, moved, kind, norms) for k in range(place.count)]
    entries = {e.name: e for e in problem.layout}
    order = [e for e in theirs if e.name in names]
    mine = {theirs.name: entries[name] for name, theirs in moved.items()}
    probes = [(mine[e.name], at) for e, at in probed(theirs, order)]
    _check_probes(place, problem, vectors, probes)
    return None, vectors


def _check_probes(
    place: SeededPlane | SeededLine,
    problem: Problem,
    vectors: list[SeededVector],
    probes: list[tuple[Entry, int]],
) -> None:
    named = dict(problem.model.named_parameters())
    own = numbers_at(named, probes)
    if not np.array_equal(np.array(own, np.float32), place.origin_probes, equal_nan=True):
        raise ValueError(
            "The weights of the model are not those around which these random directions were "
            "made, and a plane that is not stored has no other origin: make it anew, "
            "random_plane(objective), or keep the vectors, random_plane(objective, stored=True)."
        )
    for vector, known in zip(vectors, place.probes, strict=True):
        found = np.array([vector.drawn_at(entry, at) for entry, at in probes], np.float32)
        if not np.array_equal(found, known):
            raise ValueError(
                f"Direction {vector.number + 1} of the plane comes out otherwise than when it was "
                "made; its file is damaged, or of another version of this package."
            )


def numbers_at(named: Mapping[str, Tensor], places: list[tuple[Entry, int]]) -> list[float]:
    """Some numbers of some tensors."""
    found = []
    for name, group in itertools.groupby(places, lambda place: place[0].name):
        values = gathered(named[name])
        for _, at in group:
            found.append(
                float(values[np.unravel_index(at, values.shape)] if values.ndim else values)
            )
    return found
