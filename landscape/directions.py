"""Directions: the lines and planes through parameter space on which the loss is measured.

A point with coordinates c lies at θ(c) = origin + Σ_k c_k · directions[k]. The directions need
be neither orthogonal nor of unit length: their Gram matrix is stored and every projection uses it.

Random directions are filter-normalized by default (Li et al. 2018, arXiv:1712.09913, section 4):
each filter of the direction gets the norm of the same filter of the origin, and biases and norm
parameters get zero. Directions that carry meaning (principal components, differences between
states) are never rescaled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float32, Float64

from landscape.layout import Kind, Layout
from landscape.provenance import provenance
from landscape.store import Result

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
        provenance: Software, command and time.
    """

    origin: Float32[np.ndarray, " parameter"]
    directions: Float32[np.ndarray, "direction parameter"]
    gram: Float64[np.ndarray, "direction direction_2"]
    labels: Annotated[tuple[str, ...], "direction"]
    explained: Float64[np.ndarray, " direction"] | None = None
    explained_null: Float64[np.ndarray, " direction"] | None = None
    settings: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)

    count: ClassVar[int]

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
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

    def coordinates(self, vector: np.ndarray) -> tuple[np.ndarray, float]:
        """Least-squares coordinates of a point and its distance to the line or plane.

        Args:
            vector: A point, shape (P,).

        Returns:
            Coordinates, shape (K,), and the residual ‖θ - θ(c)‖, in double precision.
        """
        if vector.shape != self.origin.shape:
            raise ValueError(
                f"The point has shape {vector.shape}, the {type(self).__name__} lives in "
                f"{self.origin.shape}; they belong to different models."
            )
        with np.errstate(invalid="ignore", over="ignore"):  # a diverged state gives NaN
            offset = vector.astype(np.float64) - self.origin
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

    Args:
        origin: The centre, shape (P,), usually a trained network.
        layout: Layout of the vector.
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
    zero = np.zeros_like(direction)
    return Line(**affine(origin, [_difference(zero, direction)], [label], {"kind": "along"}))


def plane_through(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> Plane:
    """The plane with `a` at (0, 0), `b` at (1, 0) and `c` at (0, 1); axes may be skew."""
    directions = [_difference(a, b), _difference(a, c)]
    settings = {"kind": "through three points", "box": [0.0, 1.0, 0.0, 1.0]}
    return Plane(**affine(a, directions, ["α", "β"], settings))


def affine(
    origin: np.ndarray, directions: list[np.ndarray], labels: list[str], settings: dict[str, Any]
) -> dict[str, Any]:
    """The fields that every `Line` and `Plane` has, from an origin and directions."""
    stored = np.stack([d.astype(np.float32) for d in directions])
    return {
        "origin": origin.astype(np.float32),
        "directions": stored,
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
    settings = {
        "kind": "random",
        "normalization": normalization,
        "ignored": list(ignore),
        "seed": seed,
    }
    return affine(origin, directions, ["direction 1", "direction 2"][:count], settings)


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
    if start.shape != end.shape:
        raise ValueError(f"The points have shapes {start.shape} and {end.shape}.")
    return end.astype(np.float64) - start.astype(np.float64)
