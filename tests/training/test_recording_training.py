"""`record_run`: what a run says about itself, repeats, schedules, closures, parts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import landscape as ls
from landscape.cli import app
from landscape.objective.data.held import HeldData
from landscape.training import closure as gradient
from landscape.training.loop import record_run
from landscape.training.run import Run
from landscape.training.schedules import trapezoid


def states(path):
    return np.stack([s for t in [ls.Trajectory(path)] for s in map(t.state, range(len(t)))])


@pytest.mark.parametrize(
    "run",
    [
        Run("digits/mlp-16", "adam", steps=12),
        Run("digits/mlp-16-bn", "lookahead-adam", steps=12, options={"k": 3}, every=5),
        Run("digits/mlp-16", "lbfgs", steps=4),
        Run("digits/mlp-16", "sam", steps=8, schedule="trapezoid", schedule_options={"warmup": 3}),
        Run("digits/mlp-16", "momentum", steps=12, schedule="one-cycle", final_batch_size=512),
        Run("two-spirals/mlp-8", "sgd", steps=12, batch_size=256, base_batch_size=64, seed=3),
    ],
    ids=lambda run: run.optimizer,
)
def test_a_stored_run_repeats_bitwise(run, tmp_path):
    first = record_run(run, tmp_path / "first.h5")
    stored = Run.stored(first)
    assert json.dumps(dataclasses.asdict(stored))
    second = record_run(stored, tmp_path / "second.h5")
    assert Run.stored(second) == stored
    np.testing.assert_array_equal(states(first), states(second))
    a, b = ls.Trajectory(first), ls.Trajectory(second)
    for name in ("loss", "lr"):
        np.testing.assert_array_equal(a.scalars[name], b.scalars[name])
    assert np.isfinite(a.scalars["loss"]).all()


def test_dropout_repeats_and_leaves_the_generator_alone(tmp_path):
    final = []
    for k in range(2):
        torch.manual_seed(100 + k)
        task = ls.load_task("digits/mlp-16")
        task.model.insert(1, torch.nn.Dropout())
        state = torch.random.get_rng_state()
        path = record_run(Run("digits/mlp", "sgd", steps=3), tmp_path / f"{k}.h5", task=task)
        assert torch.equal(torch.random.get_rng_state(), state)
        final.append(ls.Trajectory(path).final)
    np.testing.assert_array_equal(*final)


def test_threads_belong_to_the_run(tmp_path):
    threads = torch.get_num_threads()
    path = record_run(Run("digits/mlp-16", "sgd", steps=2, threads=threads + 1), tmp_path / "a.h5")
    assert torch.get_num_threads() == threads
    assert Run.stored(path).threads == threads + 1
    assert Run("digits/mlp-16", "sgd").resolved().threads == threads


def test_a_file_of_unknown_origin_cannot_be_repeated(tmp_path):
    path = record_run(Run("digits/mlp-16", "sgd", steps=1), tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        del file["run"]
    with pytest.raises(ValueError, match="does not say which task and optimizer"):
        Run.stored(path)


def test_the_schedule_is_recorded(tmp_path):
    run = Run("digits/mlp-16", "sgd", lr=0.4, steps=10, schedule="trapezoid")
    path = record_run(run, tmp_path / "a.h5")
    factor = trapezoid(10)
    expected = [0.4 * factor(t) for t in range(10)]
    np.testing.assert_allclose(ls.Trajectory(path).scalars["lr"], expected, rtol=1e-12)
    assert ls.Trajectory(path).run["schedule"] == "trapezoid"


def test_linear_scaling_is_applied_once(tmp_path):
    run = Run("digits/mlp-16", "sgd", lr=0.1, steps=1, batch_size=256, base_batch_size=64)
    assert run.resolved().lr == 0.4
    assert run.resolved().resolved() == run.resolved()


def test_a_large_batch_in_parts_is_the_same_step(tmp_path, monkeypatch):
    """The gradient over 1,498 samples in passes of 400, against one pass."""
    whole = record_run(Run("digits/mlp-16", "gd", steps=5), tmp_path / "whole.h5")
    monkeypatch.setattr(gradient, "PASS", 400)
    parts = record_run(Run("digits/mlp-16", "gd", steps=5), tmp_path / "parts.h5")
    # Sums of 1,498 single-precision terms in another order: 1e-6 of values up to 1.
    np.testing.assert_allclose(states(whole), states(parts), atol=5e-6)
    losses = [ls.Trajectory(path).scalars["loss"] for path in (whole, parts)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.parametrize("form", ["scalar", "pair"])
def test_parts_of_every_form_of_loss(form, monkeypatch):
    """Means over tokens: Σ sums / Σ weights over all parts, not the mean of the parts' means."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1).double()
    x = torch.randn(10, 3, dtype=torch.float64)
    weight = torch.arange(10.0, dtype=torch.float64)

    def loss(model, batch):
        values = model(batch[0])[:, 0].square()
        if form == "scalar":
            return values.mean()
        return (values * batch[1]).sum(), batch[1].sum()

    data = HeldData((x, weight), device=torch.device("cpu"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    found = []
    for size in (100, 3):
        monkeypatch.setattr(gradient, "PASS", size)
        closure = gradient.gradient_closure(loss, model, data.take, torch.arange(10), optimizer)
        value = closure()
        found.append((value, model.weight.grad.clone()))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"lr": -1.0}, "lr must be positive"),
        ({"final_batch_size": 64}, "final_batch_size must be at least batch_size, 128; got 64"),
        ({"optimizer": "adamm"}, "optimizer must be one of"),
        ({"schedule": "slow"}, "schedule must be one of"),
        ({"options": {"speed": 1}}, "takes no option speed"),
        ({"average": "mean"}, "average must be one of swa, ema"),
        ({"average": "ema", "average_options": {"decay": 1.0}}, "decay must be"),
        ({"average": "swa", "average_options": {"speed": 1}}, "takes no option speed"),
    ],
)
def test_errors(change, expected, tmp_path):
    run = dataclasses.replace(Run("digits/mlp-16", "sgd", steps=3), **change)
    with pytest.raises(ValueError, match=expected):
        record_run(run, tmp_path / "a.h5")
    assert not (tmp_path / "a.h5").exists()


