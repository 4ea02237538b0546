"""What stands out in runs made to be ill, and that nothing does in healthy ones."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import landscape as ls


def trained(path, *, lr=0.1, steps=60, freeze=False, spike=None):
    torch.manual_seed(0)
    x = torch.randn(256, 10)
    y = (x.sum(dim=1) > 0).long()
    model = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 2))
    groups = [{"params": model[0].parameters()}, {"params": model[2].parameters()}]
    if freeze:
        groups[0]["lr"] = 0.0
    optimizer = torch.optim.SGD(groups, lr=lr)
    with ls.Recorder(path, model, optimizer) as recorder:
        for step in range(steps):
            part = slice(32 * step % 256, 32 * step % 256 + 32)
            loss = F.cross_entropy(model(x[part]), y[part])
            optimizer.zero_grad()
            loss.backward()
            for group in optimizer.param_groups:
                group["lr"] = 30.0 if step == spike else group["lr"] and lr
            optimizer.step()
            recorder.log(loss=loss)
    return ls.Trajectory(path)


def test_nothing_stands_out_in_a_healthy_run(tmp_path):
    found = ls.diagnose(trained(tmp_path / "a.h5"))
    assert found.standing_out == ()
    assert found.sentences() == [f"nothing stands out among {len(found.check) - 1} checks of 10"]
    assert str(found) == f"{found.name}:\n  {found.sentences()[0]}"
    found.save(tmp_path / "r.h5", "diagnosis/a")
    again = ls.load_results(tmp_path / "r.h5")["diagnosis/a"]
    assert again.check == found.check
    assert len(repr(found)) <= 200
    json.dumps(found.told)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("rate too high", {"lr": 50.0}),
        ("divergence", {"lr": 1e6}),
        ("rate too low", {"lr": 1e-4}),
        ("still tensors", {"freeze": True}),
    ],
)
def test_what_is_ill_stands_out_with_its_number(tmp_path, name, settings):
    found = ls.diagnose(trained(tmp_path / "a.h5", **settings))
    assert name in found.standing_out
    place = found.check.index(name)
    assert found.value[place] > found.threshold[place]
    (line,) = (line for line in found.sentences() if line.startswith(f"{name}: "))
    assert "Try: " in line
    assert "threshold" in line


def test_a_lone_spike_is_no_rate_that_is_too_high(tmp_path):
    run = trained(tmp_path / "a.h5", steps=150, spike=75)
    longest = run.scalars["update_norm"].max()
    assert longest > 0.3 * (run.initial**2).sum() ** 0.5
    assert "rate too high" not in ls.diagnose(run).standing_out


def test_a_run_too_short_is_refused(tmp_path):
    with pytest.raises(ValueError, match="record 20 steps or more"):
        ls.diagnose(trained(tmp_path / "a.h5", steps=5))
