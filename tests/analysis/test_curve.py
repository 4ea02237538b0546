"""Curves between networks: control points, gradients, lengths, planes, what is recorded."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic import Point
from torch import nn

import landscape as ls
from landscape.optim.registry import OPTIMIZERS
from landscape.results.curve import Curve, weights_at

A, B = np.array([-1.0, 0.0]), np.array([1.0, 0.0])


def ring() -> ls.Objective:
    """A valley along the unit circle: 0 on it, (1 - r²)² beside it."""

    def loss(model, batch):
        return (model.weight.square().sum() - 1).square().expand(len(batch[0]))

    return ls.Objective(Point(2), loss, (torch.ones(4),), precision="double")


def test_weights_of_points_are_bernstein_polynomials_and_hats():
    t = np.linspace(0, 1, 7)
    np.testing.assert_allclose(
        weights_at("bezier", 3, t), np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], 1), atol=1e-15
    )
    for kind in ("bezier", "chain"):
        for points in (3, 4, 6):
            np.testing.assert_allclose(weights_at(kind, points, t).sum(1), 1, rtol=1e-12)
    np.testing.assert_allclose(weights_at("chain", 3, np.array([0.5])), [[0, 1, 0]], atol=1e-12)


@pytest.mark.parametrize("kind", ["bezier", "chain"])
@pytest.mark.parametrize("bends", [1, 2])
def test_a_way_around_a_hill_is_found(kind, bends):
    b = B + np.array([0.0, 0.02])  # exactly opposite, the hill would have no side to fall to
    curve = ls.find_curve(ring(), A, b, kind=kind, bends=bends, steps=300, lr=0.05, seed=3)
    on_curve, on_line = ls.curve_profile(ring(), curve).barrier("entezari2022")
    assert on_line > 0.99
    assert on_curve < 0.35  # two chords of a circle sink to (1 - ½)² = ¼ inside it


def test_the_gradient_of_a_bend_is_that_of_finite_differences():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    x = torch.randn(10, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    objective = ls.Objective(model, lambda m, b: (m(b[0]) - 1).square().mean(1), (x,))
    draw = np.random.default_rng(1)
    a, b = draw.standard_normal((2, 13))
    step = ls.find_curve(objective, a, b, steps=1, optimizer="sgd", lr=1.0, batch_size=10, bends=2)
    start = ls.find_curve(objective, a, b, steps=0, bends=2)
    t = np.random.default_rng(0).random(1)  # the place that seed 0 draws

    def loss(bends):
        curve = Curve(kind="bezier", points=np.stack([a, *bends, b]), loss=np.zeros(0))
        return objective.at(curve.at(float(t[0]))).mean[0, 0]

    moved = start.bends - step.bends  # one step of rate 1
    for bend in range(2):
        for k in range(13):
            h = np.zeros((2, 13))
            h[bend, k] = 1e-5
            slope = (loss(start.bends + h) - loss(start.bends - h)) / 2e-5
            assert moved[bend, k] == pytest.approx(slope, rel=1e-5, abs=1e-8)
    assert step.loss[0] == pytest.approx(loss(start.bends), rel=1e-12)


def test_ends_are_the_networks_and_the_model_is_given_back():
    objective = ring()
    before = objective.model.weight.clone()
    curve = ls.find_curve(objective, A, B, steps=5)
    assert np.array_equal(curve.at(0), A)
    assert np.array_equal(curve.at(1), B)
    assert torch.equal(objective.model.weight, before)
    again = ls.find_curve(objective, A, B, steps=5)
    np.testing.assert_array_equal(curve.points, again.points)


def test_lengths_of_known_curves():
    chain = Curve(kind="chain", points=np.array([[0, 0], [3, 4], [3, 16.0]]), loss=np.zeros(0))
    assert float(chain.length()) == pytest.approx(17, rel=1e-12)
    assert float(chain.length(0.5)) == pytest.approx(5, rel=1e-12)
    assert float(chain.at_length(5 / 17)) == pytest.approx(0.5, rel=1e-9)
    # The parabola (2t, 2t(1-t)·1): its arc length is √2 + asinh(1).
    bend = Curve(kind="bezier", points=np.array([[0, 0], [1, 1], [2, 0.0]]), loss=np.zeros(0))
    assert float(bend.length()) == pytest.approx(2**0.5 + np.arcsinh(1), rel=1e-6)
    assert float(bend.at_length(0.5)) == pytest.approx(0.5, abs=1e-9)


def test_a_profile_by_length_has_places_equally_far_apart():
    curve = Curve(kind="bezier", points=np.array([[-1, 0], [3, 2], [1, 0.0]]), loss=np.zeros(0))
    profile = ls.curve_profile(ring(), curve, resolution=9, by="length")
    places = [curve.at(float(t)) for t in curve.at_length(np.linspace(0, 1, 9))]
    wanted = [(np.sum(p**2) - 1) ** 2 for p in places]
    np.testing.assert_allclose(profile.loss[0], wanted, rtol=1e-9, atol=1e-12)
    line = ((2 * profile.alpha - 1) ** 2 - 1) ** 2
    np.testing.assert_allclose(profile.loss[1], line, atol=1e-12)


def test_a_quadratic_curve_lies_in_the_plane_through_its_points(tmp_path):
    points = np.random.default_rng(0).standard_normal((3, 50))
    curve = Curve(kind="bezier", points=points, loss=np.zeros(0))
    plane = ls.plane_through(
        points[0], points[2], points[1], axes="orthonormal", names=("a", "b", "θ")
    )
    np.testing.assert_allclose(plane.gram, np.eye(2), atol=1e-6)
    path = ls.project_curve(curve, plane)
    span = np.linalg.norm(points[2] - points[0])
    assert path.residual.max() < 1e-6 * span
    np.testing.assert_allclose(path.coordinates[-1], [span, 0], atol=1e-6)
    marks = plane.settings["points"]
    located = plane.coordinates(points[1])[0]
    np.testing.assert_allclose(located, [marks["x"][2], marks["y"][2]], rtol=1e-6)
    curve.save(tmp_path / "c.h5", "curve")
    again = Curve.load(tmp_path / "c.h5", "curve")
    np.testing.assert_array_equal(again.points, curve.points)


@pytest.mark.parametrize("bends", [1, 2])
def test_the_bends_are_recorded_as_a_run(tmp_path, bends):
    file = tmp_path / "curve.h5"
    curve = ls.find_curve(ring(), A, B, steps=6, bends=bends, record=file, every=2)
    with ls.Trajectory(file) as run:
        assert run.steps.tolist() == [0, 2, 4, 6]
        np.testing.assert_array_equal(np.asarray(run.final), curve.bends.reshape(-1))
        np.testing.assert_allclose(run.scalars["loss"], curve.loss, rtol=1e-6)
        if bends == 1:  # it is a run of the model
            assert ring().at(run.final).mean.shape == (1, 1)


@pytest.mark.parametrize("optimizer", ["lbfgs", "sam", "lookahead", "muon", "shampoo", "gd"])
def test_other_optimizers_step_a_curve_too(optimizer):
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    objective = ls.Objective(model, lambda m, b: (m(b[0]) - 1).square().mean(1), (x,))
    a, b = np.random.default_rng(0).standard_normal((2, 25)).astype(np.float32)
    curve = ls.find_curve(objective, a, b, steps=30, optimizer=optimizer, batch_size=10)
    before, after = (
        ls.curve_profile(objective, c, resolution=15).loss[0].mean()
        for c in (ls.find_curve(objective, a, b, steps=0), curve)
    )
    assert after < before


@pytest.mark.parametrize("optimizer", [n for n, e in OPTIMIZERS.items() if e.elementwise])
def test_where_tensors_make_no_difference_bends_are_stepped_whole(optimizer, tmp_path):
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    objective = ls.Objective(model, lambda m, b: (m(b[0]) - 1).square().mean(1), (x,))
    a, b = np.random.default_rng(0).standard_normal((2, 25)).astype(np.float32)
    asked = {"steps": 7, "optimizer": optimizer, "batch_size": 10, "bends": 2}
    whole = ls.find_curve(objective, a, b, **asked)
    parts = ls.find_curve(objective, a, b, **asked, record=tmp_path / "run.h5")  # by tensors
    np.testing.assert_allclose(whole.points, parts.points, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(whole.loss, parts.loss, rtol=1e-5)


def test_running_statistics_that_no_point_has_are_refused():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    given = {"model": model, "loss": lambda m, b: (m(b[0]) - 1).square().mean(1), "data": (x,)}
    frozen, anew = ls.Objective(**given), ls.Objective(**given, batch_norm="recalibrated")
    a, b = np.random.default_rng(0).standard_normal((2, frozen.layout.size)).astype(np.float32)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    curve = ls.find_curve(frozen, a, b, steps=3, batch_size=10)
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match="recalibrated"):
        ls.curve_profile(frozen, curve)
    assert np.isfinite(ls.curve_profile(anew, curve, resolution=5).loss).all()


def test_what_makes_no_curve_is_refused():
    with pytest.raises(ValueError, match="bezier, chain"):
        ls.find_curve(ring(), A, B, kind="spline")
    with pytest.raises(ValueError, match="at least 1"):
        ls.find_curve(ring(), A, B, bends=0)
    with pytest.raises(ValueError, match="steps must be a whole number"):
        ls.find_curve(ring(), A, B, steps=2.5)
    with pytest.raises(ValueError, match="not finite"):
        ls.find_curve(ring(), A * np.nan, B)
    with pytest.raises(ValueError, match="parallel"):
        ls.plane_through(A, B, 0.3 * B, axes="orthonormal")
    with pytest.raises(ValueError, match="skew"):
        ls.plane_through(A, B, B + 1, axes="square")
