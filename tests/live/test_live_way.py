"""The way of a watched run: a bounded choice of its states, in the plane in which it moves most."""

from __future__ import annotations

import numpy as np
import pytest
from live_run import LiveRun

import landscape as ls
from landscape.base.layout import Layout
from landscape.live import way as module
from landscape.live.hub import Hub
from landscape.live.way import MOST, Way, plane_of


def layout(size):
    import torch

    return Layout.of(torch.nn.Linear(size, 1, bias=False))


def spiral(path, size, states, **options):
    """A run whose states lie in one plane of a space of `size` dimensions."""
    rng = np.random.default_rng(0)
    plane = np.linalg.qr(rng.standard_normal((size, 2)))[0].T
    t = np.linspace(0, 6, states)
    flat = np.stack([t * np.cos(t), t * np.sin(t)], axis=1)
    with ls.TrajectoryWriter(path, layout(size), **options) as writer:
        for step, place in enumerate(flat):
            writer.append_state(step, 5 + place @ plane)
            if step:
                writer.append_update({"loss": float(step)})
    return flat


def read(way, monkeypatch):
    monkeypatch.setattr(module, "_SHARE", 1e9)
    while way.poll():
        pass


@pytest.mark.parametrize("options", [{}, {"dtype": "float64"}, {"dtype": "float16-delta"}])
def test_a_flat_path_is_drawn_as_it_is(tmp_path, monkeypatch, options):
    flat = spiral(tmp_path / "run.h5", 50, 90, **options)
    way = Way(tmp_path / "run.h5", 50)
    read(way, monkeypatch)
    plane, share = plane_of([way])
    assert share == pytest.approx(1, abs=1e-5)
    drawn = way.points @ plane.T
    apart = [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (drawn, flat)]
    np.testing.assert_allclose(*apart, atol=0.01)
    turned, _ = plane_of([way], np.array([-plane[1], plane[0]]))
    np.testing.assert_allclose(turned, [-plane[1], plane[0]], atol=1e-9)  # it does not jump


def test_large_states_are_projected_within_the_error_that_is_said(tmp_path, monkeypatch):
    flat = spiral(tmp_path / "run.h5", 5000, 60)
    way = Way(tmp_path / "run.h5", 5000)
    read(way, monkeypatch)
    assert way.points.shape == (60, 256)
    ours = np.linalg.norm(way.points - way.points[0], axis=1)[1:]
    theirs = np.linalg.norm(flat - flat[0], axis=1)[1:]
    assert np.abs(ours / theirs - 1).max() < 4 / np.sqrt(512)


def test_a_long_run_takes_no_more_room(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST", 40)
    spiral(tmp_path / "run.h5", 4, 900)
    way = Way(tmp_path / "run.h5", 4)
    read(way, monkeypatch)
    assert len(way.steps) <= 40
    np.testing.assert_array_equal(np.diff(way.steps), 32)
    with ls.Trajectory(tmp_path / "run.h5") as run:
        for step, point in zip(way.steps, way.points, strict=True):
            np.testing.assert_array_equal(point, run.state(int(step)))
    assert MOST == 400


def test_the_sketch_of_the_recorder_is_used_where_states_are_not_stored(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_SHARE", 1e9)
    run = LiveRun(tmp_path / "run.h5", every=None, sketch=64)
    run.steps(6)
    hub = Hub([tmp_path / "run.h5"])
    hub.refresh()
    hub.refresh_ways()
    (drawn,) = hub.news({})["ways"]
    assert drawn["note"] == (
        "each run from its own start; projected at random to 64 numbers: lengths within 9 %"
    )
    way = hub.followers[0].way
    assert way is not None
    assert way.steps.tolist() == [0, 1, 2, 3, 4, 5, 6]
    sketched = ls.SketchedPath(ls.Trajectory(tmp_path / "run.h5"))
    np.testing.assert_array_equal(way.points, sketched.points)
    run.close()
