"""What a recording holds beside the model: nothing that can be done without."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls

STATUS = Path("/proc/self/status")


def kilobytes(name):
    return int(STATUS.read_text().split(f"{name}:")[1].split()[0])


def small():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def train(model, optimizer, recorder, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(16, 6)).square().mean().backward()
        optimizer.step()
        recorder.log(loss=0.0)


@pytest.mark.skipif(not STATUS.exists(), reason="reads what Linux says of memory")
def test_a_sketch_alone_copies_nothing(tmp_path):
    def step(model, optimizer):
        for layer in model:
            layer.weight.grad = layer.weight.detach()[:1].expand_as(layer.weight)
        optimizer.step()

    model = nn.Sequential(*(nn.Linear(1024, 1024, bias=False) for _ in range(16)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    step(model, optimizer)
    options = {"every": None, "sketch": 16, "motion": False}
    with ls.Recorder(tmp_path / "a.h5", *small(), **options):
        pass  # loads what is loaded once
    rest = kilobytes("VmRSS")
    with ls.Recorder(tmp_path / "run.h5", model, optimizer, **options) as recorder:
        for _ in range(2):
            step(model, optimizer)
            recorder.flush()
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        step(model, optimizer)
        recorder.flush()
        beyond = kilobytes("VmHWM") - rest
    print("SHARE", beyond / (16 * 4096))
    assert beyond < 0.6 * 16 * 4096


def test_what_is_not_copied_is_recorded_all_the_same(tmp_path, monkeypatch):
    runs = []
    for name, large in (("copied", 2**25), ("in place", 0)):
        monkeypatch.setattr("landscape.recording.recorder._LARGE", large)
        model, optimizer = small()
        options = {"every": None, "sketch": 64, "motion": False, "seed": 3}
        path = tmp_path / f"{name}.h5"
        with ls.Recorder(path, model, optimizer, **options) as recorder:
            train(model, optimizer, recorder, 3)
            recorder.flush()
        with ls.Recorder(path, model, optimizer, resume=True, **options) as recorder:
            train(model, optimizer, recorder, 2)
        runs.append(ls.Trajectory(path))
        now = np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])
        assert np.array_equal(runs[-1].final, now)
        assert np.array_equal(runs[-1].buffers(-1)[:8], model[1].running_mean.numpy())
    one, other = runs
    assert one.updates == other.updates == 5
    assert len(one) == len(other)
    np.testing.assert_allclose(other.sketch, one.sketch, rtol=1e-4, atol=1e-6)
    assert np.array_equal(one.initial, other.initial)


def test_what_moves_outside_of_steps_is_seen_without_a_copy(tmp_path, monkeypatch):
    monkeypatch.setattr("landscape.recording.recorder._LARGE", 0)
    model, optimizer = small()
    path = tmp_path / "run.h5"
    recorder = ls.Recorder(path, model, optimizer, every=None, sketch=8, motion=False).start()
    train(model, optimizer, recorder, 2)
    model[2].bias.data.copy_(model[2].bias.detach().flip(0))
    with pytest.warns(ls.MovedUnseen, match=r"1 of 6 tensors \(first: 2.bias\) moved after step 2"):
        recorder.close()
    run = ls.Trajectory(path)
    assert run.updates == 3
    assert np.array_equal(run.final[-3:], model[2].bias.detach().numpy())


@pytest.mark.parametrize("inner", [False, True])
def test_the_fewest_slots_are_enough(tmp_path, monkeypatch, inner):
    found = []
    for memory in (512 << 20, 1):
        monkeypatch.setattr("landscape.recording.slots._MEMORY", memory)
        torch.manual_seed(0)
        model = nn.Linear(6, 3)
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4, line_search_fn="strong_wolfe")
        x = torch.randn(16, 6)

        def closure(model=model, optimizer=optimizer, x=x):
            optimizer.zero_grad()
            loss = (model(x) - x[:, :3].sin()).square().mean()
            loss.backward()
            return loss

        path = tmp_path / f"{memory}.h5"
        with ls.Recorder(path, model, optimizer, inner=inner, sketch=4) as recorder:
            for _ in range(4):
                optimizer.step(closure)
                recorder.log(other=1.0)
        run = ls.Trajectory(path)
        found.append((run.columns(slice(None), slice(None)), run.sketch, run.updates))
    for one, other in zip(*found, strict=True):
        assert np.array_equal(one, other)
