"""Small networks that ship; each takes the data to know its shapes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from landscape.tasks.task import Data

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU}


def mlp(
    data: Data,
    *,
    widths: Sequence[int] = (64, 64),
    activation: str = "tanh",
    batch_norm: bool = False,
) -> nn.Module:
    """A fully connected network.

    The default, two hidden layers of 64 tanh units, is smooth, so that surfaces have no kinks.

    Args:
        data: Gives the number of inputs and classes.
        widths: Units of each hidden layer.
        activation: ``tanh``, ``relu`` or ``gelu``.
        batch_norm: Batch norm between every hidden layer and its activation.
    """
    sizes = [data.train[0][0].numel(), *widths]
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(sizes):
        layers.append(nn.Linear(before, after, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm1d(after))
        layers.append(ACTIVATIONS[activation]())
    return nn.Sequential(*layers, nn.Linear(sizes[-1], data.classes))


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


def lenet(data: Data, *, activation: str = "tanh") -> nn.Module:
    """LeNet-5 (LeCun et al. 1998): two 5×5 convolutions with mean pooling, three linear layers.

    Plain convolutions and a linear output take the place of the partly connected second
    convolution and the radial basis output of 1998.

    Raises:
        ValueError: If the images are smaller than 28×28.
    """
    _, channels, _, size = data.train[0].shape
    if size < 28:
        raise ValueError(f"lenet needs images of at least 28×28 pixels; these are {size} wide.")
    padding = 2 if size < 32 else 0
    left = ((size + 2 * padding - 4) // 2 - 4) // 2
    act = ACTIVATIONS[activation]
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=padding),
        act(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        act(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * left * left, 120),
        act(),
        nn.Linear(120, 84),
        act(),
        nn.Linear(84, data.classes),
    )
