"""What changes in a model, or around it, while it is recorded: it is in the file, or it is said."""

from __future__ import annotations

import copy
import multiprocessing
import os
import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

import landscape as ls

X, Y = torch.linspace(-1, 1, 12).reshape(4, 3), torch.ones(4, 2)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 2))


def step(model, optimizer):
    optimizer.zero_grad()
    F.mse_loss(model(X.to(model[0].weight.dtype)), Y.to(model[0].weight.dtype)).backward()
    optimizer.step()


def record(path, model, loop, *, lr=0.1, **options):
    """Record a loop; returns the run and what it said of weights that moved unseen."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=lr)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with ls.Recorder(path, model, optimizer, **options) as recorder:
            loop(recorder, optimizer)
    said = [str(w.message) for w in caught if issubclass(w.category, ls.MovedUnseen)]
    return ls.Trajectory(path), said


def assert_ends_as(run, model):
    """The last state of a run is the model, bit for bit."""
    held = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for layout, vector in ((run.layout, run.final), (run.buffers_layout, run.buffers(-1))):
        for entry in layout:
            mine = held[entry.name].detach().double().numpy().reshape(-1)
            np.testing.assert_array_equal(np.asarray(vector)[entry.slice], mine, entry.name)


def other_state():
    state = copy.deepcopy(net()).state_dict()
    return {n: t + 0.5 if t.is_floating_point() else t for n, t in state.items()}


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.load_state_dict(other_state(), assign=True),
        lambda model: setattr(model, "2", nn.Linear(5, 2)),
        lambda model: model.__setitem__(0, nn.Linear(3, 5)),
    ],
)
def test_what_takes_a_tensors_place_after_the_last_step_is_the_last_state(tmp_path, change):
    model = net()

    def loop(recorder, optimizer):
        step(model, optimizer)
        change(model)

    run, said = record(tmp_path / "a.h5", model, loop)
    assert run.steps.tolist() == [0, 1, 2]
    assert len(said) == 1
    assert "moved after step 1" in said[0]
    assert_ends_as(run, model)


def test_a_new_optimizer_of_tensors_that_took_the_places_of_all_is_heard(tmp_path):
    model = net()

    def loop(recorder, optimizer):
        step(model, optimizer)
        model.load_state_dict(other_state(), assign=True)
        again = torch.optim.SGD(model.parameters(), lr=0.1)
        step(model, again)
        step(model, again)

    run, said = record(tmp_path / "a.h5", model, loop)
    assert not said
    assert run.steps.tolist() == [0, 1, 2, 3]
    assert_ends_as(run, model)


def test_the_gradient_of_a_step_is_that_of_the_tensors_it_steps(tmp_path):
    model, norms = net(), []

    def loop(recorder, optimizer):
        for k in range(3):
            if k == 1:
                model[2] = nn.Linear(5, 2)
                optimizer.add_param_group({"params": model[2].parameters()})
            step(model, optimizer)
            norms.append(torch.stack([p.grad.norm() for p in model.parameters()]).norm().item())

    run, said = record(tmp_path / "a.h5", model, loop)
    assert not said
    np.testing.assert_allclose(run.scalars["gradient_norm"], norms, rtol=1e-5)


def frozen():
    model = net()
    model[0].requires_grad_(False)
    return model


def grow(model):
    model[1].running_mean = torch.zeros(7)


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        (net, lambda model: model.append(nn.Linear(2, 2)), "3.weight and 1 more was added"),
        (net, lambda model: setattr(model, "2", nn.Linear(5, 9)), "2.weight and 1 more was added"),
        (net, lambda model: model.register_buffer("scale", torch.ones(2)), "scale was added"),
        (net, grow, "1.running_mean was added, taken away or given another shape"),
        (net, lambda model: prune.identity(model[2], "weight"), "2.weight_orig and 1 more"),
        (frozen, lambda model: model[0].weight.copy_(model[0].weight.flip(0)), "0.weight moved"),
        (frozen, lambda model: model[0].weight.copy_(model[0].weight.flip(1)), "0.weight moved"),
        (frozen, lambda model: setattr(model[0], "bias", None), "0.bias moved although"),
    ],
)
def test_what_the_file_cannot_hold_is_said_at_the_end(tmp_path, make, change, message):
    model = make()

    def loop(recorder, optimizer):
        step(model, optimizer)
        with torch.no_grad():
            change(model)

    _, said = record(tmp_path / "a.h5", model, loop)
    assert any(message in line and "\n" not in line for line in said), said


def test_numbers_that_became_wider_than_the_rows_are_said_to_be_rounded(tmp_path):
    def loop(recorder, optimizer):
        step(model, optimizer)
        model.double()
        step(model, optimizer)

    model = net()
    _, said = record(tmp_path / "a.h5", model, loop)
    assert len(said) == 1
    assert "became float64, and the recording holds it rounded" in said[0]
    model = net()
    run, said = record(tmp_path / "b.h5", model, loop, dtype="float64")
    assert run.holds["dtype"] == "float64"
    model = net()
    _, said = record(tmp_path / "c.h5", model, loop, dtype="float32")
    assert not said  # as asked for


class Duck:
    """It has a step, and is no torch optimizer."""

    def __init__(self, params):
        self.params = list(params)

    def step(self):
        with torch.no_grad():
            for p in self.params:
                p.sub_(0.1)


def test_a_copy_of_an_optimizer_that_is_heard_steps_its_own_tensors(tmp_path):
    model = nn.Linear(2, 1)
    optimizer = Duck(model.parameters())
    with ls.Recorder(tmp_path / "a.h5", model, optimizer) as recorder:
        optimizer.step()
        before = [p.clone() for p in model.parameters()]
        twin = copy.deepcopy(optimizer)
        twin.step()
        assert all(map(torch.equal, before, model.parameters()))
        assert not any(map(torch.equal, before, twin.params))
        assert recorder.step == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_child_trains_on_unheard(tmp_path):
    model = net()

    def train(optimizer):
        torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
        for _ in range(1200):  # more than may wait to be written
            step(model, optimizer)

    def loop(recorder, optimizer):
        step(model, optimizer)
        child = multiprocessing.get_context("fork").Process(target=train, args=(optimizer,))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of forking with threads
            child.start()
        child.join(60)
        code = child.exitcode
        child.kill()
        assert code == 0
        step(model, optimizer)

    run, said = record(tmp_path / "a.h5", model, loop)
    assert not said
    assert run.steps.tolist() == [0, 1, 2]
    assert_ends_as(run, model)


def test_steps_of_two_threads_at_once_are_said_to_mix(tmp_path):
    model, inside, done = net(), threading.Event(), threading.Event()

    class Slow(torch.optim.SGD):
        def step(self, closure=None):
            inside.set()
            done.wait(10)
            return super().step(closure)

    def loop(recorder, optimizer):
        slow = Slow(model[0].parameters(), lr=0.1)
        thread = threading.Thread(target=slow.step)
        F.mse_loss(model(X), Y).backward()
        thread.start()
        inside.wait(10)
        optimizer.step()
        done.set()
        thread.join()

    run, said = record(tmp_path / "a.h5", model, loop)
    assert any("Two threads step at the same time" in line for line in said)
    assert_ends_as(run, model)


def test_the_program_may_go_to_another_folder(tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    model = net()

    def loop(recorder, optimizer):
        step(model, optimizer)
        recorder.flush()
        monkeypatch.chdir(tmp_path / "there")
        step(model, optimizer)
        recorder.flush()
        monkeypatch.chdir(tmp_path)

    run, _ = record("a.h5", model, loop)
    assert run.complete
    assert len(run) == 3
    run = ls.Trajectory("a.h5")
    record("there/a.h5", net(), lambda recorder, optimizer: None)
    monkeypatch.chdir(tmp_path / "there")
    assert_ends_as(run, model)


def test_a_run_that_was_replaced_after_it_was_opened_is_not_mixed_with_the_new_one(tmp_path):
    record(tmp_path / "a.h5", net(), lambda recorder, optimizer: None)
    run = ls.Trajectory(tmp_path / "a.h5")
    record(tmp_path / "a.h5", net(), lambda recorder, optimizer: None, overwrite=True)
    with pytest.raises(ls.SchemaError, match="was replaced after it was opened"):
        run.state(0)


def test_started_twice_is_started_once(tmp_path):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ls.Recorder(tmp_path / "a.h5", model, optimizer, overwrite=True).start():
        step(model, optimizer)
    assert len(ls.Trajectory(tmp_path / "a.h5")) == 2


def test_a_link_to_a_place_where_nothing_is_stays_a_link(tmp_path):
    (tmp_path / "a.h5").symlink_to(tmp_path / "large-disk.h5")
    record(tmp_path / "a.h5", net(), lambda recorder, optimizer: None)
    assert (tmp_path / "a.h5").is_symlink()
    assert (tmp_path / "large-disk.h5").is_file()


def test_neither_a_default_device_nor_inference_mode_stops_the_recording(tmp_path):
    model = net()

    def loop(recorder, optimizer):
        torch.set_default_device("meta")
        try:
            step(model, optimizer)
        finally:
            torch.set_default_device(None)
        with torch.inference_mode():
            optimizer.step()
        step(model, optimizer)

    torch.set_default_device("meta")
    try:
        recorder = ls.Recorder(tmp_path / "a.h5", model, torch.optim.SGD(model.parameters(), 0.1))
        recorder.start().close()
    finally:
        torch.set_default_device(None)
    run, said = record(tmp_path / "b.h5", model, loop)
    assert not said
    assert len(run) == 4
    assert_ends_as(run, model)


def test_a_model_of_empty_tensors_is_refused(tmp_path):
    model = nn.Module()
    model.empty = nn.Parameter(torch.zeros(0))
    with pytest.raises(ValueError, match="no trainable parameter"):
        record(tmp_path / "a.h5", model, lambda recorder, optimizer: None)
