"""The evaluation parameters are those of the optimizer's own evaluation mode."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_recorder import flat, made, train
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import landscape as ls
from landscape.optim.average import WeightAverage
from landscape.optim.evaluated import evaluated_weights
from landscape.optim.lookahead import Lookahead

STEPS = 9


def recorded(path, make, evaluation, after=lambda model: None):
    """Record a run one step at a time; the model's parameters after each step."""
    model = made()
    optimizer = make(model.parameters())
    states = [flat(model)]
    with ls.Recorder(path, model, optimizer, evaluation=evaluation(model, optimizer)):
        for step in range(STEPS):
            train(model, optimizer, 1, start=step)
            after(model)
            states.append(flat(model))
    return torch.stack(states).numpy()


def own_evaluation(make, there, back):
    """States of an unrecorded run, and what it evaluates between `there` and `back`."""
    model = made()
    optimizer = make(model.parameters())
    states, evaluated = [], []
    for step in range(STEPS + 1):
        if step:
            train(model, optimizer, 1, start=step - 1)
        states.append(flat(model))
        if step:  # SPlus cannot switch before its first step
            there(optimizer)
        evaluated.append(flat(model))
        if step:
            back(optimizer)
        with torch.no_grad():  # the way there and back changes the last bits
            torch.nn.utils.vector_to_parameters(states[-1].clone(), model.parameters())
    return torch.stack(states).numpy(), torch.stack(evaluated).numpy()


def assert_recorded(path, states, evaluated, **tolerance):
    run = ls.Trajectory(path)
    assert len(run) == STEPS + 1
    for s in range(len(run)):
        np.testing.assert_array_equal(run.state(s), states[s])
        np.testing.assert_allclose(run.evaluation(s), evaluated[s], **tolerance)
    assert (run.evaluation(-1) != run.state(-1)).any()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ScheduleFreeSGD", {"lr": 0.5}),
        ("ScheduleFreeAdamW", {"lr": 0.01}),
        ("ScheduleFreeRAdam", {"lr": 0.01}),
        ("ScheduleFreeWrapper", {"lr": 0.1}),
        ("SPlus", {"lr": 0.01}),
    ],
)
def test_optimizers_with_a_mode_for_evaluation(tmp_path, name, settings):
    library = pytest.importorskip("pytorch_optimizer")

    def make(parameters):
        if name == "ScheduleFreeWrapper":
            inner = torch.optim.SGD(parameters, **settings)
            optimizer = library.ScheduleFreeWrapper(inner)
            optimizer.train()
            return optimizer
        return getattr(library, name)(parameters, **settings)

    states, evaluated = own_evaluation(make, lambda o: o.eval(), lambda o: o.train())
    path = tmp_path / "run.h5"
    again = recorded(path, make, lambda _, optimizer: lambda: evaluated_weights(optimizer))
    np.testing.assert_array_equal(again, states)
    assert_recorded(path, states, evaluated, rtol=0, atol=0)


def test_slow_weights_of_both_lookaheads(tmp_path):
    library = pytest.importorskip("pytorch_optimizer")

    def theirs(parameters):
        return library.Lookahead(torch.optim.SGD(parameters, lr=0.2), k=4, alpha=0.5)

    def ours(parameters):
        return Lookahead(torch.optim.SGD(parameters, lr=0.2), k=4, alpha=0.5)

    states, evaluated = own_evaluation(
        theirs, lambda o: o.backup_and_load_cache(), lambda o: o.clear_and_load_backup()
    )
    for name, make in (("theirs", theirs), ("ours", ours)):
        path = tmp_path / f"{name}.h5"
        again = recorded(path, make, lambda _, optimizer: lambda: evaluated_weights(optimizer))
        # The same formula with φ and θ in the other order: one rounding of weights below 2 in
        # each of two slow steps, carried on by the fast ones.
        np.testing.assert_allclose(again, states, rtol=0, atol=0 if name == "theirs" else 2e-6)
        exact = {"rtol": 0, "atol": 0 if name == "theirs" else 2e-6}
        assert_recorded(path, again, evaluated, **exact)


@pytest.mark.parametrize("kind", ["swa", "ema"])
@pytest.mark.parametrize("optimizer", ["SGD", "Lookahead"])
def test_averages_are_those_of_torch_and_training_does_not_notice(tmp_path, kind, optimizer):
    def make(parameters):
        inner = torch.optim.SGD(parameters, lr=0.1)
        return Lookahead(inner, k=3) if optimizer == "Lookahead" else inner

    model = made()
    alone = [flat(model)]
    stepper = make(model.parameters())
    averaged = AveragedModel(
        model, multi_avg_fn=get_ema_multi_avg_fn(0.8) if kind == "ema" else None
    )
    means = [flat(model)]
    for step in range(STEPS):
        train(model, stepper, 1, start=step)
        averaged.update_parameters(model)
        alone.append(flat(model))
        means.append(flat(averaged.module))
    kept = []

    def average(model, _):
        kept.append(WeightAverage(kind, model.parameters(), decay=0.8))
        return kept[0].weights

    path = tmp_path / "run.h5"
    again = recorded(path, make, average, after=lambda _: kept[0].update())
    np.testing.assert_array_equal(again, torch.stack(alone).numpy())
    # Nine running means of weights below 2, each rounded once here and once there (1.2e-7).
    assert_recorded(path, again, torch.stack(means).numpy(), rtol=0, atol=2e-6)
