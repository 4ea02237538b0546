"""Path metrics: straight lines, circles, random walks, and a direct computation."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from synthetic import random_walk, write_run

import landscape as ls
from landscape.analysis.motion import moments
from landscape.base.layout import Entry


def test_straight_line(tmp_path):
    direction = np.array([3.0, 4.0], np.float32)
    path = ls.path_metrics(write_run(tmp_path / "line.h5", np.arange(6)[:, None] * direction))
    np.testing.assert_allclose(path.update_norm[1:], 5, rtol=1e-12)
    np.testing.assert_allclose(path.cosine[2:], 1, rtol=1e-12)
    np.testing.assert_allclose(path.angle[2:], 0, atol=1e-5)  # arccos near 1: √(2 · 1e-12)
    np.testing.assert_allclose(path.cosine_to_final[1:], 1, rtol=1e-12)
    np.testing.assert_allclose(path.distance, 5 * np.arange(6), rtol=1e-12)
    np.testing.assert_allclose(path.path_length, 5 * np.arange(6), rtol=1e-12)
    assert path.straightness == pytest.approx(1, rel=1e-12)


def test_circle(tmp_path):
    # A chord of a circle of radius r over angle φ is 2 r sin(φ/2); each turns by φ.
    turns, radius = 24, 2.0
    angle = 2 * np.pi * np.arange(turns + 1) / turns
    states = (radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(np.float32)
    path = ls.path_metrics(write_run(tmp_path / "circle.h5", states))
    chord = 2 * radius * np.sin(np.pi / turns)
    # Float32 states: error 2e-7 relative to steps of .5.
    np.testing.assert_allclose(path.update_norm[1:], chord, rtol=1e-6)
    np.testing.assert_allclose(path.angle[2:], 360 / turns, rtol=1e-5)
    np.testing.assert_allclose(path.distance, 2 * radius * np.sin(angle / 2), atol=1e-6)
    assert path.path_length[-1] == pytest.approx(turns * chord, rel=1e-6)
    assert path.straightness == pytest.approx(0, abs=1e-6)


def test_back_and_forth(tmp_path):
    states = np.array([[0.0, 0], [1, 1], [0, 0], [1, 1]], np.float32)
    path = ls.path_metrics(write_run(tmp_path / "zigzag.h5", states))
    np.testing.assert_allclose(path.angle[2:], 180, atol=1e-5)


def test_random_walk_turns_by_a_right_angle_and_diffuses(tmp_path):
    size, steps = 10_000, 50
    path = ls.path_metrics(write_run(tmp_path / "walk.h5", random_walk(steps, size, seed=0)))
    # Cosines have standard deviation 1/√D = .01; distance² / (t D) has √(2/D) ≈ .014.
    assert np.abs(path.cosine[2:]).max() < 0.05
    np.testing.assert_allclose(path.distance[1:] ** 2, size * np.arange(1, steps + 1), rtol=0.06)


def test_equal_to_a_direct_computation(runs):
    run = ls.Trajectory(runs["adam"])
    path = ls.path_metrics(run)
    states = np.stack([run.state(i) for i in range(len(run))]).astype(np.float64)
    updates = np.diff(states, axis=0)
    norms = np.linalg.norm(updates, axis=1)
    cosines = (updates[1:] * updates[:-1]).sum(1) / norms[1:] / norms[:-1]
    whole = states[-1] - states[0]
    np.testing.assert_allclose(path.update_norm[1:], norms, rtol=1e-12)
    np.testing.assert_allclose(path.cosine[2:], cosines, rtol=1e-9)
    np.testing.assert_allclose(
        path.cosine_to_final[1:], updates @ whole / norms / np.linalg.norm(whole), rtol=1e-9
    )
    np.testing.assert_allclose(path.distance, np.linalg.norm(states - states[0], axis=1))


def test_per_tensor_equals_a_direct_computation(runs):
    run = ls.Trajectory(runs["sgd"])
    path = ls.path_metrics(run)
    assert path.layers == tuple(e.name for e in run.layout)
    for k, entry in enumerate(run.layout):
        states = np.stack([run.state(i)[entry.slice] for i in range(len(run))]).astype(np.float64)
        updates = np.diff(states, axis=0)
        norms = np.linalg.norm(updates, axis=1)
        cosines = (updates[1:] * updates[:-1]).sum(1) / norms[1:] / norms[:-1]
        whole = states[-1] - states[0]
        toward = updates @ whole / norms / np.linalg.norm(whole)
        np.testing.assert_allclose(path.layer_update_norm[k, 1:], norms, rtol=1e-12)
        np.testing.assert_allclose(path.layer_cosine[k, 2:], cosines, rtol=1e-9)
        np.testing.assert_allclose(path.layer_cosine_to_final[k, 1:], toward, rtol=1e-9)
        np.testing.assert_allclose(
            path.layer_distance[k], np.linalg.norm(states - states[0], axis=1), rtol=1e-12
        )
    np.testing.assert_allclose((path.layer_distance**2).sum(0), path.squared_distance, rtol=1e-12)


def test_equal_to_what_the_recorder_measured_online(runs):
    run = ls.Trajectory(runs["adam"])
    path = ls.path_metrics(run)
    online = {"update_norm": path.update_norm, "update_cosine": path.cosine}
    for name, measured in {**online, "distance": path.distance}.items():
        first = 2 if name == "update_cosine" else 1
        # The recorder sums in pieces of single precision.
        np.testing.assert_allclose(run.scalars[name][first - 1 :], measured[first:], atol=1e-6)
    np.testing.assert_allclose(
        run.layers("update_cosine")[1:].T, path.layer_cosine[:, 2:], atol=1e-6
    )
    np.testing.assert_array_equal(path.gradient_cosine[1:], run.scalars["gradient_cosine"])


def test_every_step_of_a_run_whose_states_are_sparse(tmp_path):
    runs = [
        ls.Trajectory(
            ls.record_run(ls.Run("digits/mlp", "sgd", steps=12, every=n), tmp_path / f"{n}.h5")
        )
        for n in (1, 5)
    ]
    exact, online = ls.path_metrics(runs[0]), ls.recorded_path(runs[1])
    assert online.step.tolist() == list(range(13))
    for name in ("update_norm", "cosine", "distance", "path_length", "losses", "learning_rate"):
        np.testing.assert_allclose(getattr(online, name), getattr(exact, name), atol=1e-6)
    assert online.straightness == pytest.approx(exact.straightness, rel=1e-6)
    np.testing.assert_allclose(online.gradient_cosine, exact.gradient_cosine, atol=1e-6)
    with pytest.raises(ValueError, match="motion=True"):
        ls.recorded_path(write_run(tmp_path / "w.h5", random_walk(3, 4, seed=0)))


def test_blocks_change_nothing_and_bound_the_memory(tmp_path, monkeypatch):
    generator = np.random.default_rng(0)
    shapes = [(3, 40_000), (7,), (0, 5), (2, 35_000)]
    entries, offset = [], 0
    for i, shape in enumerate(shapes):
        entries.append(Entry(str(i), shape, offset, "weight"))
        offset += entries[-1].size
    states = generator.normal(size=(60, offset)).astype(np.float32)
    run = write_run(tmp_path / "big.h5", states, layout=ls.Layout(tuple(entries)))
    whole = ls.path_metrics(run)
    monkeypatch.setattr(moments, "_BLOCK_BYTES", 2**21)
    run.close()
    tracemalloc.start()
    blocked = ls.path_metrics(run)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The states are 45 MB in the file; about ten arrays of a block's size live at once.
    assert peak < 12 * 2**21 < states.nbytes
    for name in ("update_norm", "cosine", "cosine_to_final", "distance", "layer_cosine"):
        np.testing.assert_allclose(getattr(blocked, name), getattr(whole, name), rtol=1e-9)


def test_undefined_values_are_nan(tmp_path):
    states = np.array([[0.0], [1], [1], [2]], np.float32)
    path = ls.path_metrics(write_run(tmp_path / "rest.h5", states))
    assert np.isnan(path.update_norm[0])
    assert np.isnan(path.cosine[:4]).all()  # no two consecutive updates that both move
    assert path.path_length.tolist() == [0, 1, 1, 2]
    assert path.update_norm[1:].tolist() == [1, 0, 1]


def test_a_run_that_diverged_keeps_what_came_before(tmp_path):
    states = random_walk(5, 4, seed=0)
    states[4:] = np.nan
    path = ls.path_metrics(write_run(tmp_path / "bad.h5", states))
    assert np.isfinite(path.cosine[2:4]).all()
    assert np.isfinite(path.distance[:4]).all()
    assert np.isnan(path.distance[4:]).all()


def test_scalars_belong_to_the_update_into_each_state(tmp_path):
    # Updates 1..5 have losses 10..14; states at steps 0, 2, 5 were reached by updates 2 and 5.
    run = write_run(
        tmp_path / "skipped.h5",
        random_walk(2, 3, seed=0),
        steps=[0, 2, 5],
        scalars={"loss": [10, 11, 12, 13, 14], "lr": [0.1] * 5},
    )
    path = ls.path_metrics(run)
    np.testing.assert_array_equal(path.losses, [np.nan, 11, 14])
    np.testing.assert_array_equal(path.learning_rate, [np.nan, 0.1, 0.1])


def test_angle_between_gradients_where_it_was_recorded(tmp_path):
    states = random_walk(2, 3, seed=0)
    plain = ls.path_metrics(write_run(tmp_path / "plain.h5", states))
    assert plain.gradient_cosine is None
    assert plain.gradient_angle is None
    recorded = {"gradient_cosine": [np.nan, 0.5], "gradient_norm": [3.0, 4.0]}
    path = ls.path_metrics(write_run(tmp_path / "with.h5", states, scalars=recorded))
    np.testing.assert_allclose(path.gradient_angle, [np.nan, np.nan, 60])
    np.testing.assert_array_equal(path.gradient_norm, [np.nan, 3, 4])


def test_saved_and_loaded(tmp_path):
    path = ls.path_metrics(write_run(tmp_path / "w.h5", random_walk(5, 4, seed=0), name="w"))
    path.save(tmp_path / "out.h5", "path/w")
    loaded = ls.PathMetrics.load(tmp_path / "out.h5", "path/w")
    np.testing.assert_array_equal(loaded.cosine, path.cosine)
    assert loaded.name == "w"