def test_a_file_never_decides_which_code_is_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_task_of_test.py").write_text(
        "import landscape as ls\ndef task(seed):\n    return ls.load_task('digits/mlp-8')\n"
    )
    name = "own_task_of_test:task"
    path = record_run(Run(name, "sgd", steps=1), tmp_path / "a.h5")
    with pytest.raises(ValueError, match="name it again"):
        Run.stored(path)
    with pytest.raises(ValueError, match="not 'digits/mlp'"):
        Run.stored(path, task="digits/mlp")
    assert Run.stored(path, task=name).task == name
    with pytest.raises(ValueError, match="only tasks that ship"):
        ls.outcomes([path])


@pytest.mark.parametrize("every", [1, 3])
def test_averages_are_recorded_beside_the_run(every, tmp_path):
    plain = Run("digits/mlp-16", "sgd", steps=12, every=every)
    swa = dataclasses.replace(plain, average="swa", average_options={"start": 4})
    first, second = (record_run(r, tmp_path / f"{r.average}.h5") for r in (plain, swa))
    np.testing.assert_array_equal(states(first), states(second))
    assert ls.Trajectory(first).evaluation(-1) is None
    averaged = ls.Trajectory(second)
    all_steps = states(record_run(dataclasses.replace(plain, every=1), tmp_path / "all.h5"))
    for index, step in enumerate(averaged.steps):
        expected = all_steps[5 : step + 1].mean(0) if step > 4 else all_steps[step]
        # Up to eight roundings of a running mean of weights below 1 in single precision.
        np.testing.assert_allclose(averaged.evaluation(index), expected, atol=5e-7)


