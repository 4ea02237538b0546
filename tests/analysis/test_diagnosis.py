"""What stands out in runs made to be ill, and that nothing does in healthy ones."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from synthetic import random_walk, write_run
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
    assert found.sentences() == [
        f"nothing stands out among {len(found.check) - 1} checks of {len(found.check)}"
    ]
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


def test_the_sharpness_is_measured_where_there_is_an_objective(tmp_path):
    """½ Σ h_i x_i² with h up to 100: gradient descent is stable up to a rate of 0.02."""
    task = ls.load_task("function/quadratic")
    objective = ls.Objective(task.model, task.loss, task.train)
    for lr, beyond in ((0.015, False), (0.03, True)):
        file = tmp_path / f"{lr}.h5"
        run = ls.Trajectory(
            ls.record_run(ls.Run("function/quadratic", "gd", lr=lr, steps=30), file)
        )
        found = ls.diagnose(run, objective)
        place = found.check.index("sharpness")
        assert found.value[place] == pytest.approx(100 * lr / 2, rel=1e-3)
        assert ("sharpness" in found.standing_out) == beyond
        assert "sharpness" not in ls.diagnose(run).check


def test_a_random_walk_has_a_plane_like_a_random_walks(tmp_path):
    states = random_walk(60, 400, seed=0)
    updates, away = np.diff(states, axis=0), states[1:] - states[0]
    norms = {"update_norm": updates, "distance": away}
    scalars = {name: np.linalg.norm(rows, axis=1).tolist() for name, rows in norms.items()}
    walked = write_run(tmp_path / "walk.h5", states, scalars=scalars)
    assert "a plane like a random walk's" in ls.diagnose(walked).standing_out
    straight = trained(tmp_path / "a.h5")
    assert "a plane like a random walk's" not in ls.diagnose(straight).standing_out


def test_every_number_is_drawn_beside_its_threshold(tmp_path):
    found = ls.diagnose(trained(tmp_path / "a.h5", freeze=True))
    (figure,) = ls.plot(found)
    marks = [line.get_gid() for line in figure.axes[0].lines]
    assert marks.count("found") == len(found.standing_out) == 1
    known = sum(map(math.isfinite, found.value))
    assert marks.count("quiet") == known - 1
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[marks[1::2].index("found")] == "still tensors"


def test_a_run_too_short_is_refused(tmp_path):
    with pytest.raises(ValueError, match="record 20 steps or more"):
        ls.diagnose(trained(tmp_path / "a.h5", steps=5))
