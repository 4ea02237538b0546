"""Lines: closed forms on quadratic bowls."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import bowl, vector_layout

import landscape as ls

CURVATURE = np.array([1.0, 2.0, 5.0])


@pytest.fixture
def ends():
    return np.array([1.0, -2.0, 0.5], np.float32), np.array([-1.0, 0.25, 2.0], np.float32)


def test_quadratic_profile_is_its_formula(ends):
    start, end = ends
    profile = ls.loss_line(bowl(CURVATURE), ls.line_between(start, end), resolution=21)
    points = start + profile.alpha[:, None] * (end.astype(np.float64) - start)
    assert profile.alpha[[0, -1]].tolist() == [-0.5, 1.5]
    # All numbers here are short binary fractions, so float32 storage is exact.
    np.testing.assert_allclose(profile.loss[0], 0.5 * (points**2 * CURVATURE).sum(1), rtol=1e-12)
    assert (profile.standard_error == 0).all()


def test_values_at_the_ends_are_those_of_the_points(ends):
    objective = bowl(CURVATURE)
    profile = ls.loss_line(objective, ls.line_between(*ends), extent=(0, 1), resolution=5)
    for index, point in ((0, ends[0]), (-1, ends[1])):
        assert profile.loss[0, index] == pytest.approx(objective.at(point).mean[0, 0], rel=1e-12)


def test_exchanged_ends_give_the_mirrored_profile(ends):
    lines = [ls.line_between(*ends), ls.line_between(*ends[::-1])]
    profile = ls.loss_line(bowl(CURVATURE), lines, extent=(0, 1), names=["there", "back"])
    np.testing.assert_allclose(profile.loss[0], profile.loss[1, ::-1], rtol=1e-12)
    assert profile.names == ("there", "back")


def test_several_lines_keep_their_order(ends):
    layout = vector_layout(3)
    lines = [ls.random_line(ends[0], layout, seed=seed) for seed in range(3)]
    together = ls.loss_line(bowl(CURVATURE), lines, extent=(-1, 1), resolution=4)
    for index, line in enumerate(lines):
        alone = ls.loss_line(bowl(CURVATURE), line, extent=(-1, 1), resolution=4)
        np.testing.assert_array_equal(together.values[index], alone.values[0])


class TestRefused:
    def test_no_line(self):
        with pytest.raises(ValueError, match="0 lines"):
            ls.loss_line(bowl(CURVATURE), [])

    def test_names_that_do_not_match(self, ends):
        with pytest.raises(ValueError, match="1 lines and 2 names"):
            ls.loss_line(bowl(CURVATURE), ls.line_between(*ends), names=["a", "b"])

    @pytest.mark.parametrize("options", [{"extent": (1, 1)}, {"resolution": 1}])
    def test_an_empty_extent(self, ends, options):
        with pytest.raises(ValueError, match="empty"):
            ls.loss_line(bowl(CURVATURE), ls.line_between(*ends), **options)

    def test_a_line_of_another_model(self, ends):
        with pytest.raises(ValueError, match="another model"):
            ls.loss_line(bowl(np.ones(4)), ls.line_between(*ends))
