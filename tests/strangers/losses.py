"""Losses that strangers write."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from strangers.situation import Verdict, measures, situation


@situation("losses", "cross-entropy, one value per sample")
def cross_entropy_of_samples(folder: Path) -> Verdict:
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    x, y = torch.randn(48, 5), torch.randint(3, (48,))

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return F.cross_entropy(model(batch[0]), batch[1], reduction="none")

    return measures(model, loss, (x, y), loss(model, (x, y)).mean())
