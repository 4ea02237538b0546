"""Small models that ship; each takes the data to know its shapes."""

from __future__ import annotations

from torch import nn

from landscape.tasks.task import Data


def mlp(data: Data) -> nn.Module:
    """Two hidden layers of 64 tanh units (smooth, so that surfaces have no kinks)."""
    inputs = data.train[0][0].numel()
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(inputs, 64),
        nn.Tanh(),
        nn.Linear(64, 64),
        nn.Tanh(),
        nn.Linear(64, data.classes),
    )


def conv(data: Data) -> nn.Module:
    """Two 3×3 convolutions with batch norm and ReLU, then a linear layer on the mean."""
    channels = data.train[0].shape[1]
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, data.classes),
    )
