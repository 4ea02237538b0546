"""Two spirals: a plane problem that no line can separate (Lang & Witbrock 1988)."""

from __future__ import annotations

import math

import torch

from landscape.tasks.task import Data


def two_spirals() -> Data:
    """2,000 points on two interlocked spirals of one and a half turns; every fifth is a test point.

    Point i of class c lies at radius r = (i + ½)/1000 and angle 3πr + πc, moved by Gaussian noise
    of standard deviation 0.01; the same points at every call.
    """
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(2000) % 2
    radius = (torch.arange(2000) // 2 + 0.5) / 1000
    angle = 3 * math.pi * radius + math.pi * labels
    points = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
    points += 0.01 * torch.randn(points.shape, generator=generator)
    test = torch.arange(2000) // 2 % 5 == 4
    return Data(train=(points[~test], labels[~test]), test=(points[test], labels[test]), classes=2)
