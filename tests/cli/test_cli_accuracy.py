"""When `landscape surface` proposes a tolerance."""

import pytest
import torch
from torch import nn

import landscape as ls
from landscape.cli import accuracy


def mean_square(model, batch):
    return (model(batch[0]) - batch[1]).square().mean(dim=1)


@pytest.mark.parametrize(("seconds", "said"), [(0.0, True), (1e9, False)])
def test_a_tolerance_is_proposed_where_the_surface_takes_long(capsys, monkeypatch, seconds, said):
    monkeypatch.setattr(accuracy, "_LONG", seconds)
    monkeypatch.setattr("landscape.objective.tuning._WORTH_CHOOSING", 0.0)
    objective = ls.Objective(nn.Linear(3, 2), mean_square, (torch.randn(9, 3), torch.randn(9, 2)))
    plane = ls.random_plane(objective.parameters(), objective.layout)
    accuracy.propose_tolerance(objective, plane, (51, 51))
    assert ("All 2,601 points take" in capsys.readouterr().out) == said
