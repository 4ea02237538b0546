"""The walk: closed forms on quadratic bowls, order of steps, window edges, end points."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic import bowl, random_walk, write_run

import landscape as ls


def descent(rate: float, *, steps: int = 6) -> np.ndarray:
    """Gradient descent on ½ θᵀθ from (1, 1): θ_t = (1 - rate)^t; float32."""
    factors = (1 - rate) ** np.arange(steps + 1)
    return (factors[:, None] * np.ones((1, 2))).astype(np.float32)


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "walk.h5", random_walk(12, 8, seed=0), name="walk")


def test_gradient_descent_on_a_bowl(tmp_path):
    # Along a segment the loss is θ_t² (1 - α·rate)²: its floor 0 at α = 1/rate.
    states = descent(1.25)
    walk = ls.walk(bowl(np.ones(2)), write_run(tmp_path / "gd.h5", states))
    exact = states[:-1, :1].astype(np.float64) ** 2 * (1 - 1.25 * walk.alpha) ** 2
    # States are rounded to float32: relative 6e-8 in θ near its own size.
    np.testing.assert_allclose(walk.loss, exact, atol=3e-7)
    ends = (walk.loss[:, 0] + walk.loss[:, -1]) / 2
    np.testing.assert_allclose(walk.height, ends, rtol=1e-5)  # 1/1.25 = .8 is a point, floor 0
    assert walk.interior_minimum.all()
    assert not walk.barrier.any()


def test_small_steps_have_no_minimum_inside(tmp_path):
    walk = ls.walk(bowl(np.ones(2)), write_run(tmp_path / "gd.h5", descent(0.25)))
    assert not walk.interior_minimum.any()
    assert not walk.barrier.any()


def test_no_barrier_on_a_convex_quadratic(run):
    walk = ls.walk(bowl(np.linspace(0.1, 5, 8)), run)
    assert not walk.barrier.any()


def test_barriers_on_a_concave_quadratic(tmp_path):
    # -½ θ² between -1 and 1: inside lies above both ends; away from the top it does not.
    states = np.array([[-1.0], [1.0], [2.0]], np.float32)
    walk = ls.walk(bowl(np.array([-1.0])), write_run(tmp_path / "hill.h5", states))
    assert walk.barrier.tolist() == [True, False]


def test_a_segment_ends_where_the_next_begins(run):
    walk = ls.walk(bowl(np.linspace(1, 2, 8)), run)
    np.testing.assert_allclose(walk.values[:-1, :, -1], walk.values[1:, :, 0], rtol=1e-12)
    np.testing.assert_array_equal(walk.next_step[:-1], walk.step[1:])


def test_end_points_are_the_recorded_states(run):
    objective = bowl(np.linspace(1, 2, 8))
    walk = ls.walk(objective, run)
    for segment in range(len(walk.step)):
        for end, index in ((0, segment), (-1, segment + 1)):
            state = objective.at(run.state(index)).mean[0, 0]
            assert walk.loss[segment, end] == pytest.approx(state, rel=1e-12)
    assert walk.alpha.tolist() == pytest.approx([i / 10 for i in range(11)])


def test_windows_hold_exactly_the_segments_inside_them(run):
    walk = ls.walk(bowl(np.ones(8)), run, windows=[(8, 10), (2, 4), (3, 5)])
    assert walk.step.tolist() == [2, 3, 4, 8, 9]
    whole = ls.walk(bowl(np.ones(8)), run)
    np.testing.assert_array_equal(walk.values, whole.values[walk.step])


def test_runs_recorded_every_third_step_say_so(tmp_path):
    run = write_run(tmp_path / "w.h5", random_walk(4, 8, seed=0), steps=[0, 3, 6, 9, 10])
    walk = ls.walk(bowl(np.ones(8)), run, windows=[(3, 10)])
    assert walk.step.tolist() == [3, 6, 9]
    assert walk.next_step.tolist() == [6, 9, 10]


def test_saved_and_loaded(run, tmp_path):
    walk = ls.walk(bowl(np.ones(8)), run, points=3)
    walk.save(tmp_path / "out.h5", "walk")
    loaded = ls.Walk.load(tmp_path / "out.h5", "walk")
    np.testing.assert_array_equal(loaded.values, walk.values)
    assert loaded.metrics == ("loss",)


class TestRefused:
    def test_windows_outside_the_run(self, run):
        with pytest.raises(ValueError, match="steps 0 to 12"):
            ls.walk(bowl(np.ones(8)), run, windows=[(20, 30)])

    def test_too_few_points(self, run):
        with pytest.raises(ValueError, match="at least 2"):
            ls.walk(bowl(np.ones(8)), run, points=1)

    def test_another_model(self, run):
        with pytest.raises(ValueError, match="another model"):
            ls.walk(bowl(np.ones(7)), run)
