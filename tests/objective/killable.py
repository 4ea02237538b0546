"""A small surface whose every point is slow and leaves a trace, to be killed while it is measured.

    python killable.py FOLDER none|processes|ray

keeps its units in FOLDER/units, appends "process α β" to FOLDER/log for every point it measures,
and saves FOLDER/out.h5 at the end.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

import landscape as ls
from landscape.objective.strategies.choice import Choice


class Logged(nn.Module):
    """A linear model that takes its time and says where it is."""

    def __init__(self, log: Path, pause: float) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.log, self.pause = log, pause

    def forward(self, x):
        time.sleep(self.pause)
        alpha, beta = self.linear.bias[0].item(), self.linear.weight[0, 1].item()
        if alpha > 0:  # not the check at the origin
            with open(self.log, "a") as file:
                file.write(f"{os.getpid()} {alpha:.4f} {beta:.4f}\n")
        return self.linear(x)


def classify(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def surface(folder: Path, pause: float, **options) -> ls.Surface:
    """99 points, three to a unit."""
    torch.manual_seed(0)
    data = (torch.randn(20, 2), torch.arange(20) % 3)
    objective = ls.Objective(Logged(folder / "log", pause), classify, data)
    objective.tuning.use(Choice("sequential", 20))  # one call of the model per point
    axes = np.zeros((2, 9), np.float32)
    axes[0, 6], axes[1, 1] = 1.0, 1.0
    plane = ls.plane_through(np.zeros(9, np.float32), *axes)
    return ls.loss_surface(objective, plane, extent=(0.1, 1, -1, 1), resolution=(11, 9), **options)


if __name__ == "__main__":
    torch.set_num_threads(1)
    where = Path(sys.argv[1])
    engine = {"none": None, "processes": ls.Processes(), "ray": ls.RayActors()}[sys.argv[2]]
    surface(where, 0.02, units=where / "units", engine=engine).save(where / "out.h5", "surface")
