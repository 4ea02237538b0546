"""Surfaces along a run: each is the surface around its own state, on directions that are told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic import bowl, write_run
from torch import nn

import landscape as ls

STATES = np.array([[4.0, 2, -1], [2.0, 1, -1], [1.0, 0.5, 0.25]], np.float32)
CURVATURE = np.array([1.0, 3, 0.5])


def value(theta: np.ndarray) -> np.ndarray:
    """The bowl at points, shape (..., 3)."""
    return 0.5 * (CURVATURE * theta.astype(np.float64) ** 2).sum(axis=-1)


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run.h5", STATES, steps=[0, 10, 20])


def test_every_surface_is_centred_on_its_state(run):
    found = ls.surfaces_along(bowl(CURVATURE), run, steps=[0, 11, 20], resolution=(5, 3), seed=3)
    assert [surface.settings["step"] for surface in found] == [0, 10, 20]
    for surface, state in zip(found, STATES, strict=True):
        plane = ls.random_plane(state, run.layout, seed=3)
        x, y = np.meshgrid(surface.alpha, surface.beta)
        d1, d2 = plane.directions.astype(np.float64)
        expected = value(state + x[..., None] * d1 + y[..., None] * d2)
        np.testing.assert_allclose(surface.loss, expected, rtol=1e-6)  # states are float32
    hashes = {surface.provenance["plane_hash"] for surface in found}
    assert len(hashes) == 3  # a path on one plane is not drawn on another


def test_a_given_plane_keeps_its_directions(run):
    plane = ls.random_plane(STATES[2], run.layout, seed=1)
    found = ls.surfaces_along(bowl(CURVATURE), run, steps=[0, 20], plane=plane, resolution=4)
    np.testing.assert_array_equal(found[0].gram, found[1].gram)
    theta = STATES[0] - plane.directions[0].astype(np.float64) - plane.directions[1]
    assert found[0].loss[0, 0] == pytest.approx(value(theta), rel=1e-6)


def test_frozen_batch_norm_uses_the_statistics_of_each_state(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(16, 3) + 2
    with ls.Recorder(tmp_path / "bn.h5", model, optimizer) as recorder:
        for _ in range(3):
            loss = model(x).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.log(loss=loss)
    run = ls.Trajectory(tmp_path / "bn.h5")
    objective = ls.Objective(model, lambda m, b: m(b).square().mean(dim=1), x)
    (first,) = ls.surfaces_along(objective, run, steps=[0], resolution=3)
    with_its_own = objective.at(run.state(0), buffers=run.buffers(0)).mean[0, 0]
    assert first.loss[1, 1] == pytest.approx(float(with_its_own), rel=1e-5)
    # the model's present statistics give another number
    assert float(objective.at(run.state(0)).mean[0, 0]) != pytest.approx(first.loss[1, 1], rel=1e-3)
    assert first.settings["buffers"].startswith("recorded")


def test_what_cannot_be_measured_is_refused(run):
    with pytest.raises(ValueError, match="No step was given"):
        ls.surfaces_along(bowl(CURVATURE), run, steps=[])
    with pytest.raises(ValueError, match="not 'trajectory'"):
        ls.surfaces_along(bowl(CURVATURE), run, steps=[0], extent="trajectory")
