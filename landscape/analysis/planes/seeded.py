"""Random lines and planes that are not stored: what is needed to make them anew."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape.base.layout import Entry
from landscape.base.provenance import provenance
from landscape.objective.inspection.present import gathered
from landscape.objective.lending.room import Room
from landscape.objective.vectors.recipes import filters_of, norms_by_name, numbers_at, probed
from landscape.objective.vectors.seeded import SeededVector
from landscape.results.seeded import Normalization

if TYPE_CHECKING:
    from landscape.objective.objective import Objective

_CPU = torch.device("cpu")
_WHOLE = 2**22  # elements up to which tensors are made whole: drawn once, scale and all
_BLOCK = 2**17  # of what is converted to double precision together


def recipe(
    objective: Objective,
    moved: list[Entry],
    count: int,
    *,
    seed: int,
    normalization: Normalization,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """The fields of a `SeededLine` or `SeededPlane` around an objective's model.

    Norms and inner products are made in one pass, tensor by tensor: no vector is ever whole.

    Args:
        objective: Whose model is the origin.
        moved: The tensors to move.
        count: Number of directions.
        seed: Of the directions.
        normalization: What each part of a direction is scaled to.
        settings: What else is to be kept.
    """
    layout, named = objective.layout, dict(objective.model.named_parameters())
    norms = _norms(moved, named, normalization)
    by_name = {entry.name: entry for entry in moved}
    split = norms_by_name(layout, by_name, normalization, norms)
    vectors = [SeededVector(seed, k, by_name, normalization, split) for k in range(count)]
    probes = probed(layout, moved)
    return {
        "seed": seed,
        "normalization": normalization,
        "norms": norms,
        "gram": _gram(moved, vectors),
        "probes": [[v.drawn_at(entry, at) for entry, at in probes] for v in vectors],
        "origin_probes": numbers_at(named, probes),
        "labels": tuple(f"direction {k + 1}" for k in range(count)),
        "tensors": {"layout": json.loads(layout.to_json()), "moved": list(by_name)},
        "settings": settings,
        "provenance": provenance(),
    }


def still_tensors(
    objective: Objective, moved: list[Entry], normalization: Normalization
) -> list[str]:
    """Names of the weights that are zero, which normalized directions do not move."""
    if normalization in ("none", "gaussian"):
        return []
    named = dict(objective.model.named_parameters())
    weights = [(e, gathered(named[e.name])) for e in moved if e.kind == "weight"]
    return [e.name for e, w in weights if not (w[:1].any() or w.any())]


def _norms(moved: list[Entry], named: dict[str, Any], normalization: str) -> np.ndarray:
    found = []
    for entry in moved if normalization != "none" else ():
        own = gathered(named[entry.name])
        by_rows = len(entry.shape) < 2 or entry.filter_axis == 0
        squares = own.new_zeros(math.prod(filters_of(entry)), dtype=torch.float64)
        for rows in entry.blocks(_BLOCK):
            squares[rows if by_rows and entry.shape else ...] += _squares(
                entry, entry.rows(own, rows)
            )
        found.append(squares.sum()[None] if normalization != "filter" else squares)
    if not found:
        return np.zeros(0, np.float32)
    total = torch.cat([f.cpu() for f in found])
    whole = total.sum()[None] if normalization == "gaussian" else total
    return whole.sqrt().float().numpy()


def _squares(entry: Entry, rows: Tensor) -> Tensor:
    """Sums of squares over the filters of some rows, in double precision, shape (filters,)."""
    squares = rows.double().square_()
    if squares.ndim < 2:
        return squares.reshape(-1)
    axes = [a for a in range(squares.ndim) if a != entry.filter_axis]
    return squares.sum(dim=axes)


def _gram(moved: list[Entry], vectors: list[SeededVector]) -> np.ndarray:
    total, room = np.zeros((len(vectors), len(vectors))), Room()
    for entry in moved:
        for rows in entry.blocks(_BLOCK if vectors[0].by_rows(entry) else _WHOLE):
            total += _products([v.tensor(entry, rows, _CPU, room) for v in vectors])
    return np.tril(total) + np.tril(total, -1).T


def _products(drawn: list[Tensor]) -> np.ndarray:
    """Inner products in double precision: the lower triangle."""
    total = np.zeros((len(drawn), len(drawn)))
    for parts in zip(*(each.view(-1).split(_BLOCK) for each in drawn), strict=True):
        double = [part.double() for part in parts]
        for i, a in enumerate(double):
            for k, b in enumerate(double[: i + 1]):
                total[i, k] += float(a @ b)
    return total
