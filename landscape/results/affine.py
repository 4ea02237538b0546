"""Lines and planes: an origin and directions, with their Gram matrix."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Float, Float64

from landscape.base.blocks import all_finite, blocks, inner
from landscape.base.layout import Entry, Layout
from landscape.base.provenance import fingerprint, provenance
from landscape.base.result import Result
from landscape.base.statistics import recorded_with
from landscape.base.vector import Vector, layout_of


@dataclass(frozen=True, kw_only=True, eq=False)
class _Affine(Result):
    """An origin and some directions.

    Attributes:
        origin: The point with coordinates zero, shape (P,).
        directions: One direction per row, shape (K, P).
        gram: Inner products of the directions, shape (K, K).
        labels: What each axis is, for figures.
        settings: How they were chosen.
        explained: Share of the variation about the origin along each direction, if meaningful.
        explained_null: The same shares for a random walk with as many steps.
        tensors: The layout of the vectors, where it is known: what `Layout.to_json` writes, under
            the key ``layout``. Origin and directions then pair with other vectors by name.
        provenance: Software, command and time.
    """

    origin: Float[np.ndarray, " parameter"]
    directions: Float[np.ndarray, "direction parameter"]
    gram: Float64[np.ndarray, "direction direction_2"]
    labels: Annotated[tuple[str, ...], "direction"]
    explained: Float64[np.ndarray, " direction"] | None = None
    explained_null: Float64[np.ndarray, " direction"] | None = None
    tensors: dict[str, Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    count: ClassVar[int]

    def __post_init__(self) -> None:
        name, layout = type(self).__name__, self._known_layout()
        if layout is not None:
            object.__setattr__(self, "origin", layout.matched(self.origin))
            object.__setattr__(self, "directions", layout.matched(self.directions))
        super().__post_init__()
        if layout is not None:
            if layout.size != len(self.origin):
                raise ValueError(
                    f"The {name} has {len(self.origin)} entries, its layout {layout.size}."
                )
            object.__setattr__(self, "tensors", {"layout": json.loads(layout.to_json())})
            object.__setattr__(self, "origin", Vector(self.origin, layout))
            object.__setattr__(self, "directions", Vector(self.directions, layout))
        if len(self.directions) != self.count:
            raise ValueError(f"A {name} has {self.count} direction(s); got {len(self.directions)}.")
        if not (all_finite(self.origin) and all_finite(self.directions)):
            raise ValueError(f"The {name} has non-finite entries; its run probably diverged.")
        spread = np.linalg.eigvalsh(self.gram)
        if spread[0] <= 1e-12 * spread[-1] or spread[-1] == 0:
            raise ValueError(
                f"The directions of the {name} are zero or parallel; choose points that differ, or "
                "for random directions ignore fewer kinds of parameters."
            )

    def _known_layout(self) -> Layout | None:
        if self.tensors is not None:
            return Layout.from_json(json.dumps(self.tensors.get("layout")))
        return layout_of(self.origin) or layout_of(self.directions)

    @property
    def layout(self) -> Layout | None:
        """Names, shapes and kinds of the tensors in the vectors; None when not known."""
        return layout_of(self.origin)

    @property
    def digest(self) -> str:
        """A short text that tells these vectors from others."""
        return fingerprint(self.origin, self.directions)

    def matched(self, vector: np.ndarray) -> np.ndarray:
        """A vector in the order of this line or plane, as `Layout.matched` gives it."""
        return vector if self.layout is None else self.layout.matched(vector)

    def check_filters(self, layout: Layout) -> None:
        """Refuse directions that were normalized along other filters than a model has.

        Raises:
            ValueError: If they were; a layout guessed from a file does not know the modules.
        """
        chosen = self.settings
        if self.layout is None or chosen.get("normalization") != "filter":
            return
        ignored, pairs = chosen.get("ignored", []), layout.pairs(self.layout)

        def filters(entry: Entry) -> int | None:
            return None if entry.kind in ignored else entry.filter_axis * (len(entry.shape) > 1)

        wrong = [e.name for e in layout if e.name in pairs and filters(e) != filters(pairs[e.name])]
        if wrong:
            raise ValueError(
                f"{len(wrong)} tensors (first: {wrong[0]}) have other filters in the model than "
                "in the layout these directions were made with; make them with the model's, "
                "random_plane(origin, objective.layout), or import with model=model."
            )

    def coordinates(self, vector: np.ndarray) -> tuple[np.ndarray, float]:
        """Least-squares coordinates of a point and its distance to the line or plane.

        Args:
            vector: A point, shape (P,).

        Returns:
            Coordinates, shape (K,), and the residual ‖θ - θ(c)‖, in double precision; they are
            summed block by block, so that no second vector is made.
        """
        vector = self.matched(vector)
        if vector.shape != self.origin.shape:
            raise ValueError(
                f"The point has shape {vector.shape}, the {type(self).__name__} lives in "
                f"{self.origin.shape}; they belong to different models."
            )
        vector, origin, rows = (np.asarray(v) for v in (vector, self.origin, self.directions))
        products, squared = np.zeros(len(rows)), 0.0
        with np.errstate(invalid="ignore", over="ignore"):  # a diverged state gives NaN
            for part in blocks(len(vector)):
                away = vector[part].astype(np.float64) - origin[part]
                products += rows[:, part].astype(np.float64) @ away
            found = np.linalg.solve(self.gram, products)
            for part in blocks(len(vector)):
                away = vector[part].astype(np.float64) - origin[part]
                away -= found @ rows[:, part].astype(np.float64)
                squared += float(away @ away)
        return found, float(np.sqrt(squared))


@dataclass(frozen=True, kw_only=True, eq=False)
class Line(_Affine):
    """An origin and one direction.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> line = ls.random_line(objective, seed=1)
    >>> line.directions.shape, line.labels
    ((1, 8970), ('direction 1',))
    """

    schema: ClassVar[str] = "landscape/line"
    count: ClassVar[int] = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane(_Affine):
    """An origin and two directions.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> plane = ls.random_plane(objective)
    >>> plane.directions.shape, plane.gram.shape
    ((2, 8970), (2, 2))
    """

    schema: ClassVar[str] = "landscape/plane"
    count: ClassVar[int] = 2


def affine(
    origin: np.ndarray,
    directions: Sequence[np.ndarray] | np.ndarray,
    labels: list[str],
    settings: dict[str, Any],
) -> dict[str, Any]:
    """The fields that every `Line` and `Plane` has, from an origin and directions.

    The layout is that of the first vector that knows its own; the others are put in its order.
    The rows of an array are in the order of the origin, and not copied.
    """
    settings = {**recorded_with(origin), **settings}
    layout = next(
        (known for known in map(layout_of, (origin, *directions)) if known is not None), None
    )
    if layout is not None and not isinstance(directions, np.ndarray):
        origin, *directions = (layout.matched(vector) for vector in (origin, *directions))
    if any(origin.shape != direction.shape for direction in directions):
        shapes = {origin.shape, *(direction.shape for direction in directions)}
        raise ValueError(f"The vectors have shapes {sorted(shapes)}; give vectors of one model.")
    # Of a model in double precision the origin is; directions are made in it for every model.
    dtype = np.float64 if origin.dtype == np.float64 else np.float32
    if isinstance(directions, np.ndarray):
        stored = np.asarray(directions, dtype)
    else:
        stored = np.stack([np.asarray(d, dtype) for d in directions])
        stored.flags.writeable = False  # made here: the line or plane need not copy it
    return {
        "origin": Vector(np.asarray(origin, dtype), layout),
        "directions": Vector(stored, layout),
        "gram": inner(stored, stored),
        "labels": tuple(labels),
        "settings": settings,
        "provenance": provenance(),
    }
