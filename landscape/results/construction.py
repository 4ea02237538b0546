"""Construction: how a line or a plane was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from landscape.base.record import Record


@dataclass(frozen=True, kw_only=True)
class Construction(Record):
    """What a line or plane says of itself in its settings, and in those of what is measured on it.

    Attributes:
        kind: ``random``, ``PCA``, ``between two points``, …
        runs: Names of the runs that it was made from.
        states: How many states of them.
        weight: What counts the same in several runs together; see `landscape.pca_plane`.
        explained_per_run: Share of each run's variation along each direction.
        adapter: Name of the adapter on the line.
        eigenvalues: Of the Hessian, along the directions.
        residuals: Of these eigenpairs.
        normalization: How random directions are scaled.
        origin: Which point lies at zero.
        ignored: Kinds of parameters that random directions leave out.
        seed: Of random directions; a list where lines or surfaces of several are together.
        select: The tensors that random directions move, as a regular expression.
        stored: False where directions are made again from the seed.
        box: What it was made from lies inside (α_min, α_max, β_min, β_max).
        axes: ``orthonormal`` where coordinates are distances.
        points: ``names``, ``x`` and ``y`` of the points that it was laid through.
        fresh: How many tensors of a fresh adapter were zero, and got a norm.

    >>> Construction(kind="random", normalization="filter", seed=0).settings()
    {'kind': 'random', 'normalization': 'filter', 'seed': 0}
    """

    kind: str | None = None
    runs: list[str] | None = None
    states: int | None = None
    weight: str | None = None
    explained_per_run: list[list[float]] | None = None
    adapter: str | None = None
    eigenvalues: list[float] | None = None
    residuals: list[float] | None = None
    normalization: str | None = None
    origin: str | None = None
    ignored: list[str] | None = None
    seed: int | list[int] | None = None
    select: str | None = None
    stored: bool | None = None
    box: list[float] | None = None
    axes: str | None = None
    points: Mapping[str, Any] | None = None
    fresh: int | None = None
