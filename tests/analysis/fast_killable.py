"""A surface with a tolerance that kills its own process at some call of the loss.

python fast_killable.py FOLDER CALL
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

import landscape as ls


@dataclass
class Measured:
    """The surface, and how often its loss was called."""

    surface: ls.Surface
    calls: int


class Point(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(2))


def measure(folder: Path, *, kill_at: int | None) -> Measured:
    """Measure with units in a folder; the same data in every process."""
    calls = 0

    def bowl(model, batch):
        nonlocal calls
        calls += 1
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return (model.theta - batch).square().sum(1)

    data = 0.7 * torch.randn(12_000, 2, generator=torch.Generator().manual_seed(0))
    objective = ls.Objective(Point(), bowl, data, strategy="sequential", batch_size=4096)
    axes = np.eye(2, dtype=np.float32)
    plane = ls.plane_through(np.zeros(2, np.float32), *axes)
    surface = ls.loss_surface(objective, plane, resolution=13, tolerance=0.02, units=folder)
    return Measured(surface, calls)


if __name__ == "__main__":
    torch.set_num_threads(1)
    measure(Path(sys.argv[1]), kill_at=int(sys.argv[2]))
