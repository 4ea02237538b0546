"""Residual networks for images of CIFAR size, depth 6n + 2, with and without shortcuts.

He et al. 2016, arXiv:1512.03385, section 4.2. Parameter names are those of the common public
implementations, so that their checkpoints load (`landscape.exchange.checkpoints.state.load_state`).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from landscape.tasks.task import Data

Shortcut = Literal["projection", "padding", "none"]


class ResNet(nn.Module):
    """Three stages of n residual blocks with `width`, 2·`width` and 4·`width` channels.

    The second and third stage begin with stride 2; batch norm follows every convolution, and a
    linear layer reads the mean over the last image. Convolutions start as in He et al. 2015
    (arXiv:1502.01852).

    Args:
        depth: 6n + 2 for n blocks per stage: 20, 32, 44, 56, 110, ...
        width: Channels of the first stage.
        shortcut: What the block's input passes on its way around the two convolutions.
            ``projection``: where the shape changes a 1×1 convolution with batch norm, elsewhere
            nothing (Li et al. 2018); ``padding``: where the shape changes every second pixel,
            new channels zero (He et al. 2016, option A); ``none``: no way around at all, a plain
            network (the "no short" networks of Li et al. 2018, arXiv:1712.09913).
        classes: Outputs.
        channels: Channels of the images.

    Raises:
        ValueError: If the depth is not 6n + 2 or an option is unknown.

    >>> sum(p.numel() for p in ResNet(56).parameters())
    855770
    >>> sum(p.numel() for p in ResNet(56, shortcut="none").parameters())
    853018
    """

    def __init__(
        self,
        depth: int = 20,
        *,
        width: int = 16,
        shortcut: Shortcut = "projection",
        classes: int = 10,
        channels: int = 3,
    ) -> None:
        super().__init__()
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"depth must be 6n + 2 (20, 56, 110, ...); got {depth}.")
        if shortcut not in get_args(Shortcut):
            raise ValueError(f"shortcut must be one of {get_args(Shortcut)}; not {shortcut!r}.")
        blocks = (depth - 2) // 6
        self.conv1: nn.Conv2d = _conv3(channels, width, 1)
        self.bn1: nn.BatchNorm2d = nn.BatchNorm2d(width)
        self.layer1: nn.Sequential = _stage(width, width, blocks, 1, shortcut)
        self.layer2: nn.Sequential = _stage(width, 2 * width, blocks, 2, shortcut)
        self.layer3: nn.Sequential = _stage(2 * width, 4 * width, blocks, 2, shortcut)
        self.linear: nn.Linear = nn.Linear(4 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (samples, classes), of images of shape (samples, channels, h, w)."""
        x = F.relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean(dim=(2, 3)))


class _Block(nn.Module):
    """Two 3×3 convolutions, added to the input that took the shortcut."""

    def __init__(self, inside: int, outside: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = _conv3(inside, outside, stride)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = _conv3(outside, outside, 1)
        self.bn2 = nn.BatchNorm2d(outside)
        self.shortcut = _shortcut(inside, outside, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y if self.shortcut is None else y + self.shortcut(x))


class _Padding(nn.Module):
    """Every second pixel, and as many zero channels before the old ones as after them."""

    def __init__(self, stride: int, new: int) -> None:
        super().__init__()
        self.stride, self.new = stride, new

    def forward(self, x: Tensor) -> Tensor:
        """The shrunk and padded images."""
        before = self.new // 2
        small = x[:, :, :: self.stride, :: self.stride]
        return F.pad(small, (0, 0, 0, 0, before, self.new - before))


def resnet(
    data: Data, *, depth: int = 20, width: int = 16, shortcut: Shortcut = "projection"
) -> ResNet:
    """A `ResNet` that fits the shapes of `data`; for the table of models.

    >>> from functools import partial
    >>> small = partial(resnet, depth=8, width=4, shortcut="none")
    """
    channels = data.train[0].shape[1]
    return ResNet(depth, width=width, shortcut=shortcut, classes=data.classes, channels=channels)


def _conv3(inside: int, outside: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)


def _stage(
    inside: int, outside: int, blocks: int, stride: int, shortcut: Shortcut
) -> nn.Sequential:
    first = _Block(inside, outside, stride, shortcut)
    return nn.Sequential(first, *(_Block(outside, outside, 1, shortcut) for _ in range(blocks - 1)))


def _shortcut(inside: int, outside: int, stride: int, kind: Shortcut) -> nn.Module | None:
    if kind == "none":
        return None
    if stride == 1 and inside == outside:
        return nn.Identity()
    if kind == "padding":
        return _Padding(stride, outside - inside)
    convolution = nn.Conv2d(inside, outside, 1, stride=stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outside))
