"""Directions: the lines and planes through parameter space on which the loss is measured.

A point with coordinates c lies at θ(c) = origin + Σ_k c_k · directions[k]. The directions need
be neither orthogonal nor of unit length: their Gram matrix is stored and every projection uses it.

Random directions are filter-normalized by default (Li et al. 2018, arXiv:1712.09913, section 4):
each filter of the direction gets the norm of the same filter of the origin, and biases and norm
parameters get zero. Directions that carry meaning (principal components, differences between
states) are never rescaled.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Float64

from landscape.layout import Entry, Kind, Layout
from landscape.provenance import provenance
from landscape.store import Result
from landscape.vector import Vector, layout_of

Normalization = Literal["filter", "layer", "none"]

BLOCK_BYTES = 2**27


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
    tensors: dict | None = None
    settings: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)

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
        if not (np.isfinite(self.origin).all() and np.isfinite(self.directions).all()):
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
            Coordinates, shape (K,), and the residual ‖θ - θ(c)‖, in double precision.
        """
        vector = self.matched(vector)
        if vector.shape != self.origin.shape:
            raise ValueError(
                f"The point has shape {vector.shape}, the {type(self).__name__} lives in "
                f"{self.origin.shape}; they belong to different models."
            )
        with np.errstate(invalid="ignore", over="ignore"):  # a diverged state gives NaN
            offset = np.asarray(vector, np.float64) - np.asarray(self.origin)
            found = np.linalg.solve(self.gram, inner(self.directions, offset[None])[:, 0])
            for coordinate, direction in zip(found, self.directions, strict=True):
                offset -= coordinate * direction
        return found, float(np.linalg.norm(offset))


@dataclass(frozen=True, kw_only=True, eq=False)
class Line(_Affine):
    """An origin and one direction."""

    schema: ClassVar[str] = "landscape/line"
    count: ClassVar[int] = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane(_Affine):
    """An origin and two directions."""

    schema: ClassVar[str] = "landscape/plane"
    count: ClassVar[int] = 2


def inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner products of the rows of `a` and `b` in double precision, block by block."""
    a, b = np.asarray(a), np.asarray(b)
    block = max(1, BLOCK_BYTES // (8 * (len(a) + len(b))))
    total = np.zeros((len(a), len(b)))
    for start in range(0, a.shape[1], block):
        part = slice(start, start + block)
        total += a[:, part].astype(np.float64) @ b[:, part].astype(np.float64).T
    return total


def random_plane(
    origin: np.ndarray,
    layout: Layout,
    *,
    seed: int = 0,
    normalization: Normalization = "filter",
    ignore: Sequence[Kind] = ("bias", "norm"),
) -> Plane:
    """Two random directions around a point (Li et al. 2018, arXiv:1712.09913).

    The two are drawn independently and, as in the paper, not orthogonalised.

    A weight that is zero stays zero under a normalization (the second half of a fresh low-rank
    adapter): a warning names such tensors, and a plane that would move nothing is refused.

    Args:
        origin: The centre, shape (P,), usually a trained network.
        layout: Which of its entries are which tensor, and which axis counts filters; those of
            the model (`Objective.layout`, `Layout.of`) are certain, those of a run that was
            imported without a model are guesses. An origin with a layout is put in this order.
        seed: Seed of the directions.
        normalization: ``filter``: each filter of a direction gets the norm of the origin's
            filter; ``layer``: the same for whole tensors; ``none``: raw normal numbers.
        ignore: Kinds of parameters whose entries are zero.

    Returns:
        The plane; one unit along an axis changes every filter by its own norm.
    """
    return Plane(**_random(origin, layout, 2, seed, normalization, ignore))


def random_line(
    origin: np.ndarray,
    layout: Layout,
    *,
    seed: int = 0,
    normalization: Normalization = "filter",
    ignore: Sequence[Kind] = ("bias", "norm"),
) -> Line:
    """One random direction around a point; arguments as for `random_plane`."""
    return Line(**_random(origin, layout, 1, seed, normalization, ignore))


def line_between(start: np.ndarray, end: np.ndarray) -> Line:
    """The straight line with `start` at 0 and `end` at 1 (Goodfellow et al., arXiv:1412.6544)."""
    return Line(**affine(start, [_difference(start, end)], ["α"], {"kind": "between two points"}))


def line_along(origin: np.ndarray, direction: np.ndarray, *, label: str = "α") -> Line:
    """The line through `origin` along `direction`, which is not rescaled.

    With ``-lr * gradient`` one unit is a gradient step, with an update it is that update.
    """
    return Line(**affine(origin, [direction.astype(np.float64)], [label], {"kind": "along"}))


def plane_through(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> Plane:
    """The plane with `a` at (0, 0), `b` at (1, 0) and `c` at (0, 1); axes may be skew."""
    directions = [_difference(a, b), _difference(a, c)]
    settings = {"kind": "through three points", "box": [0.0, 1.0, 0.0, 1.0]}
    return Plane(**affine(a, directions, ["α", "β"], settings))


def affine(
    origin: np.ndarray, directions: list[np.ndarray], labels: list[str], settings: dict[str, Any]
) -> dict[str, Any]:
    """The fields that every `Line` and `Plane` has, from an origin and directions.

    The layout is that of the first vector that knows its own; the others are put in its order.
    """
    layout = next(
        (known for known in map(layout_of, (origin, *directions)) if known is not None), None
    )
    if layout is not None:
        origin, *directions = (layout.matched(vector) for vector in (origin, *directions))
    if any(origin.shape != direction.shape for direction in directions):
        shapes = {origin.shape, *(direction.shape for direction in directions)}
        raise ValueError(f"The vectors have shapes {sorted(shapes)}; give vectors of one model.")
    # Of a model in double precision the origin is; directions are made in it for every model.
    dtype = np.float64 if origin.dtype == np.float64 else np.float32
    stored = np.stack([np.asarray(d, dtype) for d in directions])
    return {
        "origin": Vector(np.asarray(origin, dtype), layout),
        "directions": Vector(stored, layout),
        "gram": inner(stored, stored),
        "labels": tuple(labels),
        "settings": settings,
        "provenance": provenance(),
    }


def _random(
    origin: np.ndarray,
    layout: Layout,
    count: int,
    seed: int,
    normalization: Normalization,
    ignore: Sequence[Kind],
) -> dict[str, Any]:
    if normalization not in ("filter", "layer", "none"):
        raise ValueError(
            f"normalization must be one of 'filter', 'layer', 'none'; not {normalization!r}."
        )
    origin = np.asarray(layout.matched(origin))
    if origin.shape != (layout.size,):
        raise ValueError(f"The origin has shape {origin.shape}; the layout asks ({layout.size},).")
    generator = np.random.default_rng(seed)
    directions = []
    for _ in range(count):
        direction = np.zeros(layout.size)
        for entry in layout:
            drawn = generator.standard_normal(entry.size)
            if entry.kind not in ignore:
                direction[entry.slice] = drawn
        if normalization != "none":
            _normalize(direction, origin, layout, normalization)
        directions.append(direction)
    _check_moved(directions[0], layout, ignore)
    settings = {
        "kind": "random",
        "normalization": normalization,
        "ignored": list(ignore),
        "seed": seed,
    }
    labels = ["direction 1", "direction 2"][:count]
    return affine(Vector(origin, layout), directions, labels, settings)


def _check_moved(direction: np.ndarray, layout: Layout, ignore: Sequence[Kind]) -> None:
    """Say which tensors a direction leaves where they are though it should move them."""
    moved = [e for e in layout if e.kind == "weight" and e.kind not in ignore and e.size]
    still = [entry.name for entry in moved if not direction[entry.slice].any()]
    if not still:
        return
    names = f"{', '.join(still[:4])}{', …' if len(still) > 4 else ''}"
    remedy = (
        "Train first, use normalization='none', or take a plane through trained states "
        "(pca_plane, plane_through)."
    )
    if len(still) == len(moved):
        raise ValueError(
            f"All weights are zero ({names}), and normalized directions leave zero weights where "
            f"they are. {remedy}"
        )
    warnings.warn(
        f"{len(still)} of {len(moved)} weights are zero and the normalized directions do not move "
        f"them ({names}): the surface shows the others only, and is flat where these multiply "
        f"them, as in a fresh low-rank adapter. {remedy}",
        stacklevel=4,
    )


def _normalize(
    direction: np.ndarray, origin: np.ndarray, layout: Layout, normalization: Normalization
) -> None:
    for entry in layout:
        tensor = direction[entry.slice].reshape(entry.shape)
        if normalization == "filter":
            mine = layout.filter_norms(entry, direction)
            wanted = layout.filter_norms(entry, origin)
        else:
            mine = np.linalg.norm(direction[entry.slice])
            wanted = np.linalg.norm(origin[entry.slice].astype(np.float64))
        # An ignored tensor has norm zero and stays zero.
        tensor *= np.divide(wanted, mine, out=np.zeros_like(wanted), where=np.asarray(mine) > 0)


def _difference(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    if start.shape != end.shape and (layout_of(start) is None or layout_of(end) is None):
        raise ValueError(f"The points have shapes {start.shape} and {end.shape}.")
    return end.astype(np.float64) - start.astype(np.float64)
