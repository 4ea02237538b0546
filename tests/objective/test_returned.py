"""What a loss returns: understood alike in training, gradients and measurements, or refused."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.objective.data.batches import Uncounted
from landscape.objective.metrics import mean_of, sum_and_weight, sums
from landscape.objective.returned import canonical
from landscape.training import closure as gradient


@dataclass
class Output:
    loss: torch.Tensor
    logits: torch.Tensor


def squared(model, batch):
    return (model(batch[0])[:, 0] - batch[1]).square()


def weights(batch):
    return batch[1].abs()


FORMS = {
    "each": squared,
    "column": lambda m, b: squared(m, b)[:, None],
    "mean": lambda m, b: squared(m, b).mean(),
    "one element": lambda m, b: squared(m, b).mean().reshape(1, 1),
    "pair": lambda m, b: (squared(m, b).sum(), len(b[0])),
    "pair of each": lambda m, b: (squared(m, b), torch.ones(len(b[0]))),
    "sum of each, one weight": lambda m, b: (squared(m, b), torch.tensor(len(b[0]))),
    "said to be a pair": lambda m, b: ls.SumAndWeight(squared(m, b).sum(), len(b[0])),
    "dict": lambda m, b: {"loss": squared(m, b).mean(), "accuracy": 0.5},
    "object": lambda m, b: SimpleNamespace(loss=squared(m, b), more=None),
    "dataclass": lambda m, b: Output(squared(m, b).mean(), b[0]),
}


@pytest.fixture
def regression():
    torch.manual_seed(0)
    return nn.Linear(3, 1).double(), (torch.randn(20, 3).double(), torch.randn(20).double())


@pytest.mark.parametrize("form", FORMS)
def test_training_gradients_and_measurements_agree(regression, form):
    model, data = regression
    squared(model, data).mean().backward()
    wanted = torch.cat([p.grad.reshape(-1) for p in model.parameters()])
    value = FORMS[form](model, data)
    trained = torch.autograd.grad(mean_of(value), list(model.parameters()))
    torch.testing.assert_close(torch.cat([g.reshape(-1) for g in trained]), wanted)
    total, weight = sum_and_weight(canonical("loss", value), 20)
    assert (total / weight).item() == pytest.approx(squared(model, data).mean().item())
    objective = ls.Objective(model, FORMS[form], data, precision="double", batch_size=6)
    theta = objective.parameters()
    assert objective.at(theta).mean[0, 0] == pytest.approx(squared(model, data).mean().item())
    np.testing.assert_allclose(objective.gradient(theta), wanted, rtol=1e-9)


def test_a_large_training_batch_is_cut_and_weighed(regression, monkeypatch):
    monkeypatch.setattr(gradient, "PASS", 6)
    model, data = regression
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def loss(model, batch):
        return {"loss": squared(model, batch).mean()}

    found = gradient.gradient_closure(
        loss, model, lambda index: tuple(t[index] for t in data), torch.arange(20), optimizer
    )()
    wanted = squared(model, data).mean()
    torch.testing.assert_close(found, wanted.detach())
    torch.testing.assert_close(
        model.weight.grad, torch.autograd.grad(wanted, model.weight)[0], rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "a NoneType"),
        ([torch.tensor(1.0)], "a list"),
        ((torch.tensor(1.0),), r"returned \(a scalar tensor\)"),
        ({"nll": torch.tensor(1.0)}, "a dict with 'nll'"),
        (torch.ones(4, 3), r"shape \(4, 3\).*first dimension"),
        (torch.ones(4, dtype=torch.complex64), "complex"),
        (1j, "a complex"),
        ("0.5", "a str"),
        ((torch.ones(4), torch.ones(3)), "both have one value per sample"),
        (SimpleNamespace(loss="large"), "a SimpleNamespace"),
    ],
)
def test_everything_else_is_refused_and_named(value, words):
    with pytest.raises(ValueError, match=words) as caught:
        canonical("loss", value)
    assert "\n" not in str(caught.value)


def test_a_number_cannot_be_trained_on():
    with pytest.raises(ValueError, match=r"a float.*as tensors"):
        mean_of(0.5)


def test_values_must_be_as_many_as_samples():
    with pytest.raises(ValueError, match=r"'loss' returned .* for a batch of 5 samples"):
        sums("loss", torch.ones(4), 5)
    for unsure in (Uncounted(None), Uncounted(5), pickle.loads(pickle.dumps(Uncounted(5)))):
        assert sums("loss", torch.ones(4), unsure).tolist() == [4] * 6
    # A single value is the mean of five, where five are said to be there.
    assert sums("loss", torch.full((1,), 2.0), Uncounted(5))[[0, 2]].tolist() == [10, 5]
    assert sums("loss", torch.full((1,), 2.0), Uncounted(None))[[0, 2]].tolist() == [2, 1]


def fading(model, batch):
    """A weight that depends on the parameters, but only far from where one looks first."""
    count = torch.tensor(len(batch[0]) * 1.0)
    return squared(model, batch).sum(), torch.where(model.weight.abs().max() > 50, count / 2, count)


@pytest.mark.parametrize("samples", [None, 10])
def test_weights_that_differ_between_points_are_refused(regression, samples):
    model, data = regression
    objective = ls.Objective(model, fading, data, samples=samples)
    restriction = objective.restrict(np.zeros(4), np.ones((1, 4)))
    assert np.isfinite(restriction(np.array([[0.0], [1.0]])).mean).all()
    for measure in (restriction, restriction.paired):
        with pytest.raises(ValueError, match=r"'loss' returns .* no weight.*metrics="):
            measure(np.array([[0.0], [100.0]]))


def test_negative_weights_and_sums_beside_zero_are_refused(regression):
    model, data = regression
    for wrong in (lambda b: b[1], lambda b: (b[1] > 0) * 1.0):
        objective = ls.Objective(model, lambda m, b, w=wrong: (squared(m, b), w(b)), data)
        with pytest.raises(ValueError, match=r"no .sum, weight."):
            objective.at(objective.parameters())


def test_pairs_are_checked_before_a_gradient_too(regression):
    model, data = regression
    objective = ls.Objective(model, lambda m, b: (squared(m, b).mean(), 0.5), data)
    with pytest.raises(ValueError, match=r"no .sum, weight."):
        objective.gradient(objective.parameters())


def test_a_pair_tied_to_its_batch_has_to_be_said(regression):
    model, data = regression

    def centred(model, batch):
        residual = squared(model, batch)
        assert len(residual) == 10  # it is made for its batches
        return (residual - residual.mean().detach() / 2).sum(), len(residual)

    objective = ls.Objective(model, centred, data, batch_size=10)
    with pytest.raises(ValueError, match="SumAndWeight"):
        objective.at(objective.parameters())
    objective = ls.Objective(
        model, lambda m, b: ls.SumAndWeight(*centred(m, b)), data, batch_size=10
    )
    wanted = squared(model, data).mean().item() / 2
    assert objective.at(objective.parameters()).mean[0, 0] == pytest.approx(wanted, rel=1e-6)


def test_norms_of_batches_do_not_keep_pairs_from_adding_up():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    data = torch.randn(24, 3), torch.randn(24)
    objective = ls.Objective(
        model, lambda m, b: (squared(m, b), weights(b)), data, batch_norm="batch", batch_size=12
    )
    found = objective.at(objective.parameters()).mean[0, 0]
    with torch.no_grad():
        parts = [
            torch.stack([squared(model, batch).sum(), weights(batch).sum()])
            for batch in zip(*(t.split(12) for t in data), strict=True)
        ]
    total, weight = torch.stack(parts).sum(0)
    assert found == pytest.approx((total / weight).item())


PASSES: list[int] = []


class Answers(nn.Module):
    """A net that returns more than logits, and counts its passes."""

    passes: ClassVar = []  # what lies in a net itself is put back

    def __init__(self, form):
        super().__init__()
        self.inner, self.form = nn.Linear(3, 2), form

    def forward(self, x):
        PASSES.append(len(x))  # a model's own list would be put back
        logits = self.inner(x)
        return {
            "tuple": (logits, None),
            "dict": {"logits": logits, "hidden": [x * 1]},
            "dataclass": Output(logits.mean(), logits),
            "object": SimpleNamespace(logits=logits),
        }[self.form]


@pytest.mark.parametrize("form", ["tuple", "dict", "dataclass", "object"])
def test_metrics_share_a_pass_whatever_the_net_returns(form):
    torch.manual_seed(0)
    model, data = Answers(form), (torch.randn(12, 3), torch.arange(12) % 2)

    def scaled(model, batch):
        out = model(batch[0])
        logits = out[0] if form == "tuple" else out["logits"] if form == "dict" else out.logits
        logits *= 2  # what a metric writes is its own
        return nn.functional.cross_entropy(logits, batch[1], reduction="none")

    metrics = {"again": scaled, "once more": scaled}
    objective = ls.Objective(model, scaled, data, metrics=metrics)
    theta = objective.parameters()
    objective.at(theta)
    PASSES.clear()
    found = objective.at(theta).mean[:, 0]
    assert PASSES == [12]
    wanted = scaled(model, data).mean().item()
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_the_same_tensors_under_other_names_are_another_pass():
    class Weighted(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, *, plus, minus):
            return self.scale * (plus - minus)

    a, b = torch.arange(4.0), torch.ones(4)
    objective = ls.Objective(
        Weighted(),
        lambda m, batch: m(plus=batch[0], minus=batch[1]),
        (a, b),
        metrics={"swapped": lambda m, batch: m(plus=batch[1], minus=batch[0])},
    )
    assert objective.at(np.ones(1)).mean[:, 0].tolist() == [0.5, -0.5]
