"""A step that breaks the weights is an error that names the optimizer and the tensor."""

from __future__ import annotations

import dataclasses
import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.optim.registry import OPTIMIZERS
from landscape.training import checked_steps
from landscape.training.checked_steps import CheckedSteps
from landscape.training.loop import record_run
from landscape.training.run import Run

EXTRA = importlib.util.find_spec("pytorch_optimizer") is not None
NAMES = [name for name, entry in OPTIMIZERS.items() if EXTRA or not entry.extra]


def net(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1)).to(dtype)


class Breaking(torch.optim.SGD):
    """Leaves one number that is not finite in the last matrix, at its third step."""

    broken, count = float("nan"), 0

    def step(self, closure=None):
        loss = super().step(closure)
        self.count += 1
        if self.count == 3:
            with torch.no_grad():
                self.param_groups[0]["params"][2][0, 0] = self.broken
        return loss


def trained(optimizer, model, *, steps=10, scale=1.0, needs_closure=False):
    """The losses of a few steps on a square loss."""
    checked = CheckedSteps("mine", optimizer, model, needs_closure=needs_closure)
    x = torch.ones(5, 3, dtype=next(model.parameters()).dtype)

    def closure():
        optimizer.zero_grad()
        loss = (scale * model(x)).square().mean()
        loss.backward()
        return loss.detach()

    losses = [checked.step(closure).item() for _ in range(steps)]
    checked.check()
    return losses


@pytest.mark.parametrize("needs_closure", [False, True])
@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_optimizers_fault_names_it_and_the_tensor(dtype, broken, needs_closure, monkeypatch):
    monkeypatch.setattr(Breaking, "broken", broken)
    model = net(dtype)
    optimizer = Breaking(model.parameters(), lr=1e-3)
    with pytest.raises(ValueError, match=r"mine made 1\.weight infinite or NaN by step 3, though"):
        trained(optimizer, model, needs_closure=needs_closure)


def test_where_the_device_is_looked_at_late_the_first_tensor_is_named(monkeypatch):
    """Ten steps after the third, every tensor is broken."""
    model = net()
    monkeypatch.setattr(checked_steps, "LATE", 1)
    checked = CheckedSteps(
        "mine", Breaking(model.parameters(), lr=1e-3), model, needs_closure=False
    )
    checked._every = 8
    x = torch.ones(5, 3)

    def closure():
        model.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        return loss.detach()

    for _ in range(7):
        checked.step(closure)
    with pytest.raises(ValueError, match=r"mine made 1\.weight infinite or NaN by step 8"):
        checked.step(closure)


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e-3])
@pytest.mark.parametrize("lr", [10.0, 1e3, 1e9, 1e18])
def test_divergence_is_data(lr, scale):
    """Plain descent with far too large a rate: the loss leaves the range of numbers, unremarked."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr / scale**2)
    losses = trained(optimizer, model, steps=60, scale=scale)
    assert not np.isfinite(losses).all()


def test_a_loss_that_is_not_finite_is_data():
    def loss(model, batch):
        return (model(batch[0]).sum() * 0).log() * model(batch[0]).square().sum()

    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    checked = CheckedSteps("adam", optimizer, model, needs_closure=False)

    def closure():
        optimizer.zero_grad()
        value = loss(model, (torch.ones(2, 3),))
        value.backward()
        return value.detach()

    assert not checked.step(closure).isfinite()
    assert not next(model.parameters()).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_no_registered_optimizer_breaks_on_little_rank(name, tmp_path):
    """Gradients of rank one, first steps included: every step is finite and recorded."""
    task = ls.load_task("digits/mlp-16")
    images = task.train[0][:1].expand(256, *task.train[0].shape[1:]).clone()
    constant = dataclasses.replace(task, train=(images, task.train[1][:1].repeat(256)))
    options = {"switch_at": 3, "sgd_lr": 1e-2} if name == "adam-sgd" else {}
    run = Run("digits/mlp-16", name, steps=6, options=options)
    path = record_run(run, tmp_path / "run.h5", task=constant)
    assert np.isfinite(ls.Trajectory(path).final).all()


def test_a_run_that_breaks_is_one_error_and_its_file_says_that_it_is_not_complete(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("torch.optim.SGD", Breaking)
    path = tmp_path / "run.h5"
    with pytest.raises(ValueError, match=r"^sgd made .* infinite or NaN by step 3, though the"):
        record_run(Run("digits/mlp-16", "sgd", steps=6), path)
    assert not ls.Trajectory(path).complete


def test_a_rate_beyond_the_numbers_is_said_by_name():
    model = net()
    with pytest.raises(ValueError, match=r"^mine failed at step 1: .*overflow"):
        trained(torch.optim.SGD(model.parameters(), lr=1e39), model)


def test_what_cannot_be_decomposed_is_said_by_name():
    class Decomposing(torch.optim.SGD):
        def step(self, closure=None):
            torch.linalg.svd(self.param_groups[0]["params"][0].grad / 0)

    model = net()
    optimizer = Decomposing(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"^mine failed at step 1: all of 0\.weight, .* finite"):
        trained(optimizer, model)
    with torch.no_grad():
        model[1].bias.fill_(float("inf"))
    with pytest.raises(ValueError, match=r"mine failed at step 1: 0\.weight, its gradient or what"):
        trained(optimizer, model)
