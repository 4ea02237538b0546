"""Planes along eigenvectors and maps of curvature: exact on bowls, safe when workers die."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic import Point, bowl
from torch import nn

import landscape as ls


def quartic(model, batch):
    """Σ h θ² / 2 + Σ θ⁴ / 4: the Hessian is diag(h + 3 θ²)."""
    theta = model.weight[0]
    h = torch.arange(1, theta.numel() + 1, dtype=theta.dtype)
    return (0.5 * h * theta.square() + theta**4 / 4).sum() + 0 * batch.sum(dim=1)


def objective_of(loss=quartic, size=6):
    return ls.Objective(Point(size).double(), loss, torch.zeros(4, 1), precision="double")


def plane_of(size=6):
    axes = np.eye(size)
    return ls.plane_through(np.zeros(size), 2 * axes[0], axes[-1])


def test_the_axes_of_an_eigen_plane_are_the_eigenvectors():
    objective = bowl(np.array([1.0, 9.0, 4.0, -2.0]))
    theta = np.array([0.5, 0.5, 0.5, 0.5])
    spectrum = ls.hessian_spectrum(objective, theta, top=2, bottom=1)
    plane = ls.eigen_plane(spectrum, 0, -1)
    np.testing.assert_allclose(np.abs(plane.directions), [[0, 1, 0, 0], [0, 0, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(plane.gram, np.eye(2), atol=1e-6)
    assert plane.labels == ("u₁ (λ1 = 9)", "u₂ (λmin = -2)")
    assert plane.explained is None
    np.testing.assert_allclose(ls.second_differences(objective, plane), [9, -2], rtol=1e-5)
    surface = ls.loss_surface(objective, plane, extent="trajectory", resolution=5)
    downhill = surface.loss[2, 3] < surface.loss[2, 2] or surface.loss[2, 1] > surface.loss[2, 2]
    assert downhill  # the loss does not rise along +u₁ to first order


def test_pairs_that_are_not_there_are_refused():
    spectrum = ls.hessian_spectrum(bowl(np.arange(1.0, 5)), np.ones(4), top=2, bottom=0)
    for i, j, said in ((0, 2, "has 2 pairs"), (1, -1, "both are λ2")):
        with pytest.raises(ValueError, match=said):
            ls.eigen_plane(spectrum, i, j)
    with pytest.raises(ValueError, match="no box"):
        ls.second_differences(objective_of(), ls.line_between(np.zeros(6), np.ones(6)))


def expected(alpha, beta, size=6):
    theta = np.zeros((len(beta), len(alpha), size))
    theta[..., 0] = 2 * alpha[None]
    theta[..., -1] = beta[:, None]
    return np.arange(1, size + 1) + 3 * theta**2


def check(found):
    h = expected(found.alpha, found.beta)
    np.testing.assert_allclose(found.largest, h.max(axis=-1), rtol=1e-4)
    np.testing.assert_allclose(found.smallest, h.min(axis=-1), rtol=1e-4)
    np.testing.assert_allclose(found.in_plane[0], 4 * h[..., 0], rtol=1e-9)
    np.testing.assert_allclose(found.in_plane[1], 0, atol=1e-9)
    np.testing.assert_allclose(found.in_plane[2], h[..., -1], rtol=1e-9)
    inner = np.sort(h[..., [0, -1]], axis=-1)
    np.testing.assert_allclose(found.in_plane_eigenvalues, np.moveaxis(inner, -1, 0), rtol=1e-6)
    assert found.convex.all()
    assert found.computed.all()


def test_a_map_of_a_quartic(tmp_path):
    found = ls.curvature_map(
        objective_of(), plane_of(), extent=(-1, 1, -2, 2), resolution=(3, 5), tolerance=1e-3
    )
    check(found)
    assert found.largest.shape == (5, 3)
    found.save(tmp_path / "r.h5", "curvature-map/quartic")
    again = ls.load_results(tmp_path / "r.h5")["curvature-map/quartic"]
    np.testing.assert_array_equal(again.ratio, found.ratio)


def test_shards_in_a_folder_make_the_whole_map(tmp_path):
    def measure(**options):
        return ls.curvature_map(
            objective_of(), plane_of(), extent=2.0, resolution=4, tolerance=1e-3,
            units=tmp_path / "units", **options,
        )  # fmt: skip

    part = measure(shard=(0, 2))
    assert 0 < part.computed.sum() < 16
    assert np.isnan(part.largest[~part.computed]).all()
    check(measure())
    with pytest.raises(ValueError, match="another measurement"):
        ls.curvature_map(
            objective_of(), plane_of(), extent=1.0, resolution=4, units=tmp_path / "units"
        )


def test_points_without_finite_curvature_are_holes():
    def loss(model, batch):
        theta = model.weight[0]
        return theta.square().sum() + torch.sqrt(1.5 - theta[0]) + 0 * batch.sum(dim=1)

    found = ls.curvature_map(objective_of(loss), plane_of(), extent=1.0, resolution=3)
    assert np.isnan(found.largest[:, 2]).all()
    assert np.isfinite(found.largest[:, :2]).all()


class Mortal(nn.Module):
    """A point whose first measurement away from the centre kills its process, once."""

    def __init__(self, mark: Path) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 6, dtype=torch.float64))
        self.mark, self.parent = mark, os.getpid()


def mortal(model, batch):
    away = float(model.weight.detach()[0, 0]) > 1.5
    if away and os.getpid() != model.parent and not model.mark.exists():
        model.mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return quartic(model, batch)


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
def test_a_killed_worker_loses_nothing(tmp_path):
    model = Mortal(tmp_path / "killed")
    objective = ls.Objective(model, mortal, torch.zeros(4, 1), precision="double")
    found = ls.curvature_map(
        objective, plane_of(), extent=2.0, resolution=3, tolerance=1e-3,
        engine=ls.Processes(("cpu",)),
    )  # fmt: skip
    check(found)
    assert model.mark.exists()


def test_ctrl_c_keeps_the_finished_points(tmp_path):
    calls = 0

    def loss(model, batch):
        nonlocal calls
        if float(model.weight.detach()[0, 0]) > 1.5:
            calls += 1
            if calls == 1:
                signal.raise_signal(signal.SIGINT)
        return quartic(model, batch)

    def measure():
        return ls.curvature_map(
            objective_of(loss), plane_of(), extent=1.0, resolution=3, tolerance=1e-3,
            units=tmp_path / "u",
        )  # fmt: skip

    with pytest.raises(ls.Interrupted) as stop:
        measure()
    assert 0 < stop.value.partial.computed.sum() < 9
    check(measure())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"resolution": 1}, "at least 2"),
        ({"tolerance": 2}, "between 0 and 1"),
        ({"shard": (2, 2)}, "0 ≤ i < n"),
        ({"extent": (1, 1, 0, 1)}, "is empty"),
    ],
)
def test_wrong_arguments(options, said):
    with pytest.raises(ValueError, match=said):
        ls.curvature_map(objective_of(), plane_of(), **options)