def test_slow_weights_are_recorded_beside_the_fast(tmp_path):
    path = record_run(
        Run("digits/mlp-16", "lookahead", steps=11, options={"k": 4, "alpha": 0.5}),
        tmp_path / "a.h5",
    )
    found = ls.Trajectory(path)
    for step in range(12):
        slow = found.evaluation(step)
        np.testing.assert_array_equal(slow, found.state(4 * (step // 4)))


def test_from_the_command_line(tmp_path):
    first, second = tmp_path / "a.h5", tmp_path / "b.h5"
    command = [
        "record", "digits/mlp-16", "--optimizer", "lookahead-adam", "--option", "k=3",
        "--option", "alpha=0.25", "--schedule", "trapezoid", "--schedule-option", "warmup=2",
        "--steps", "7", "--every", "2", "--device", "cpu", "--out", str(first),
    ]  # fmt: skip
    for arguments in (command, ["record", "--from", str(first), "--out", str(second)]):
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
    run = Run.stored(second)
    assert (run.options, run.schedule_options) == ({"k": 3, "alpha": 0.25}, {"warmup": 2})
    np.testing.assert_array_equal(states(first), states(second))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["digits/mlp", "--optimizer", "adam", "--option", "k"], "options are KEY=VALUE"),
        (["--optimizer", "adam", "--from", "a.h5"], "leave out --optimizer"),
        ([], "give TASK"),
    ],
)
def test_command_line_errors(arguments, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.h5").touch()
    done = CliRunner().invoke(app, ["record", *arguments])
    assert isinstance(done.exception, ValueError)
    assert expected in str(done.exception)


def test_dropout_draws_from_the_runs_seed_and_not_from_the_users_generator(tmp_path):
    def task():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        return ls.Task(
            model=model, loss=lambda m, b: m(b[0]).square().mean(dim=1), train=(torch.ones(8, 2),)
        )

    run = Run("mine:task", "sgd", steps=4)
    recorded = []
    for name in ("a.h5", "b.h5"):
        held = task()
        torch.rand(len(recorded) + 1)
        before = torch.get_rng_state()
        recorded.append(states(record_run(run, tmp_path / name, task=held)))
        assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(*recorded)


@pytest.mark.parametrize(
    "run",
    [
        Run("digits/mlp-16", "lookahead-adam", steps=14, options={"k": 3}, schedule="trapezoid"),
        Run("digits/mlp-16-bn", "sgd", steps=14, every=4, average="ema"),
    ],
    ids=lambda run: run.optimizer,
)
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(run, tmp_path, monkeypatch, capsys):
    twin = ls.Trajectory(record_run(run, tmp_path / "twin.h5"))
    assert "states of" in capsys.readouterr().err  # the expected size
    path, made = tmp_path / "run.h5", []

    def take(self, index, original=HeldData.take):
        made.append(0)
        if len(made) == 10:
            raise KeyboardInterrupt
        return original(self, index)

    with monkeypatch.context() as patched:
        patched.setattr(HeldData, "take", take)
        with pytest.raises(KeyboardInterrupt):
            record_run(run, path)
    assert not ls.Trajectory(path).complete
    done = CliRunner().invoke(app, ["record", "--resume", str(path), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    found = ls.Trajectory(path)
    assert found.complete
    np.testing.assert_array_equal(found.steps, twin.steps)
    np.testing.assert_array_equal(states(path), states(tmp_path / "twin.h5"))
    for s in range(len(twin)):
        np.testing.assert_array_equal(found.evaluation(s), twin.evaluation(s))
    went_on = 9 - 9 % run.every
    for name, values in twin.scalars.items():
        same = found.scalars[name] == values
        # No gradient came before the first step after the restart, and with states that are not
        # next to one another no update either.
        cosines = ("gradient_cosine", "update_cosine")[: 1 + (run.every > 1)]
        unknown = [went_on] * (name in cosines)
        assert set(np.flatnonzero(~same)) - {0} == set(unknown), name
    before = path.read_bytes()
    record_run(run, path, resume=True)
    assert path.read_bytes() == before  # complete


def test_resuming_another_run_is_refused_and_the_file_stays(tmp_path):
    run = Run("digits/mlp-16", "sgd", steps=6)
    path = record_run(run, tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["complete"] = 0
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"holds a run with steps=6, not 9; resume that run"):
        record_run(dataclasses.replace(run, steps=9), path, resume=True)
    with h5py.File(path, "r+") as file:  # as if the data or the machine were others
        parameters = file["parameters"]
        assert isinstance(parameters, h5py.Dataset)
        parameters[6, 0] = 1.0
    changed = path.read_bytes()
    with pytest.raises(ValueError, match=r"repeated up to step 6, the training does not come to"):
        record_run(run, path, resume=True)
    assert path.read_bytes() == changed
    assert len(before) == len(changed)
