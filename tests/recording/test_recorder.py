"""Recorder: every step is there, bit for bit, and the run does not notice."""

from __future__ import annotations

import copy
import functools
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import landscape as ls

OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.002),
    "RAdam": lambda p: torch.optim.RAdam(p, lr=0.002),
    "LBFGS": lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=3),
}


class Net(nn.Module):
    """Convolution, batch norm, dropout: buffers and random numbers in the forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        return self.head(self.drop(F.relu(self.norm(self.conv(x)))).mean((2, 3)))


def made(seed=0):
    torch.manual_seed(seed)
    return Net()


@functools.cache
def digits():
    return ls.load_task("digits/mlp").train


def batch(step, size=32):
    order = torch.randperm(len(digits()[0]), generator=torch.Generator().manual_seed(step))
    return tuple(t[order[:size]] for t in digits())


def flat(model):
    return torch.cat([p.detach().reshape(-1) for p in model.parameters() if p.requires_grad])


def train(model, optimizer, steps, recorder=None, start=0):
    """A plain loop; returns the loss and the parameters after every step."""
    states, losses = [flat(model)], []
    for step in range(start, start + steps):
        x, y = batch(step)

        def closure(x=x, y=y):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        if isinstance(optimizer, torch.optim.LBFGS):
            loss = optimizer.step(closure)
        else:
            loss = closure()
            optimizer.step()
        if recorder is not None:
            recorder.log(loss=loss)
        states.append(flat(model))
        losses.append(loss.item())
    return np.stack([s.numpy() for s in states]), np.array(losses)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("every", [1, 10])
def test_training_is_bitwise_the_same_and_recorded_bitwise(name, every, tmp_path):
    alone = made()
    states, losses = train(alone, OPTIMIZERS[name](alone.parameters()), 12)
    after = torch.get_rng_state()
    python, numpy = random.getstate(), np.random.get_state()[1].copy()
    model = made()
    optimizer = OPTIMIZERS[name](model.parameters())
    with ls.Recorder(tmp_path / "run.h5", model, optimizer, every=every) as recorder:
        again, losses_again = train(model, optimizer, 12, recorder)
    np.testing.assert_array_equal(again, states)
    np.testing.assert_array_equal(losses_again, losses)
    for name_, buffer in alone.named_buffers():
        assert torch.equal(buffer, dict(model.named_buffers())[name_])
    assert torch.equal(torch.get_rng_state(), after)
    assert random.getstate() == python
    np.testing.assert_array_equal(np.random.get_state()[1], numpy)
    with ls.Trajectory(tmp_path / "run.h5") as run:
        assert run.complete
        np.testing.assert_array_equal(run.steps, np.unique([*range(0, 13, every), 12]))
        for s, step in enumerate(run.steps):
            np.testing.assert_array_equal(run.state(s), states[step])
        np.testing.assert_array_equal(run.scalars["loss"], losses)
        assert run.updates == 12


@pytest.mark.parametrize("name", ["sgd", "adam", "radam"])
def test_the_same_seed_records_the_same_run(name, tmp_path):
    files = [
        ls.Trajectory(ls.record_run(ls.Run("digits/conv", name, steps=6, seed=3), tmp_path / f))
        for f in ("a.h5", "b.h5")
    ]
    for s in range(7):
        np.testing.assert_array_equal(files[0].state(s), files[1].state(s))
        np.testing.assert_array_equal(files[0].buffers(s), files[1].buffers(s))
    for scalar, values in files[0].scalars.items():
        np.testing.assert_array_equal(values, files[1].scalars[scalar])
    other = ls.record_run(ls.Run("digits/conv", name, steps=6, seed=4), tmp_path / "c.h5")
    assert (ls.Trajectory(other).initial != files[0].initial).any()


def test_a_state_is_evaluated_with_the_buffers_it_had(tmp_path):
    model = made()
    optimizer = OPTIMIZERS["Adam"](model.parameters())
    with ls.Recorder(tmp_path / "run.h5", model, optimizer):
        train(model, optimizer, 3)
        middle = copy.deepcopy(model).eval()
        train(model, optimizer, 3, start=3)
    run = ls.Trajectory(tmp_path / "run.h5")
    held = {e.name: e for e in run.buffers_layout}
    assert set(held) == {"norm.running_mean", "norm.running_var"}
    loss = lambda model, batch: F.cross_entropy(model(batch[0]), batch[1])  # noqa: E731
    objective = ls.Objective(model, loss, digits())
    measured = objective.at(run.state(3), buffers=run.buffers(3)).mean[0, 0]
    with torch.no_grad():
        expected = F.cross_entropy(middle(digits()[0]), digits()[1]).item()
    assert measured == pytest.approx(expected, rel=1e-5)  # float32 sums of 1,500 terms
    assert abs(objective.at(run.state(3)).mean[0, 0] - expected) > 1e-4


def test_ctrl_c_keeps_everything(tmp_path):
    model = made()
    optimizer = OPTIMIZERS["Adam"](model.parameters())
    states = []

    def interrupted():
        with ls.Recorder(tmp_path / "run.h5", model, optimizer, every=3) as recorder:
            states.append(train(model, optimizer, 7, recorder)[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    run = ls.Trajectory(tmp_path / "run.h5")
    assert not run.complete
    np.testing.assert_array_equal(run.steps, [0, 3, 6, 7])
    np.testing.assert_array_equal(run.final, states[0][-1])
    assert np.isfinite(run.scalars["loss"]).all()
    assert run.updates == 7
    train(model, optimizer, 1)  # the hook is gone


def test_an_existing_file_is_refused_before_training(tmp_path):
    (tmp_path / "run.h5").write_text("precious")
    model = made()
    with pytest.raises(FileExistsError, match="overwrite"):
        ls.Recorder(tmp_path / "run.h5", model, OPTIMIZERS["SGD"](model.parameters()))
    assert (tmp_path / "run.h5").read_text() == "precious"


def test_impossible_settings_are_refused(tmp_path):
    model = made()
    with pytest.raises(ValueError, match="every must be at least 1"):
        ls.Recorder(tmp_path / "run.h5", model, OPTIMIZERS["SGD"](model.parameters()), every=0)
    frozen = made().requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameter"):
        ls.Recorder(tmp_path / "run.h5", frozen, OPTIMIZERS["SGD"](model.parameters()))
    assert not list(tmp_path.iterdir())
