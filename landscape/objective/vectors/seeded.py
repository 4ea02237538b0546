"""Random directions made tensor by tensor from a seed, with the same bits wherever they are made.

Entry i of tensor n of direction k is a standard normal number that depends on (seed, k, n, i) only
(`landscape.objective.vectors.philox`), times one scale per filter, tensor or direction. The drawn
numbers have 16 bits, so sums of their squares are exact in double precision, whatever their order,
and the scales are the same everywhere as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.base.layout import Entry, Layout
from landscape.base.names import plain_name
from landscape.objective.problem import Problem
from landscape.objective.vectors.lazy import Vectors, vectors_of
from landscape.objective.vectors.philox import key_of, normals
from landscape.results.seeded import Normalization, SeededLine, SeededPlane

PROBES = 64


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
        self.seed, self.number, self.normalization = seed, number, normalization
        self.moved, self.norms = dict(moved), dict(norms)
        self._scales: dict[str, np.ndarray] = {}

    @property
    def digest(self) -> str:
        """A short text that tells this direction from every other with the same norms."""
        return f"seeded {self.seed}/{self.number} {self.normalization}"

    def tensor(self, entry: Entry, rows: slice, device: torch.device) -> Tensor:
        """Rows of one tensor; see `LazyVector`."""
        start, stop = (0, 1) if not entry.shape else rows.indices(entry.shape[0])[:2]
        shape = (stop - start, *entry.shape[1:]) if entry.shape else ()
        if entry.name not in self.moved:
            return torch.zeros(shape, device=device)
        out = torch.empty(shape, device=device)
        scale = self.scale(entry)
        if entry.filter_axis == 0 and np.ndim(scale) and entry.shape:
            scale = scale[start:stop]
        scale = torch.from_numpy(np.asarray(scale, np.float32)).to(device)
        for part in entry.blocks(2**18):
            low, high = max(part.start, start), min(part.stop, stop)
            if low < high:
                here = slice(low - start, high - start)
                each = scale[here] if scale.ndim and entry.filter_axis == 0 else scale
                drawn = self.drawn(entry, slice(low, high), device)
                torch.mul(drawn, each, out=entry.rows(out, here))
        return out

    def drawn(self, entry: Entry, rows: slice, device: torch.device) -> Tensor:
        """Rows of one tensor before they are scaled."""
        if not entry.shape:
            return normals(self._key(entry), 0, 1, device).reshape(())
        width = math.prod(entry.shape[1:])
        found = normals(
            self._key(entry), rows.start * width, (rows.stop - rows.start) * width, device
        )
        return found.view(-1, *entry.shape[1:])

    def drawn_at(self, entry: Entry, at: int) -> float:
        """One number of a tensor before it is scaled."""
        return float(normals(self._key(entry), at, 1, torch.device("cpu")))

    def scale(self, entry: Entry) -> np.ndarray:
        """What the drawn numbers are multiplied by: wanted norm / drawn norm, float32."""
        if self.normalization == "none":
            return np.ones((), np.float32)
        key = "" if self.normalization == "gaussian" else entry.name
        if key not in self._scales:
            wanted = self.norms[entry.name].astype(np.float64)
            if self.normalization == "gaussian":
                squares = math.fsum(self._squares(e, whole=True) for e in self.moved.values())
            else:
                squares = self._squares(entry, whole=self.normalization == "layer")
            mine = np.sqrt(np.asarray(squares, np.float64))
            zero = np.zeros_like(wanted)
            scale = np.divide(wanted, mine, out=zero, where=np.asarray(mine) > 0)
            self._scales[key] = scale.astype(np.float32)
        return self._scales[key]

    def _squares(self, entry: Entry, *, whole: bool) -> np.ndarray:
        """Σ z² over every filter, or over the tensor."""
        cpu, axis, found = torch.device("cpu"), entry.filter_axis, []
        for rows in entry.blocks(2**18):
            squares = self.drawn(entry, rows, cpu).square_()  # rounded alike everywhere
            if whole:
                found.append(float(squares.sum(dtype=torch.float64)))
            elif len(entry.shape) < 2:
                found.append(squares.double().numpy())
            else:
                axes = [a for a in range(squares.ndim) if a != axis]
                found.append(squares.sum(dim=axes, keepdim=True, dtype=torch.float64).numpy())
        if whole:
            return np.asarray(math.fsum(found))
        if not entry.shape:
            return found[0]
        return np.concatenate(found) if len(entry.shape) < 2 or axis == 0 else np.sum(found, axis=0)

    def _key(self, entry: Entry) -> tuple[int, int]:
        return key_of(self.seed, self.number, plain_name(self.moved[entry.name].name))


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
    own = [number_at(named[entry.name], at) for entry, at in probes]
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


def number_at(tensor: Tensor, at: int) -> float:
    """One number of a tensor, by its place."""
    return float(tensor.detach()[np.unravel_index(at, tensor.shape)] if tensor.ndim else tensor)
