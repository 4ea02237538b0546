"""The walk: closed forms on quadratic bowls, order of steps, window edges, end points."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic import Point, bowl, random_walk, write_run

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


def test_named_windows(run):
    walk = ls.walk(
        bowl(np.ones(8)), run, windows=["first", "middle", "last", (0, 3)], length=4, points=2
    )
    assert walk.windows == ("first", "middle", "last", "0-3")
    assert walk.bounds.tolist() == [[0, 4], [4, 8], [8, 12], [0, 3]]
    inside = [walk.step[walk.inside(w)].tolist() for w in range(4)]
    assert inside == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [0, 1, 2]]


def test_every_nth_segment(run):
    walk = ls.walk(bowl(np.ones(8)), run, every=5, points=2)
    assert walk.step.tolist() == [0, 5, 10]


@pytest.mark.parametrize("rate", [0.4, 1.0, 1.03, 1.5, 1.99])
def test_place_of_the_minimum_is_exact_on_a_bowl(tmp_path, rate):
    # θ_t² (1 - α·rate)² is lowest at α = 1/rate, or at the end where that lies beyond.
    walk = ls.walk(bowl(np.ones(2)), write_run(tmp_path / "gd.h5", descent(rate, steps=3)))
    moving = walk.loss[:, 0] > 0  # rate 1 arrives in one step
    np.testing.assert_allclose(walk.minimum_at[moving], min(1 / rate, 1), atol=2e-6)
    assert walk.convex(tolerance=0).all()
    # Rounding of values up to 1 in double precision.
    assert walk.nonconvexity.max() < 1e-15


def test_a_hill_is_not_convex(tmp_path):
    states = np.array([[-1.0], [1.0], [2.0]], np.float32)
    walk = ls.walk(bowl(np.array([-1.0])), write_run(tmp_path / "hill.h5", states))
    # -½ θ² rises above its chord by ½ (half length)²: 1/2 and 1/8.
    np.testing.assert_allclose(walk.nonconvexity, [0.5, 0.125], rtol=1e-12)
    np.testing.assert_allclose(walk.barrier_height, [0.5, 0], rtol=1e-12)
    assert not walk.convex(tolerance=0.05).any()
    assert walk.convex(tolerance=1).all()


def test_a_barrier_is_the_same_both_ways(tmp_path):
    states = np.array([[-1.0], [1.25]], np.float32)
    hill = bowl(np.array([-1.0]), centre=np.array([0.1]))
    there = ls.walk(hill, write_run(tmp_path / "there.h5", states))
    back = ls.walk(hill, write_run(tmp_path / "back.h5", states[::-1]))
    np.testing.assert_allclose(there.barrier_height, back.barrier_height, rtol=1e-9)
    np.testing.assert_allclose(there.height, back.height, rtol=1e-9)
    assert there.barrier_height > 0.4


def test_rounding_is_no_barrier():
    wiggle = 1 + 1e-7 * np.array([[0.0, 1, 0, -1, 0]])
    walk = ls.Walk(
        name="", optimizer="", step=[0], next_step=[1], alpha=np.linspace(0, 1, 5),
        metrics=("loss",), values=wiggle[:, None], standard_error=np.zeros((1, 1, 5)),
    )  # fmt: skip
    assert not walk.barrier.any()
    assert not walk.interior_minimum.any()
    assert walk.convex(tolerance=0).all()


def test_a_run_that_diverged_keeps_its_numbers(tmp_path):
    states = random_walk(4, 2, seed=0)
    states[3] = 1e30  # squares overflow single precision only; the next state is not finite
    states[4] = np.inf
    walk = ls.walk(bowl(np.ones(2)), write_run(tmp_path / "bad.h5", states))
    assert np.isfinite(walk.loss[:3]).all()
    assert walk.loss[3, 0] == pytest.approx(1e60, rel=1e-5)  # a state that is finite has its loss
    assert not np.isfinite(walk.loss[3, 1:]).any()
    assert walk.convex().tolist() == [True, True, True, False]
    assert np.isnan(walk.minimum_at[3])
    assert not walk.barrier[3]
    assert ls.walk_statistics(walk).segments.tolist() == [3]


def test_recorded_statistics_are_interpolated(tmp_path):
    # The model's loss is its buffer: what comes out is what was put in.
    class Holder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1, 1))
            self.register_buffer("held", torch.full((), 9.0))

    buffers = np.array([[1.0], [2], [4]], np.float32)
    model = Holder()
    run = write_run(
        tmp_path / "bn.h5",
        np.array([[0.0], [1], [2]], np.float32),
        buffers_layout=ls.Layout.of_buffers(model),
        buffers=buffers,
    )
    objective = ls.Objective(
        model, lambda m, batch: m.held.expand(len(batch[0])), (torch.zeros(2),)
    )
    walk = ls.walk(objective, run, points=4)
    assert walk.loss.tolist() == [[1, 1.25, 1.5, 1.75, 2], [2, 2.5, 3, 3.5, 4]]
    assert walk.settings["buffers"] == "recorded, interpolated"
    assert float(model.held) == 9
    batch = ls.Objective(
        model,
        lambda m, batch: m.held.expand(len(batch[0])),
        (torch.zeros(2),),
        batch_norm="batch",
    )
    assert ls.walk(batch, run).settings["buffers"] == "the model's"


def test_interrupted_it_keeps_the_finished_segments(run):
    calls = 0

    def loss(model, batch):
        nonlocal calls
        calls += 1
        if calls == 16:  # in the third segment of four points, after some trial passes
            raise KeyboardInterrupt
        (point,) = model.parameters()
        return point.square().sum().expand(len(batch[0]))

    # One pass per point and nothing else, so that calls count points.
    objective = ls.Objective(Point(8), loss, (torch.ones(3),))
    with pytest.raises(ls.Interrupted) as stopped:
        ls.walk(objective, run, points=3)
    partial = stopped.value.partial
    assert 1 <= len(partial.step) <= 2
    states = np.stack([run.state(i) for i in range(len(partial.step))]).astype(np.float64)
    np.testing.assert_allclose(partial.loss[:, 0], (states**2).sum(1), rtol=1e-6)


class TestStatistics:
    def test_fractions_and_quartiles(self, tmp_path):
        # Odd segments jump over a hill, even ones stay on one side of it.
        states = np.array([[1.0], [-1], [-2], [2], [3]], np.float32)
        run = write_run(tmp_path / "hill.h5", states)
        hill = bowl(np.array([-1.0]))
        walk = ls.walk(hill, run, windows=[(0, 4), (2, 4), "last"], length=1)
        found = ls.walk_statistics(walk)
        assert found.windows == ("0-4", "2-4", "last")
        assert found.segments.tolist() == [4, 2, 1]
        assert found.properties == ("barrier", "convex", "interior minimum")
        np.testing.assert_allclose(found.fraction, [[0.5, 0, 0], [0.5, 0, 0], [0, 0, 0]])
        assert (found.low <= found.fraction).all()
        assert (found.fraction <= found.high).all()
        # Ends at -1/2, -2, -9/2, lowest at the lower end: height = half the difference.
        np.testing.assert_allclose(found.height[2], 1.25)

    def test_wilson_covers_as_often_as_it_says(self):
        from scipy.stats import binom

        from landscape.analysis.walk_statistics import wilson_interval

        count = np.arange(31)
        low, high = wilson_interval(count / 30, np.full(31, 30), confidence=0.9)
        for share in (0.1, 0.5, 0.8):
            covered = binom.pmf(count, 30, share)[(low <= share) & (share <= high)].sum()
            assert 0.85 < covered < 0.96

    def test_saved_and_loaded(self, run, tmp_path):
        found = ls.walk_statistics(ls.walk(bowl(np.ones(8)), run, windows=["first"], length=3))
        found.save(tmp_path / "out.h5", "walk/statistics")
        loaded = ls.load_results(tmp_path / "out.h5")["walk/statistics"]
        np.testing.assert_array_equal(loaded.fraction, found.fraction)
        assert loaded.windows == ("first",)


class TestRefused:
    def test_windows_outside_the_run(self, run):
        with pytest.raises(ValueError, match="steps 0 to 12"):
            ls.walk(bowl(np.ones(8)), run, windows=[(20, 30)])

    def test_too_few_points(self, run):
        with pytest.raises(ValueError, match="at least 2"):
            ls.walk(bowl(np.ones(8)), run, points=1)

    def test_an_unknown_window(self, run):
        with pytest.raises(ValueError, match="first, middle, last"):
            ls.walk(bowl(np.ones(8)), run, windows=["begin"])

    def test_another_model(self, run):
        with pytest.raises(ValueError, match="different models"):
            ls.walk(bowl(np.ones(7)), run)
