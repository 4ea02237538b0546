"""Projection: coordinates, residuals, shown shares, and the loss on and off the plane."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic import bowl, random_walk, write_run

import landscape as ls


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "walk.h5", random_walk(20, 12, seed=0), name="walk")


def test_pca_path_is_u_times_sigma(run):
    plane = ls.pca_plane(run, origin="mean")
    path = ls.project(run, plane)
    states = np.stack([run.state(i) for i in range(len(run))]).astype(np.float64)
    u, sigma, vt = np.linalg.svd(states - states.mean(0), full_matrices=False)
    signs = np.sign(np.einsum("kp,kp->k", plane.directions, vt[:2]))
    np.testing.assert_allclose(path.coordinates, u[:, :2] * sigma[:2] * signs, atol=1e-4)
    np.testing.assert_allclose(
        path.residual, np.linalg.norm(u[:, 2:] * sigma[2:], axis=1), atol=1e-4
    )
    # About the mean, the share shown of the run is the share explained by the two components.
    assert path.shown == pytest.approx(plane.explained.sum(), abs=1e-6)
    assert path.loss is None
    assert path.in_plane_loss is None
    assert path.name == "walk"


def test_states_on_the_plane_have_no_residual(tmp_path):
    generator = np.random.default_rng(0)
    axes = generator.normal(size=(2, 30))
    axes[1] += 3 * axes[0]  # skew
    coordinates = generator.normal(size=(9, 2))
    run = write_run(tmp_path / "flat.h5", (coordinates @ axes).astype(np.float32))
    origin = np.zeros(30, np.float32)
    plane = ls.plane_through(origin, *axes.astype(np.float32))
    path = ls.project(run, plane)
    # Float32 states of size up to ~10 and axes with condition ~10.
    np.testing.assert_allclose(path.coordinates, coordinates, atol=1e-5)
    assert path.residual.max() < 1e-5
    assert path.shown == pytest.approx(1)


def test_true_loss_beside_in_plane_loss(run):
    curvature = np.linspace(1, 3, 12)
    objective = bowl(curvature)
    plane = ls.plane_through(run.state(0), run.state(7), run.state(20))
    path = ls.project(run, plane, objective=objective)
    states = np.stack([run.state(i) for i in range(len(run))]).astype(np.float64)
    np.testing.assert_allclose(path.loss, 0.5 * (states**2 * curvature).sum(1), rtol=1e-12)
    inside = plane.origin + path.coordinates @ plane.directions.astype(np.float64)
    np.testing.assert_allclose(path.in_plane_loss, 0.5 * (inside**2 * curvature).sum(1), rtol=1e-9)
    # The three states that made the plane lie on it: there, both agree.
    made = [0, 7, 20]
    np.testing.assert_allclose(path.loss[made], path.in_plane_loss[made], rtol=1e-5, atol=1e-8)
    assert (np.abs(path.loss - path.in_plane_loss) > 0.1).any()


def test_every_nth_state_with_both_ends(run):
    plane = ls.pca_plane(run)
    whole, some = ls.project(run, plane), ls.project(run, plane, every=6)
    assert some.step.tolist() == [0, 6, 12, 18, 20]
    np.testing.assert_array_equal(some.coordinates, whole.coordinates[some.step])
    np.testing.assert_array_equal(some.residual, whole.residual[some.step])


def test_a_run_of_another_model_is_refused(run, tmp_path):
    other = write_run(tmp_path / "other.h5", random_walk(5, 13, seed=0))
    with pytest.raises(ValueError, match="different models"):
        ls.project(other, ls.pca_plane(run))


def test_states_that_diverged_are_kept_as_such(run, tmp_path):
    states = random_walk(4, 12, seed=1)
    states[3:] = np.inf
    path = ls.project(write_run(tmp_path / "bad.h5", states), ls.pca_plane(run))
    assert np.isfinite(path.coordinates[:3]).all()
    assert np.isnan(path.coordinates[3:]).all()
    assert np.isnan(path.residual[3:]).all()
    assert 0 < path.shown < 1  # of the states that have a place


def test_saved_and_loaded(run, tmp_path):
    path = ls.project(run, ls.pca_plane(run), objective=bowl(np.ones(12)))
    path.save(tmp_path / "out.h5", "projection")
    loaded = ls.Projection.load(tmp_path / "out.h5", "projection")
    np.testing.assert_array_equal(loaded.coordinates, path.coordinates)
    np.testing.assert_array_equal(loaded.in_plane_loss, path.in_plane_loss)
    assert loaded.shown == path.shown


def test_a_plane_that_shows_little_warns_when_asked(run):
    plane = ls.plane_through(run.state(0), run.state(1), run.state(2))
    assert ls.project(run, plane).shown < 0.5  # silent
    with pytest.warns(UserWarning, match="mostly elsewhere"):
        ls.project(run, plane, warn_below=0.5)


def test_true_loss_uses_the_recorded_statistics(tmp_path):
    class Holder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1, 3))
            self.register_buffer("held", torch.full((), 9.0))

    model = Holder()
    run = write_run(
        tmp_path / "bn.h5",
        random_walk(2, 3, seed=0),
        buffers_layout=ls.Layout.of_buffers(model),
        buffers=np.array([[1.0], [2], [4]], np.float32),
    )
    objective = ls.Objective(
        model, lambda m, batch: m.held.expand(len(batch[0])), (torch.zeros(2),)
    )
    with pytest.warns(UserWarning, match=r"ls\.restore"):  # 9 is not of the run
        path = ls.project(run, ls.pca_plane(run), objective=objective)
    assert path.loss.tolist() == [1, 2, 4]
    assert path.in_plane_loss.tolist() == [9, 9, 9]


def test_a_model_without_the_statistics_of_the_run_is_told(tmp_path):
    def net():
        return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))

    torch.manual_seed(0)
    data, model, fresh = torch.randn(32, 3), net(), net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            (model(data) - data[:, :1]).square().mean().backward()
            optimizer.step()
    run = ls.Trajectory(tmp_path / "run.h5")
    plane = ls.pca_plane(run, origin="final")
    of = {
        name: ls.Objective(held, lambda m, b: m(b[0]).square().mean(dim=1), (data,))
        for name, held in (("own", model), ("fresh", fresh))
    }
    path = ls.project(run, plane, objective=of["own"])
    assert path.in_plane_loss[-1] == pytest.approx(path.loss[-1])
    with pytest.warns(UserWarning, match=r"statistics of 'SGD'.*ls\.restore"):
        ls.project(run, plane, objective=of["fresh"])
    ls.restore(fresh, run)
    again = ls.project(run, plane, objective=of["fresh"])
    np.testing.assert_array_equal(again.in_plane_loss, path.in_plane_loss)
