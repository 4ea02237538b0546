"""Averages of networks: weights, the greedy choice, merging coefficients."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import bowl

import landscape as ls


def test_an_average_weighs_tensors_by_name_and_keeps_the_precision():
    vectors = [np.array([1.0, 2.0], np.float32), np.array([3.0, 6.0], np.float32)]
    found = ls.average(vectors, [1, 3])
    assert found.dtype == np.float32
    assert found.tolist() == [2.5, 5.0]
    for weights in ([1.0], [0.0, 0.0]):
        with pytest.raises(ValueError, match="one weight each"):
            ls.average(vectors, weights)


def test_a_greedy_soup_keeps_what_helps():
    # ½ θ²: ±1 average to 0; a further 3 makes the average worse.
    found = ls.greedy_soup(
        bowl(np.array([1.0])), [np.array([3.0]), np.array([1.0]), np.array([-1.1])],
        names=("far", "near", "other"),
    )  # fmt: skip
    assert found.order.tolist() == [1, 2, 0]
    assert found.kept.tolist() == [False, True, True]
    np.testing.assert_allclose(found.vector, [-0.05])
    assert found.greedy == pytest.approx(0.5 * 0.05**2)
    assert found.uniform == pytest.approx(0.5 * (2.9 / 3) ** 2)


def test_what_is_no_number_is_never_kept(tmp_path):
    objective = bowl(np.array([1.0]))
    found = ls.greedy_soup(objective, [np.array([np.nan]), np.array([1.0])])
    assert found.kept.tolist() == [False, True]
    found.save(tmp_path / "s.h5", "soup")
    assert ls.Soup.load(tmp_path / "s.h5", "soup").vector.tolist() == [1.0]
    with pytest.raises(ValueError, match="finite loss"):
        ls.greedy_soup(objective, [np.array([np.nan])])


def test_merging_coefficients_are_coordinates():
    base, first, second = np.array([1.0, 1, 0]), np.array([3.0, 1, 0]), np.array([1.0, 0, 0])
    plane = ls.task_plane(base, first, second, names=("digits", "letters"))
    np.testing.assert_allclose(plane.coordinates(base + 2 * (first - base))[0], [2, 0])
    np.testing.assert_allclose(plane.coordinates(first + second - base)[0], [1, 1])
    assert plane.labels == ("λ₁ of digits", "λ₂ of letters")
    surface = ls.loss_surface(bowl(np.ones(3)), plane, extent=(0, 1, 0, 1), resolution=2)
    assert surface.loss[1, 1] == pytest.approx(0.5 * 9)
