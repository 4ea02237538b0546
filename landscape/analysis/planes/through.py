"""Lines and planes through given points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from landscape.base.blocks import blocks
from landscape.base.layout import Layout
from landscape.base.statistics import recorded_with
from landscape.base.vector import Vector, flat_vector, layout_of
from landscape.results.affine import Line, Plane, affine
from landscape.results.construction import Construction

Axes = Literal["skew", "orthonormal"]


def line_between(start: np.ndarray, end: np.ndarray) -> Line:
    """The straight line with `start` at 0 and `end` at 1 (Goodfellow et al., arXiv:1412.6544).

    >>> import numpy as np
    >>> import landscape as ls
    >>> line = ls.line_between(np.array([1.0, 1.0]), np.array([4.0, 5.0]))
    >>> line.directions.tolist(), line.gram.item()
    ([[3.0, 4.0]], 25.0)
    """
    made = Construction(kind="between two points")
    settings = {**made.settings(), **recorded_with(start, end)}
    (start, end), layout = _matched(flat_vector(start), flat_vector(end))
    return Line(**affine(start, _settled(_differences(start, end), layout), ["α"], settings))


def line_along(origin: np.ndarray, direction: np.ndarray, *, label: str = "α") -> Line:
    """The line through `origin` along `direction`, which is not rescaled.

    With ``-lr * gradient`` one unit is a gradient step, with an update it is that update.

    >>> import numpy as np
    >>> import landscape as ls
    >>> line = ls.line_along(np.zeros(2), np.array([3.0, 4.0]), label="gradient steps")
    >>> line.gram.item(), line.labels
    (25.0, ('gradient steps',))
    """
    settings = Construction(kind="along").settings()
    return Line(**affine(origin, [direction.astype(np.float64)], [label], settings))


def plane_through(
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    *,
    axes: Axes = "skew",
    names: Sequence[str] | None = None,
) -> Plane:
    """The plane through three points.

    Args:
        a: The point at (0, 0), shape (P,).
        b: The second.
        c: The third, not on the line through the other two.
        axes: ``skew``: along b - a and c - a, so that `b` lies at (1, 0) and `c` at (0, 1).
            ``orthonormal``: along b - a and across it, towards `c`; coordinates are Euclidean
            distances (Garipov et al. 2018, arXiv:1802.10026, appendix A.1).
        names: What the points are called; pictures mark and name them. Default: not marked.

    Raises:
        ValueError: If the points lie on one line, axes are unknown, or there are not three names.

    >>> plane = plane_through(
    ...     np.zeros(3), np.array([4.0, 0, 0]), np.array([1.0, 2.0, 0]), axes="orthonormal"
    ... )
    >>> plane.coordinates(np.array([1.0, 2.0, 7.0]))
    (array([1., 2.]), 7.0)
    """
    if axes not in ("skew", "orthonormal"):
        raise ValueError(f"axes must be one of 'skew', 'orthonormal'; not {axes!r}.")
    if names is not None and len(names) != 3:
        raise ValueError(f"Three points have three names; got {len(names)}.")
    x, y, labels = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]), ["α", "β"]
    points, layout = _matched(*(flat_vector(point) for point in (a, b, c)))
    rows = _differences(*points)
    if axes == "orthonormal":
        length, along, height = _make_orthonormal(rows, *points)
        x, y = np.array([0, length, along]), np.array([0, 0, height])
        a_, b_ = names[:2] if names else ("the first", "the second point")
        labels = [f"distance from {a_} towards {b_}", "distance across"]
    made = Construction(
        kind="through three points",
        box=[float(v) for v in (x.min(), x.max(), y.min(), y.max())],
        axes=axes if axes == "orthonormal" else None,
        points=None if names is None else {"names": list(names), "x": x.tolist(), "y": y.tolist()},
    )
    settings = {**made.settings(), **recorded_with(a, b, c)}
    return Plane(**affine(points[0], _settled(rows, layout), labels, settings))


def _matched(*points: np.ndarray) -> tuple[list[np.ndarray], Layout | None]:
    """The points in one order, and which it is where that is known."""
    layout = next((known for known in map(layout_of, points) if known is not None), None)
    for point in points[1:]:
        if point.shape != points[0].shape and (layout is None or layout_of(point) is None):
            raise ValueError(f"The points have shapes {points[0].shape} and {point.shape}.")
    return [p if layout is None else layout.matched(p) for p in points], layout


def _differences(start: np.ndarray, *ends: np.ndarray) -> np.ndarray:
    """Each end less the start, a row each, in the precision of a line or plane.

    Of two numbers in single precision the difference in double precision, rounded once, is theirs.
    """
    kept = np.float64 if start.dtype == np.float64 else np.float32
    rows: np.ndarray = np.empty((len(ends), *start.shape), kept)
    for k, end in enumerate(ends):
        wide = np.result_type(start, end, np.float32)
        np.subtract(
            np.asarray(end), np.asarray(start), out=rows[k], dtype=wide, casting="same_kind"
        )
    return rows


def _make_orthonormal(
    rows: np.ndarray, start: np.ndarray, *ends: np.ndarray
) -> tuple[float, float, float]:
    """Make rows the unit vectors along b - a and across it towards c.

    All is summed in double precision block by block, so that no further vector is held.

    Returns:
        ‖b - a‖, and how far c is along the one and the other.
    """

    def away() -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        for part in blocks(start.size):
            origin = np.asarray(start)[part]
            first, second = (np.asarray(end)[part].astype(np.float64) - origin for end in ends)
            yield part, first, second

    length = np.sqrt(sum(float(first @ first) for _, first, _ in away()))
    unit = 1 / (length or 1.0)
    along = unit * sum(float(first @ second) for _, first, second in away())
    rest = (second - unit * along * first for _, first, second in away())
    height = np.sqrt(sum(float(across @ across) for across in rest))
    # What is left of a parallel vector is rounding: `Plane` refuses it as it does no direction.
    scale = 1 / height if height > 1e-7 * np.hypot(along, height) else 0.0
    for part, first, second in away():
        rows[0, part] = unit * first
        rows[1, part] = scale * (second - unit * along * first)
    return float(length), float(along), float(height)


def _settled(rows: np.ndarray, layout: Layout | None) -> Vector:
    """Rows that nobody writes to any more: a line or plane need not copy them."""
    rows.flags.writeable = False
    return Vector(rows, layout)
