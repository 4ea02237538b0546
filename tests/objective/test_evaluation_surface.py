"""Surfaces hold the right value at the right place."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls


class Vector(nn.Module):
    """A model that is nothing but its parameters."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(size, dtype=torch.float64))


SIZE = 6
RNG = np.random.default_rng(0)
ROOT = RNG.normal(size=(SIZE, SIZE))
HESSIAN = torch.from_numpy(ROOT @ ROOT.T)
LINEAR = torch.from_numpy(RNG.normal(size=SIZE))


def quadratic(model, batch):
    """½ θᵀHθ + gᵀθ, the same for every sample."""
    value = 0.5 * model.theta @ HESSIAN @ model.theta + LINEAR @ model.theta
    return value.expand(len(batch))


@pytest.fixture
def skew():
    """A plane with skew axes of different lengths, off the origin of parameter space."""
    a, b, c = RNG.normal(size=(3, SIZE)).astype(np.float32)
    return ls.plane_through(a, b, (c + 2 * b).astype(np.float32))


@pytest.fixture
def objective():
    return ls.Objective(Vector(SIZE), quadratic, torch.zeros(5), precision="double")


def formula(plane, alpha, beta):
    """The quadratic at origin + α d₁ + β d₂, shape (beta, alpha)."""
    d1, d2 = plane.directions.astype(np.float64)
    theta = plane.origin + alpha[None, :, None] * d1 + beta[:, None, None] * d2
    return 0.5 * np.einsum("...i,ij,...j", theta, HESSIAN.numpy(), theta) + theta @ LINEAR.numpy()


def test_a_quadratic_is_its_formula_at_every_place(objective, skew):
    surface = ls.loss_surface(objective, skew, extent=(-1.5, 0.5, -0.25, 2.0), resolution=(7, 4))
    wanted = formula(skew, surface.alpha, surface.beta)
    assert surface.loss.shape == wanted.shape == (4, 7)
    scale = np.abs(wanted).max()
    # 36 products of double precision: 1e-12 leaves a factor of a hundred.
    np.testing.assert_allclose(surface.loss, wanted, rtol=0, atol=1e-12 * scale)
    for wrong in (wanted[::-1], wanted[:, ::-1], wanted[::-1, ::-1]):
        assert not np.allclose(surface.loss, wrong, rtol=0, atol=1e-3 * scale)


def test_exchanged_axes_are_told_apart(objective, skew):
    square = ls.loss_surface(objective, skew, extent=(-1.0, 2.0, -1.0, 2.0), resolution=5)
    wanted = formula(skew, square.alpha, square.beta)
    np.testing.assert_allclose(square.loss, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())
    assert not np.allclose(square.loss, wanted.T, rtol=1e-3)
    swapped = dataclasses.replace(
        skew, directions=skew.directions[::-1], gram=skew.gram[::-1, ::-1]
    )
    other = ls.loss_surface(objective, swapped, extent=(-1.0, 2.0, -1.0, 2.0), resolution=5)
    np.testing.assert_allclose(other.loss, wanted.T, rtol=0, atol=1e-12 * np.abs(wanted).max())


def test_the_centre_is_the_models_own_loss(runs):
    task = ls.load_task("digits/mlp")
    trajectory = ls.Trajectory(runs["adam"])
    objective = ls.Objective(task.model, task.loss, task.train, metrics=task.metrics)
    layout = objective.layout
    plane = ls.random_plane(trajectory.final, layout)
    surface = ls.loss_surface(objective, plane, resolution=5)
    named = dict(task.model.named_parameters())
    with torch.no_grad():
        for entry in layout:
            named[entry.name].copy_(
                torch.from_numpy(trajectory.final[entry.slice].reshape(entry.shape))
            )
        wanted = [m(task.model, task.train).double().mean() for m in objective.metrics.values()]
    # Float32 forward passes with other batch sizes: a few times 2⁻²⁴ per sample.
    np.testing.assert_allclose(surface.values[:, 2, 2], wanted, rtol=1e-6)
    np.testing.assert_allclose(surface.values[:, 2, 2], objective.at(plane.origin).mean[:, 0], 1e-6)


def test_an_interrupted_surface_is_finished_where_it_stopped(skew):
    calls = []

    def loss(model, batch):
        calls.append(len(batch))
        if len(calls) == 12:
            raise KeyboardInterrupt
        return quadratic(model, batch)

    interrupted = ls.Objective(Vector(SIZE), loss, torch.zeros(5), precision="double")
    with pytest.raises(ls.Interrupted) as stopped:
        ls.loss_surface(interrupted, skew, resolution=(4, 5))
    partial = stopped.value.partial
    measured = partial.computed.sum()
    assert 0 < measured < 20
    assert np.isnan(partial.values[:, ~partial.computed]).all()
    assert np.isfinite(partial.values[:, partial.computed]).all()
    before = len(calls)
    whole = ls.loss_surface(interrupted, skew, resolution=(4, 5), resume=partial)
    assert whole.computed.all()
    np.testing.assert_array_equal(
        whole.values[:, partial.computed], partial.values[:, partial.computed]
    )
    wanted = formula(skew, whole.alpha, whole.beta)
    np.testing.assert_allclose(whole.loss, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())
    assert len(calls) - before >= 20 - measured
    # Nor do points that are measured differently now: they are not kept.
    wrong = dataclasses.replace(partial, values=partial.values + 1)
    again = ls.loss_surface(interrupted, skew, resolution=(4, 5), resume=wrong)
    np.testing.assert_allclose(again.values, whole.values, rtol=1e-12)
    # A surface of another grid is no help, and does no harm.
    other = ls.loss_surface(interrupted, skew, resolution=(5, 4), resume=partial)
    wanted = formula(skew, other.alpha, other.beta)
    np.testing.assert_allclose(other.loss, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resolution": 1}, "at least 2"),
        ({"extent": (1.0, 1.0, 0.0, 1.0)}, "empty"),
        ({"extent": "path"}, "'trajectory'"),
    ],
)
def test_empty_surfaces_are_refused(objective, skew, arguments, message):
    with pytest.raises(ValueError, match=message):
        ls.loss_surface(objective, skew, **arguments)


def test_a_plane_of_another_model_is_refused(skew):
    other = ls.Objective(Vector(SIZE + 1), lambda m, b: b, torch.zeros(5))
    with pytest.raises(ValueError, match="another model"):
        ls.loss_surface(other, skew)
