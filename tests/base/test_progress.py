"""What work will cost is said before it starts, once, when it is worth saying."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.base import progress
from landscape.base.progress import Progress


def test_it_is_said_once_and_kept(capsys):
    with Progress("surface", 2601) as bar:
        bar.expect(0.031)
        bar.expect(9.0)
    assert capsys.readouterr().err == "surface: 2,601 points × 31 ms: about 81 s\n"
    assert bar.cost["points"] == 2601
    assert bar.cost["seconds_expected"] == pytest.approx(80.631)


def test_workers_share_it(capsys):
    with Progress("surface", 5000) as bar:
        bar.only(2601)  # the rest is another shard's
        bar.expect(6.0, workers=4)
    assert capsys.readouterr().err == "surface: 2,601 points × 6 s, 4 at a time: about 65 min\n"


def test_two_seconds_are_not_worth_a_word(capsys):
    with Progress("line", 101) as bar:
        bar.expect(0.0198)
    assert capsys.readouterr().err == ""
    assert bar.cost["seconds_expected"] == pytest.approx(2.0, abs=0.001)


def squared(model, batch):
    return (model(batch[0]) - batch[1]).square().mean(dim=1)


def test_measurements_say_it_and_keep_it(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_WORTH_SAYING", -1.0)
    data = (torch.randn(32, 3), torch.randn(32, 1))
    objective = ls.Objective(nn.Linear(3, 1), squared, data)
    plane = ls.random_plane(objective.parameters(), objective.layout)
    surface = ls.loss_surface(objective, plane, resolution=(5, 4))
    line = ls.random_line(objective.parameters(), objective.layout)
    profile = ls.loss_line(objective, [line, line], resolution=7)
    said = capsys.readouterr().err
    assert re.search(r"surface: 20 points × .*: about", said)
    assert re.search(r"line: 14 points × .*: about", said)
    assert surface.provenance["cost"]["points"] == 20
    for result in (surface, profile):
        cost, told = result.provenance["cost"], result.provenance["evaluation"]
        assert 0 <= cost["seconds_expected"] < 60
        assert 0 < cost["seconds"] < 60
        assert told["strategy"] == "sequential"
    assert np.isfinite(surface.values).all()
