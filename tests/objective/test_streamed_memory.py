"""Where weights come and go, nothing holds as much as the model: neither checks nor points."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls

STATUS = Path("/proc/self/status")


def kilobytes(name):
    return int(STATUS.read_text().split(f"{name}:")[1].split()[0])


class Deep(nn.Module):
    """Thirty-two layers of 4 MB, and a buffer that may be a cache, as far as anybody knows."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(1024, 1024, bias=False) for _ in range(32))
        self.register_buffer("scale", torch.ones(1))

    def forward(self, x):
        for layer in self.layers:
            x = torch.tanh(layer(x) * self.scale)
        return x


@pytest.mark.skipif(not STATUS.exists(), reason="reads what Linux says of memory")
def test_checks_and_points_hold_a_part_of_the_model():
    def loss(model, batch):
        return model(batch).square().sum(1), torch.ones(len(batch))

    model, data = Deep(), torch.randn(2, 1024)
    size = sum(p.nbytes for p in model.parameters()) / 1024
    small = ls.Objective(nn.Linear(4, 4), loss, torch.ones(2, 4))
    small.at(small.parameters())  # loads what is loaded once
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    rest = kilobytes("VmRSS")
    objective = ls.Objective(model, loss, data, strategy="streamed")
    plane = ls.random_plane(objective, stored=False)
    found = objective.along(plane)(np.array([[0.1, 0.2], [0.2, 0.1], [0.3, 0.1]]))
    assert np.isfinite(found.mean).all()
    print("SHARE", (kilobytes("VmHWM") - rest) / size)
    assert kilobytes("VmHWM") - rest < 0.7 * size
