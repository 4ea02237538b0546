"""Lines and planes through given points."""

from __future__ import annotations

import numpy as np

from landscape.base.vector import layout_of
from landscape.results.affine import Line, Plane, affine


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


def _difference(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    if start.shape != end.shape and (layout_of(start) is None or layout_of(end) is None):
        raise ValueError(f"The points have shapes {start.shape} and {end.shape}.")
    return end.astype(np.float64) - start.astype(np.float64)
