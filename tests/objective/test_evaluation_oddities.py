"""Models and losses that the faster ways were not made for are measured rightly all the same."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_objective_restoration import assert_unchanged, state_of
from torch import nn

import landscape as ls
from landscape.objective.strategies import search, trials


def classify(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def measured(model, loss, data, points=80, size=0.1, **options):
    objective = ls.Objective(model, loss, data, **options)
    rng = np.random.default_rng(0)
    directions = size * rng.normal(size=(2, objective.layout.size))
    restriction = objective.restrict(objective.parameters(), directions)
    return restriction(rng.normal(size=(points, 2))), objective


@pytest.fixture
def everything_is_tried(monkeypatch):
    monkeypatch.setattr("landscape.objective.tuning._WORTH_CHOOSING", 0.0)
    monkeypatch.setattr(search, "_SHARE", 1e3)
    monkeypatch.setattr(trials, "_CLIMB", 1e3)


class Views(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(64, 5)

    def forward(self, x):
        return self.linear(self.conv(x).view(len(x), -1))


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(108, 8), nn.Linear(8, 5)

    def forward(self, x):
        return self.second(input=torch.relu(input=self.first(input=x.flatten(1))))


class Vectors(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(108, 8), nn.Linear(8, 5)

    def forward(self, x):
        return self.second(torch.stack([self.first(one.flatten()) for one in x]))


@pytest.mark.parametrize("net", [Views, Named, Vectors])
@pytest.mark.usefixtures("everything_is_tried")
def test_what_a_trick_makes_the_model_raise_only_rules_the_trick_out(net):
    torch.manual_seed(0)
    model, data = net(), (torch.randn(37, 3, 6, 6), torch.arange(37) % 5)
    wanted, _ = measured(model, classify, data, strategy="sequential")
    found, objective = measured(model, classify, data)
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-5)
    assert len(objective.choice.tried) > 1


@pytest.mark.usefixtures("everything_is_tried")
def test_lower_precision_is_measured_whatever_is_tried():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 5))
    data = (torch.randn(37, 12), torch.arange(37) % 5)
    wanted, _ = measured(model, classify, data)
    found, objective = measured(model, classify, data, precision="bfloat16")
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=0.02)  # 8 bits: 1 in 256
    assert found.observed_error is not None
    assert objective.choice.strategy != "linear"


def test_metrics_may_write_into_what_the_model_gave_them():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 5))
    data = (torch.randn(37, 12), torch.arange(37) % 5)

    def cooled(model, batch):
        logits = model(batch[0])
        logits /= 3
        return F.cross_entropy(logits, batch[1], reduction="none")

    metrics = {"cooled": cooled, "again": cooled, "plain": classify}
    for strategy in ("sequential", "linear"):
        found, _ = measured(model, cooled, data, metrics=metrics, strategy=strategy)
        alone, _ = measured(model, classify, data, strategy="sequential")
        np.testing.assert_array_equal(found.mean[1], found.mean[0])
        np.testing.assert_array_equal(found.mean[2], found.mean[0])
        np.testing.assert_allclose(found.mean[3], alone.mean[0], rtol=1e-6)


def test_a_model_is_lent_once_at_a_time():
    torch.manual_seed(0)
    model = nn.Linear(12, 5)
    data = (torch.randn(37, 12), torch.arange(37) % 5)
    before = state_of(model)
    inside, go_on = threading.Event(), threading.Event()

    def slow(model, batch):
        inside.set()
        assert go_on.wait(30)
        return classify(model, batch)

    other = threading.Thread(target=measured, args=(model, slow, data))
    other.start()
    try:
        assert inside.wait(30)
        with pytest.raises(RuntimeError, match="being measured already"):
            measured(model, classify, data)
    finally:
        go_on.set()
        other.join()
    assert_unchanged(model, before)
    measured(model, classify, data)  # it has been given back


@pytest.mark.usefixtures("everything_is_tried")
def test_ways_are_not_compared_where_nothing_is_finite():
    class Coupled(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(12, 8), nn.Linear(8, 5)

        def forward(self, x):
            x = self.first(x)
            return self.second(x - x.mean(0))  # samples are not independent

    torch.manual_seed(0)
    model, data = Coupled(), (torch.randn(20, 12), torch.arange(20) % 5)
    coordinates = np.random.default_rng(0).normal(size=(80, 1))
    coordinates[[0, -1]] = np.nan
    found = []
    for strategy in ("sequential", None):
        objective = ls.Objective(model, classify, data, strategy=strategy, batch_size=20)
        origin = objective.parameters()
        found.append(objective.restrict(origin, 0.1 * origin[None])(coordinates).mean[0])
    assert np.isfinite(found[0]).sum() == 78
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


@pytest.fixture
def traced_only(monkeypatch):
    """The recorded graph itself runs, without waiting for the compiler."""
    monkeypatch.setattr(torch, "compile", lambda graph, **options: graph)


@pytest.mark.usefixtures("traced_only")
def test_compiled_programs_see_what_differs_between_batches():
    torch.manual_seed(0)
    model = nn.Linear(12, 5)
    x, y = torch.randn(40, 12), torch.arange(40) % 5
    batches = [{"x": x[k : k + 8], "y": y[k : k + 8], "scale": 1.0 + (k > 20)} for k in (0, 8, 24)]

    def scaled(model, batch):
        return batch["scale"] * classify(model, (batch["x"], batch["y"]))

    wanted, _ = measured(model, scaled, batches, strategy="sequential")
    found, _ = measured(model, scaled, batches, strategy="compiled")
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-5)


@pytest.mark.usefixtures("traced_only")
def test_a_loss_that_leaves_torch_is_not_compiled():
    torch.manual_seed(0)
    data = (torch.randn(40, 12), torch.arange(40).div(8, rounding_mode="floor"))
    weights = np.array([1, 2, 3, 4, 50], np.float32)

    def weighted(model, batch):
        return classify(model, batch) * torch.from_numpy(weights[batch[1].numpy()])

    with pytest.raises(ValueError, match="cannot be used here"):
        measured(nn.Linear(12, 5), weighted, data, strategy="compiled", batch_size=8)


class Cooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.temperature = nn.Linear(12, 5), 1.0

    def forward(self, x):
        return self.linear(x) / self.temperature


@pytest.mark.usefixtures("traced_only")
def test_a_program_is_made_anew_when_the_model_has_changed():
    torch.manual_seed(0)
    model, data = Cooled(), (torch.randn(40, 12), torch.arange(40) % 5)
    _, objective = measured(model, classify, data, strategy="compiled", batch_size=8)
    origin = objective.parameters()
    model.temperature = 2.0
    found = objective.restrict(origin, origin[None])(np.zeros((9, 1))).mean[0]
    wanted = classify(model, data).mean().item()
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.usefixtures("traced_only")
def test_a_program_that_needs_too_much_memory_makes_room_for_a_smaller_one():
    torch.manual_seed(0)
    model, data = nn.Linear(12, 5), (torch.randn(40, 12), torch.arange(40) % 5)
    wanted, objective = measured(model, classify, data, strategy="compiled", batch_size=8)
    sizes = []

    def narrow(program):
        def narrowed(stack, fixed, batch):
            sizes.append(len(next(iter(stack.values()))))
            if sizes[-1] > 4:
                raise MemoryError
            return program(stack, fixed, batch)

        return narrowed

    programs = objective.tuning.learned(objective.problem).programs
    for key, program in programs.items():
        programs[key] = narrow(program)
    rng = np.random.default_rng(0)
    directions = 0.1 * rng.normal(size=(2, objective.layout.size))
    restriction = objective.restrict(objective.parameters(), directions)
    found = restriction(rng.normal(size=(80, 2)))
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-6)
    assert sizes == [8]
    assert objective.choice.chunk == 4


def test_no_more_points_are_tried_than_fit(monkeypatch):
    monkeypatch.setattr(trials, "points_that_fit", lambda work, batch_size: 5)
    torch.manual_seed(0)
    data = (torch.randn(37, 12), torch.arange(37) % 5)
    _, objective = measured(nn.Linear(12, 5), classify, data, strategy="linear")
    chunks = [int(name.split(", ")[2]) for name in objective.choice.tried]
    assert chunks
    assert max(chunks) <= 5


@pytest.mark.usefixtures("everything_is_tried")
def test_a_fixed_batch_is_looked_at_whole():
    torch.manual_seed(0)
    model, data = nn.Linear(12, 5), (torch.randn(64, 12), torch.arange(64) % 5)
    mask = ~torch.eye(32, dtype=torch.bool)

    def contrastive(model, batch):
        z = model(batch[0])
        return (z @ z.T)[mask].mean()

    found, objective = measured(model, contrastive, data, batch_size=32)
    plain, _ = measured(model, contrastive, data, batch_size=32, strategy="sequential")
    assert objective.choice is not None
    # Means of products of order 1, in which single precision errs by a few 1e-8.
    np.testing.assert_allclose(found.mean, plain.mean, rtol=1e-5, atol=1e-6)
