"""A folded convolution lies with channels last, as what it is given does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import landscape as ls


@pytest.mark.parametrize("strategy", ["folded", "fused"])
def test_folded_convolutions_stay_with_channels_last(strategy):
    seen = []
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 5, 3))
    net.eval()
    net[3].register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    data = torch.randn(16, 3, 8, 8), torch.randn(16, 5, 4, 4)
    objective = ls.Objective(
        net, lambda m, b: (m(b[0]) - b[1]).square().mean((1, 2, 3)), data, strategy=strategy
    )
    origin = objective.parameters()
    objective.restrict(origin, origin[None])(torch.linspace(-1, 1, 3)[:, None].numpy())
    assert seen[-1].is_contiguous(memory_format=torch.channels_last)
    assert not seen[-1].is_contiguous()
