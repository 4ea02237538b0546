"""The gradient of an objective: closed form, all forms of losses, and a model left as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic import bowl
from torch import nn

import landscape as ls


def squared(model, batch):
    return (model(batch[0])[:, 0] - batch[1]).square()


def mean_squared(model, batch):
    return squared(model, batch).mean()


def weighted(model, batch):
    return squared(model, batch).sum(), torch.tensor(float(len(batch[0])))


@pytest.fixture
def regression():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 3, generator=generator, dtype=torch.float64)
    return nn.Linear(3, 1).double(), (x, torch.randn(7, generator=generator, dtype=torch.float64))


@pytest.mark.parametrize("loss", [squared, mean_squared, weighted])
@pytest.mark.parametrize("batch_size", [2, 7])
def test_closed_form_whatever_the_batches(regression, loss, batch_size):
    model, (x, y) = regression
    objective = ls.Objective(model, loss, (x, y), precision="double", batch_size=batch_size)
    theta = np.array([1.0, -2.0, 0.5, 0.25])
    # ∇ mean (x·w + b - y)² = 2 mean residual · (x, 1)
    with_one = np.concatenate([x.numpy(), np.ones((7, 1))], axis=1)
    expected = 2 * (with_one @ theta - y.numpy()) @ with_one / 7
    np.testing.assert_allclose(objective.gradient(theta), expected, rtol=1e-12)


def test_along_a_line_it_is_the_slope(regression):
    model, data = regression
    objective = ls.Objective(model, squared, data, precision="double")
    direction = np.array([[0.5, 1.0, -1.0, 2.0]])
    at = objective.restrict(np.ones(4), direction)
    h = 0.5  # central differences are exact for quadratics
    low, high = at(np.array([[2 - h], [2 + h]])).mean[0]
    slope = float(direction[0] @ at.gradient(np.array([2.0])))
    assert slope == pytest.approx((high - low) / (2 * h), rel=1e-9)


def test_the_model_is_given_back_as_it_was(regression):
    model, data = regression
    model.weight.grad = torch.full_like(model.weight, 3.0)
    before = [p.detach().clone() for p in model.parameters()]
    objective = ls.Objective(model, squared, data, precision="double")
    with torch.no_grad():  # the caller's choice, which is not the evaluator's
        objective.gradient(np.zeros(4))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert (model.weight.grad == 3).all()
    assert model.bias.grad is None


def test_a_parameter_without_influence_has_no_slope():
    model = nn.ModuleDict({"used": nn.Linear(1, 1, bias=False), "idle": nn.Linear(1, 1)})

    def loss(m, batch):
        return m["used"](batch)[:, 0]

    objective = ls.Objective(model, loss, torch.tensor([[1.0], [3.0]]))
    assert objective.gradient(np.zeros(3, np.float32)).tolist() == [2, 0, 0]


def test_descent_lowers_a_bowl():
    objective = bowl(np.array([1.0, 4.0]))
    theta = np.array([2.0, -1.0])
    np.testing.assert_allclose(objective.gradient(theta), [2, -4], rtol=1e-12)
    line = ls.line_along(theta, -0.25 * objective.gradient(theta))
    profile = ls.loss_line(objective, line, extent=(0, 1), resolution=3)
    # (2 - .5 α, -1 + α): ½ (4 + 4), ½ (1.75² + 4 · .25), ½ 1.5²
    np.testing.assert_allclose(profile.loss[0], [4, 2.03125, 1.125], rtol=1e-9)
