"""Analyses on a device give the numbers of numpy; torch on the processor stands in for a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic import random_walk, write_run
from torch import nn
from torch.nn import functional as F

import landscape as ls
from landscape.analysis.motion import moments
from landscape.analysis.motion.projection import _locator
from landscape.base.layout import Entry

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture
def run(tmp_path):
    entries = (Entry("a", (2, 30_000), 0, "weight"), Entry("b", (41_000,), 60_000, "bias"))
    states = random_walk(23, 101_000, seed=0)
    return write_run(tmp_path / "walk.h5", states, layout=ls.Layout(entries))


@pytest.mark.parametrize("device", DEVICES)
def test_path_and_layers(run, device, monkeypatch):
    monkeypatch.setattr(moments, "_BLOCK_BYTES", 2**21)  # several blocks both ways
    for measure, names in (
        (ls.path_metrics, ("update_norm", "cosine", "cosine_to_final", "distance", "layer_cosine")),
        (ls.layer_metrics, ("weight_norm", "update_norm")),
    ):
        there, here = measure(run, device=device), measure(run)
        for name in names:
            # Double precision, the same numbers in another order.
            np.testing.assert_allclose(
                getattr(there, name), getattr(here, name), rtol=1e-9, atol=1e-12
            )


@pytest.mark.parametrize("device", DEVICES)
def test_a_run_that_diverged(tmp_path, device):
    states = random_walk(5, 4, seed=0)
    states[4:] = np.inf
    run = write_run(tmp_path / "bad.h5", states)
    there, here = ls.path_metrics(run, device=device), ls.path_metrics(run)
    np.testing.assert_array_equal(np.isfinite(there.cosine), np.isfinite(here.cosine))
    np.testing.assert_array_equal(np.isfinite(there.distance), np.isfinite(here.distance))


@pytest.mark.gpu
def test_projection(run):
    plane = ls.plane_through(run.state(0), run.state(9), run.state(23))
    there, here = ls.project(run, plane, device="cuda"), ls.project(run, plane)
    np.testing.assert_allclose(there.coordinates, here.coordinates, atol=1e-9)
    np.testing.assert_allclose(there.residual, here.residual, rtol=1e-9, atol=1e-6)
    assert there.shown == pytest.approx(here.shown, rel=1e-9)


def test_projection_by_torch(run):
    plane = ls.plane_through(run.state(0), run.state(9), run.state(23))
    locate = _locator(plane, "cpu:0")
    for index in (0, 5, 23):
        found, residual = locate(run.state(index))
        expected, distance = plane.coordinates(run.state(index))
        np.testing.assert_allclose(found, expected, atol=1e-9)
        assert residual == pytest.approx(distance, rel=1e-9, abs=1e-6)
    with pytest.raises(ValueError, match="different models"):
        locate(np.zeros(3, np.float32))


def network(device: str) -> ls.Objective:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))
    data = torch.randn(90, 6), torch.randint(0, 3, (90,))
    return ls.Objective(
        model.to(device),
        lambda m, batch: F.cross_entropy(m(batch[0]), batch[1], reduction="none"),
        data,
        device=device,
        precision="double",
        samples=60,
    )


@pytest.mark.gpu
def test_walk_gradient_and_lines_on_a_gpu(tmp_path):
    there, here = network("cuda"), network("cpu")
    states = random_walk(3, here.layout.size, seed=0) / 10
    run = write_run(tmp_path / "net.h5", states, layout=here.layout)
    far, near = ls.walk(there, run), ls.walk(here, run)
    np.testing.assert_allclose(far.values, near.values, rtol=1e-9)
    np.testing.assert_allclose(far.covariance, near.covariance, rtol=1e-7, atol=1e-15)
    np.testing.assert_allclose(
        there.gradient(states[1]), here.gradient(states[1]), rtol=1e-8, atol=1e-12
    )
    lines = ls.line_between(states[0], states[-1])
    np.testing.assert_allclose(
        ls.loss_line(there, lines, resolution=5).values,
        ls.loss_line(here, lines, resolution=5).values,
        rtol=1e-9,
    )
