"""The shape of sampled curves: where they are lowest, how far from convex, what is rounding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from landscape.results.conditions import Conditions

Barrier = Literal["frankle2020", "entezari2022"]

Z = 2.0  # standard errors that hold 95 %

_EPSILON = {
    "double": np.finfo(np.float64).eps,
    "bfloat16": 2.0**-8,
    "native": 2.0**-8,
    "tf32": 2.0**-11,
}


def rounding(curves: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """Size below which differences of measured values mean nothing.

    Args:
        curves: Values, shape (..., points).
        settings: Of the result; ``precision`` is looked up, single when absent.

    Returns:
        Eight units in the last place of each curve's largest value, shape (...).
    """
    epsilon = _EPSILON.get(Conditions.of(settings).precision or "", np.finfo(np.float32).eps)
    return 8 * float(epsilon) * np.abs(curves).max(axis=-1)


def uncertainty(
    curves: np.ndarray, covariance: np.ndarray, settings: Mapping[str, Any]
) -> np.ndarray:
    """How well differences along curves are known, relative to the range of each.

    Args:
        curves: Values, shape (..., points).
        covariance: Of the values of each curve, shape (..., points, points).
        settings: Of the result, for `rounding`.

    Returns:
        The largest error (of 95 %) of a difference of two points over the curve's range, shape
        (...); 0 where that error is within rounding, NaN where a value or covariance is not finite.

    >>> curve, covariance = np.array([0.0, 4.0]), np.array([[4.0, 4.0], [4.0, 5.0]])
    >>> uncertainty(curve, covariance, {}).item()
    0.5
    """
    own = np.diagonal(covariance, axis1=-2, axis2=-1)
    variance = own[..., :, None] + own[..., None, :] - covariance - covariance.swapaxes(-1, -2)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = Z * np.sqrt(variance.max(axis=(-1, -2)).clip(min=0))
        relative = error / np.ptp(curves, axis=-1)
        return np.where(error <= rounding(curves, settings), 0, relative)


def parabola_minimum(x: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Where curves are lowest, by a parabola through the lowest inner point and its neighbours.

    Args:
        x: Equally spaced places, at least three, shape (points,).
        curves: Values there, shape (curve, points).

    Returns:
        Places between x[0] and x[-1], shape (curve,); NaN for curves with a value that is not
        finite.

    >>> x = np.linspace(0, 1, 11)
    >>> parabola_minimum(x, np.stack([(x - 0.42) ** 2, x, -x, (x - 0.99) ** 2])).round(12)
    array([0.42, 0.  , 1.  , 0.99])
    """
    curves = np.where(np.isfinite(curves).all(axis=1, keepdims=True), curves, np.nan)
    lowest = np.argmin(curves, axis=1).clip(1, len(x) - 2)
    rows = np.arange(len(curves))
    left, here, right = (curves[rows, lowest + i] for i in (-1, 0, 1))
    bend = left - 2 * here + right
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = x[lowest] + (x[1] - x[0]) * (left - right) / (2 * bend)
    # Without a bend upwards the lower of the three is an end of the curve.
    ends = np.where(left <= right, x[lowest - 1], x[lowest + 1])
    return np.where(np.isnan(here), np.nan, np.where(bend > 0, vertex, ends)).clip(x[0], x[-1])


def parabola_minimum_error(x: np.ndarray, curves: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Standard errors of `parabola_minimum`, to first order in those of the curves.

    Args:
        x: Equally spaced places, at least three, shape (points,).
        curves: Values there, shape (curve, points).
        covariance: Of the values of each curve, shape (curve, points, points).

    Returns:
        Shape (curve,); NaN where the minimum is an end, or a value is not finite.

    >>> x = np.linspace(-1, 1, 3)
    >>> parabola_minimum_error(x, (x**2)[None], np.diag([0.02, 0.02, 0.02])[None])
    array([0.05])
    """
    place = parabola_minimum(x, curves)
    lowest = np.argmin(curves, axis=1).clip(1, len(x) - 2)
    rows, near = np.arange(len(curves)), lowest[:, None] + [-1, 0, 1]
    left, here, right = curves[rows[:, None], near].T
    bend, tilt = left - 2 * here + right, left - right
    with np.errstate(divide="ignore", invalid="ignore"):
        # The vertex lies at h/2 · tilt / bend from the middle point.
        slope = np.stack([bend - tilt, 2 * tilt, -bend - tilt]) / bend**2 * (x[1] - x[0]) / 2
        part = covariance[rows[:, None, None], near[:, :, None], near[:, None, :]]
        variance = np.einsum("is,sij,js->s", slope, part, slope)
    inside = (place > x[0]) & (place < x[-1]) & (bend > 0)
    return np.where(inside, np.sqrt(variance.clip(min=0)), np.nan)


def nonconvexity(x: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """How far curves rise above their lower convex envelopes: 0 exactly for convex ones.

    Args:
        x: Increasing places, shape (points,).
        curves: Values there, shape (curve, points).

    Returns:
        The largest rise of each curve, shape (curve,); NaN where a value is not finite.

    >>> x = np.linspace(-1, 1, 5)
    >>> nonconvexity(x, np.stack([x**2, -(x**2)]))
    array([0., 1.])
    """
    curves = np.where(np.isfinite(curves).all(axis=1, keepdims=True), curves, np.nan)
    rise = np.zeros(len(curves))
    for j in range(1, len(x) - 1):
        i, k = np.meshgrid(np.arange(j), np.arange(j + 1, len(x)), indexing="ij")
        share = (x[j] - x[i]) / (x[k] - x[i])
        chords = (1 - share) * curves[:, i] + share * curves[:, k]
        rise = np.maximum(rise, curves[:, j] - chords.min(axis=(1, 2)))
    return rise


def barrier_reference(alpha: np.ndarray, definition: str) -> np.ndarray:
    """What a barrier is measured above, as weights of the values at the two ends.

    Args:
        alpha: Places from 0 to 1, shape (alpha,).
        definition: ``frankle2020``: the mean of the ends (arXiv:1912.05671, section 2);
            ``entezari2022``: the straight line between them (arXiv:2110.06296, definition 1).

    Returns:
        Weights of the first and the last value, shape (2, alpha).

    Raises:
        ValueError: If the definition is unknown.

    >>> barrier_reference(np.array([0.0, 0.25, 1.0]), "entezari2022").tolist()
    [[1.0, 0.75, 0.0], [0.0, 0.25, 1.0]]
    """
    if definition == "frankle2020":
        return np.full((2, len(alpha)), 0.5)
    if definition == "entezari2022":
        return np.stack([1 - alpha, alpha])
    raise ValueError(
        f"definition must be one of 'frankle2020', 'entezari2022'; not {definition!r}."
    )


def rise(alpha: np.ndarray, values: np.ndarray, definition: str) -> np.ndarray:
    """How far values lie above what a barrier is measured from; its largest is the barrier.

    Args:
        alpha: Places from 0 to 1, both included, shape (alpha,).
        values: Values there, shape (..., alpha).
        definition: See `barrier_reference`.

    Returns:
        Shape (..., alpha); NaN or infinite where a value is.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # ∞ - ∞ of a diverged net
        return values - values[..., [0, -1]] @ barrier_reference(alpha, definition)
