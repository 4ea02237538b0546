"""Lines and planes through given points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from landscape.base.statistics import recorded_with
from landscape.base.vector import flat_vector, layout_of
from landscape.results.affine import Line, Plane, affine, inner
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
    start, end = flat_vector(start), flat_vector(end)
    return Line(**affine(start, [_difference(start, end)], ["α"], settings))


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
    a, b, c = (flat_vector(point) for point in (a, b, c))
    first, second = _difference(a, b), _difference(a, c)
    x, y, labels = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0]), ["α", "β"]
    if axes == "orthonormal":
        length = np.linalg.norm(first)
        first = first / (length or 1.0)
        along = _dot(first, second)
        second = second - along * first
        height = np.linalg.norm(second)
        # What is left of a parallel vector is rounding: `Plane` refuses it as it does no direction.
        second = second / height if height > 1e-7 * np.hypot(along, height) else 0 * second
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
    return Plane(**affine(a, [first, second], labels, settings))


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return float(inner(np.asarray(a)[None], np.asarray(b)[None])[0, 0])


def _difference(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    if start.shape != end.shape and (layout_of(start) is None or layout_of(end) is None):
        raise ValueError(f"The points have shapes {start.shape} and {end.shape}.")
    return end.astype(np.float64) - start.astype(np.float64)
