"""Lines and planes of random directions that are kept as a recipe: a seed and norms, no vectors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float32, Float64

from landscape.base.layout import Layout
from landscape.base.provenance import fingerprint
from landscape.base.result import Result

Normalization = Literal["filter", "layer", "gaussian", "none"]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seeded(Result):
    """Random directions around a model's weights, each drawn from a counter.

    Any part of a direction can be made anew, in any order, on any device, with the same bits; see
    `landscape.objective.vectors.seeded`. The origin is the model itself, which is not kept.

    Attributes:
        seed: Seed of the directions.
        normalization: ``filter``, ``layer``, ``gaussian`` or ``none``; see `random_plane`.
        norms: What the directions are scaled to: norms of the origin's filters, of its tensors or
            of all of it, in the order of the moved tensors; empty for ``none``.
        gram: Inner products of the directions, shape (K, K).
        probes: A few entries of each direction before they are scaled, to see that it is made as
            it was; shape (K, n).
        origin_probes: A few entries of the origin, to see that the model is the same.
        labels: What each axis is, for figures.
        tensors: What `Layout.to_json` writes, under the key ``layout``, and the names of the moved
            tensors under ``moved``.
        settings: How the directions were chosen.
        provenance: Software, command and time.
    """

    seed: int
    normalization: str
    norms: Float32[np.ndarray, " filter"]
    gram: Float64[np.ndarray, "direction direction_2"]
    probes: Float32[np.ndarray, "direction probe"]
    origin_probes: Float32[np.ndarray, " probe"]
    labels: Annotated[tuple[str, ...], "direction"]
    tensors: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    count: ClassVar[int]
    explained: ClassVar[None] = None
    explained_null: ClassVar[None] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if len(self.labels) != self.count:
            raise ValueError(f"A {name} has {self.count} direction(s); got {len(self.labels)}.")
        spread = np.linalg.eigvalsh(self.gram)
        if not spread[0] > 1e-12 * spread[-1]:
            raise ValueError(f"The directions of the {name} are zero, parallel or not finite.")
        unknown = set(self.moved) - {entry.name for entry in self.layout}
        if unknown:
            raise ValueError(f"The {name} moves tensors that it does not know: {sorted(unknown)}.")

    @property
    def layout(self) -> Layout:
        """Names, shapes and kinds of the tensors of the model."""
        return Layout.from_json(json.dumps(self.tensors.get("layout")))

    @property
    def moved(self) -> tuple[str, ...]:
        """Names of the tensors that the directions move."""
        return tuple(self.tensors.get("moved", ()))

    @property
    def digest(self) -> str:
        """A short text that tells these directions, and their origin, from others."""
        return fingerprint(self.norms, self.gram, self.probes, self.origin_probes)

    def check_filters(self, layout: Layout) -> None:
        """Nothing to refuse: the layout is the model's, of which the norms were taken."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SeededLine(_Seeded):
    """A random line kept as a recipe; made by `random_line(objective, stored=False)`.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> line = ls.random_line(objective, stored=False)
    >>> type(line).__name__, ls.loss_line(objective, line, resolution=5).loss.shape
    ('SeededLine', (1, 5))
    """

    schema: ClassVar[str] = "landscape/seeded-line"
    count: ClassVar[int] = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class SeededPlane(_Seeded):
    """A random plane kept as a recipe; made by `random_plane(objective, stored=False)`.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> plane = ls.random_plane(objective, stored=False)
    >>> type(plane).__name__, ls.loss_surface(objective, plane, resolution=3).loss.shape
    ('SeededPlane', (3, 3))
    """

    schema: ClassVar[str] = "landscape/seeded-plane"
    count: ClassVar[int] = 2
