"""Shapes of sampled curves: properties that hold for every curve."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from landscape.results.curves import nonconvexity, parabola_minimum, rounding

X = np.linspace(0, 1, 9)
curves = arrays(np.float64, (3, 9), elements=st.floats(-1e3, 1e3))


@settings(max_examples=50, deadline=None)
@given(curves)
def test_the_rise_above_the_envelope_is_that_of_the_lower_hull(values):
    # Twin: the lower hull by Andrew's monotone chain.
    for curve, rise in zip(values, nonconvexity(X, values), strict=True):
        hull: list[int] = []
        for i in range(len(X)):
            while len(hull) > 1:
                a, b = hull[-2:]
                slope = (curve[i] - curve[a]) / (X[i] - X[a])
                if curve[b] < curve[a] + slope * (X[b] - X[a]):
                    break
                hull.pop()
            hull.append(i)
        envelope = np.interp(X, X[hull], curve[hull])
        np.testing.assert_allclose(rise, (curve - envelope).max(), atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(curves, st.floats(-5, 5), st.floats(-5, 5))
def test_tilting_changes_no_convexity(values, slope, offset):
    tilted = values + slope * X + offset
    np.testing.assert_allclose(nonconvexity(X, tilted), nonconvexity(X, values), atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.floats(-1, 2), st.floats(0.1, 10), st.floats(-3, 3))
def test_the_minimum_of_a_parabola_is_exact(place, bend, offset):
    found = parabola_minimum(X, (bend * (X - place) ** 2 + offset)[None])[0]
    # Cancellation: values up to 40 + 3 against second differences of .1 · 2 / 64.
    np.testing.assert_allclose(found, np.clip(place, 0, 1), atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(curves)
def test_the_minimum_lies_within_a_point_of_the_lowest(values):
    found = parabola_minimum(X, values)
    lowest = X[values.argmin(axis=1)]
    assert (np.abs(found - lowest) <= X[1] + 1e-12).all()


def test_curves_that_are_not_finite_have_no_shape():
    values = np.tile(X**2, (2, 1))
    values[0, 3], values[1, 4] = np.nan, np.inf
    assert np.isnan(nonconvexity(X, values)).all()
    assert np.isnan(parabola_minimum(X, values)).all()


def test_rounding_is_that_of_the_precision():
    curve = np.array([[0.5, -2.0]])
    assert rounding(curve, {"precision": "double"})[0] == 16 * np.finfo(np.float64).eps
    assert rounding(curve, {})[0] == 16 * np.finfo(np.float32).eps
