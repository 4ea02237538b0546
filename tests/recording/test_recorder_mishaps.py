"""Recorder when the loop around it goes wrong: what was recorded is kept, nothing hangs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls

UNCLOSED = """
    import sys, torch
    import landscape as ls

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = ls.Recorder(sys.argv[1], model, optimizer).start()
    for _ in range(30):
        model(torch.ones(4, 3)).sum().backward()
        optimizer.step()
"""


@pytest.mark.parametrize(("end", "code"), [("", 0), ("raise RuntimeError('mine')", 1)])
def test_a_recorder_that_is_not_closed_keeps_everything(tmp_path, end, code):
    path = tmp_path / "run.h5"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(UNCLOSED) + end, path],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    assert ("mine" in done.stderr) == bool(code)
    run = ls.Trajectory(path)
    np.testing.assert_array_equal(run.steps, np.arange(31))
    assert run.updates == 30
    assert not run.complete


@pytest.mark.parametrize("sizes", [(3, 0, 2), (0, 3, 2), (3, 2, 0), (3, 0, 0, 2, 0, 40000), (0, 3)])
def test_empty_tensors_are_recorded_like_the_others(tmp_path, sizes):
    model = nn.ParameterList([nn.Parameter(torch.ones(size)) for size in sizes])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer) as recorder:
        for _ in range(3):
            for parameter in model:
                parameter.grad = torch.ones_like(parameter)
            optimizer.step()
    norms = np.sqrt(sizes)
    with ls.Trajectory(tmp_path / "run.h5") as run:
        np.testing.assert_array_equal(run.steps, [0, 1, 2, 3])
        # Powers of two times square roots of whole numbers: only the root rounds.
        np.testing.assert_allclose(run.layers("update_norm"), [norms / 2] * 3, rtol=1e-12)
        np.testing.assert_allclose(run.layers("gradient_norm"), [norms] * 3, rtol=1e-12)
        np.testing.assert_allclose(run.layers("distance")[-1], 1.5 * norms, rtol=1e-12)
        np.testing.assert_allclose(run.scalars["update_norm"], np.sqrt(sum(sizes)) / 2, rtol=1e-12)
    with ls.Recorder(recorder.path, model, optimizer, resume=True):  # looks at the last update
        optimizer.step()
    assert ls.Trajectory(recorder.path).scalars["update_cosine"][-1] == pytest.approx(1)


def linear():
    """A model whose gradients are there, and its optimizer."""
    model = nn.Linear(1000, 100)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def test_flush_after_close_returns(tmp_path):
    model, optimizer = linear()
    with ls.Recorder(tmp_path / "run.h5", model, optimizer) as recorder:
        optimizer.step()
    flushing = threading.Thread(target=recorder.flush, daemon=True)
    flushing.start()
    flushing.join(timeout=60)  # far more than it takes
    assert not flushing.is_alive()
    assert recorder.committed == 1


def test_steps_whose_state_is_not_stored_need_no_room(tmp_path, monkeypatch):
    # Room for the first state and the last, not for one of 400 kB at each of 40 steps.
    free = SimpleNamespace(free=5_000_000)
    monkeypatch.setattr("landscape.recording.stream.shutil.disk_usage", lambda path: free)
    model, optimizer = linear()
    with ls.Recorder(tmp_path / "run.h5", model, optimizer, every=None):
        for _ in range(40):
            optimizer.step()
    run = ls.Trajectory(tmp_path / "run.h5")
    np.testing.assert_array_equal(run.steps, [0, 40])
    assert run.complete


@pytest.mark.parametrize("good", [0, 10])
def test_an_evaluation_that_raises_ends_the_recording_and_frees_the_file(tmp_path, good):
    model, optimizer = linear()
    calls = []

    def evaluation():
        calls.append(0)
        if len(calls) > good:
            raise RuntimeError("mine")
        return list(model.parameters())

    recorder = ls.Recorder(tmp_path / "run.h5", model, optimizer, evaluation=evaluation)

    def train():
        with recorder:
            for _ in range(30):
                optimizer.step()

    with pytest.raises(RuntimeError, match="mine"):
        train()
    recorder.close()  # once more does nothing
    assert not [t.name for t in threading.enumerate() if t.name.startswith("landscape")]
    if good:
        with ls.Trajectory(tmp_path / "run.h5") as run:
            np.testing.assert_array_equal(run.steps, np.arange(good))
            assert not run.complete
            state = run.state(-1)
        with torch.no_grad():
            nn.utils.vector_to_parameters(torch.from_numpy(state), model.parameters())
    with ls.Recorder(
        tmp_path / "run.h5",
        model,
        optimizer,
        evaluation=lambda: list(model.parameters()),
        resume=True,
    ):
        optimizer.step()
    run = ls.Trajectory(tmp_path / "run.h5")
    np.testing.assert_array_equal(run.steps, np.arange(max(good, 1) + 1))
    assert run.complete


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (None, TypeError, r"log\(note=...\) takes a real number .* got None of type NoneType"),
        ("low", TypeError, "got 'low' of type str"),
        (1j, TypeError, "got 1j of type complex"),
        (10**400, TypeError, "of type int"),
        (torch.tensor(1j), TypeError, "got a complex tensor"),
        (torch.ones(2), ValueError, r"takes one number; got shape \(2,\)"),
        (np.ones(2), TypeError, "of type ndarray"),
    ],
)
def test_what_is_no_number_is_refused_where_it_is_logged(tmp_path, value, error, message):
    model, optimizer = linear()
    with ls.Recorder(tmp_path / "run.h5", model, optimizer) as recorder:
        for step in range(3):
            optimizer.step()
            recorder.log(loss=np.float32(step), count=step)
            if step == 1:
                with pytest.raises(error, match=message):
                    recorder.log(note=value)
    run = ls.Trajectory(tmp_path / "run.h5")
    assert run.complete
    np.testing.assert_array_equal(run.steps, np.arange(4))
    np.testing.assert_array_equal(run.scalars["loss"], np.arange(3))
    np.testing.assert_array_equal(run.scalars["count"], np.arange(3))
    assert "note" not in run.scalars


@pytest.mark.parametrize("bad", [torch.ones(2), (1.0, 2.0), "high"])
def test_a_closure_that_returns_no_number_leaves_the_loss_unknown(tmp_path, bad):
    model, optimizer = linear()
    with ls.Recorder(tmp_path / "run.h5", model, optimizer):
        for value in (0.5, bad, torch.tensor([2.5])):
            optimizer.step(lambda value=value: value)
    run = ls.Trajectory(tmp_path / "run.h5")
    np.testing.assert_array_equal(run.steps, np.arange(4))
    np.testing.assert_array_equal(run.scalars["loss"], [0.5, np.nan, 2.5])


def test_infinite_norms_are_recorded_and_gone_on_from(tmp_path):
    # Any warning is an error here; squares of 1e30 are beyond float32.
    model, optimizer = linear()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 1e30)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer):
        optimizer.step()
        optimizer.step()
    with ls.Recorder(tmp_path / "run.h5", model, optimizer, resume=True):
        optimizer.step()
    run = ls.Trajectory(tmp_path / "run.h5")
    assert run.complete
    np.testing.assert_array_equal(run.scalars["update_norm"], np.inf)
