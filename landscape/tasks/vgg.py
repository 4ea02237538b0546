"""VGG networks for images of CIFAR size (Simonyan & Zisserman 2015, arXiv:1409.1556)."""

from __future__ import annotations

from torch import nn

from landscape.tasks.task import Data

# Channels of the 3×3 convolutions; one tuple per resolution.
STAGES: dict[int, tuple[tuple[int, ...], ...]] = {
    9: ((64, 64), (128, 128), (256, 256, 256)),
    11: ((64,), (128,), (256, 256), (512, 512), (512, 512)),
}


def vgg(data: Data, *, depth: int = 11, batch_norm: bool = True) -> nn.Module:
    """3×3 convolutions with ReLU, halved by 2×2 max pooling, then linear layers.

    Depth 9 is the network of Li et al. 2018 (arXiv:1712.09913): one hidden linear layer of 256;
    depth 11 reads the last image with a single linear layer, as is usual for CIFAR-10.

    Args:
        data: Gives the shape of the images and the number of classes.
        depth: 9 or 11.
        batch_norm: Batch norm after every convolution and hidden linear layer.
    """
    _, channels, _, size = data.train[0].shape
    layers: list[nn.Module] = []
    for stage in STAGES[depth]:
        for width in stage:
            layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=not batch_norm))
            layers += [nn.BatchNorm2d(width)] if batch_norm else []
            layers.append(nn.ReLU())
            channels = width
        layers.append(nn.MaxPool2d(2, ceil_mode=True))
        size = (size + 1) // 2
    layers.append(nn.Flatten())
    inputs = channels * size * size
    if depth == 9:
        layers.append(nn.Linear(inputs, channels, bias=not batch_norm))
        layers += [nn.BatchNorm1d(channels)] if batch_norm else []
        layers.append(nn.ReLU())
        inputs = channels
    model = nn.Sequential(*layers, nn.Linear(inputs, data.classes))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return model
