"""Recipes of seeded lines and planes: their directions, once model and numbers are those meant."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from landscape.base.layout import Entry, Layout
from landscape.objective.inspection.present import gathered
from landscape.objective.problem import Problem
from landscape.objective.vectors.lazy import Vectors, vectors_of
from landscape.objective.vectors.seeded import SeededVector
from landscape.results.seeded import SeededLine, SeededPlane

PROBES = 64


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
