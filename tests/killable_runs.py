"""A walk, a line and a projection whose every point is slow, to be killed while they are measured.

    python killable_runs.py FOLDER none|processes|ray

keeps units in FOLDER/KIND, appends a line with the process to FOLDER/KIND.log for every pass of the
model, and saves FOLDER/out.h5 at the end.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from synthetic import write_run
from torch import nn

import landscape as ls
from landscape.objective.strategies.choice import Choice

KINDS = ("walk", "line", "projection")
STATES = 34


class Logged(nn.Module):
    """A linear model that takes its time and says who asked."""

    def __init__(self, log: Path, pause: float) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.log, self.pause = log, pause

    def forward(self, x):
        time.sleep(self.pause)
        with open(self.log, "a") as file:
            file.write(f"{os.getpid()}\n")
        return self.linear(x)


def classify(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def run_in(folder: Path) -> ls.Trajectory:
    path = folder / "run.h5"
    if path.exists():
        return ls.Trajectory(path)
    states = 0.1 * np.random.default_rng(0).normal(size=(STATES, 9)).cumsum(axis=0)
    return write_run(path, states.astype(np.float32), layout=ls.Layout.of(Logged(path, 0.0)))


def measured(kind: str, folder: Path, pause: float, **options):
    """One of the three."""
    torch.manual_seed(0)
    data = (torch.randn(20, 2), torch.arange(20) % 3)
    some = 15 if kind == "walk" else None  # whose errors have something in common
    objective = ls.Objective(Logged(folder / f"{kind}.log", pause), classify, data, samples=some)
    objective.tuning.use(Choice("sequential", 20))  # one pass of the model per point
    run = run_in(folder)
    if kind == "walk":
        return ls.walk(objective, run, points=3, **options)
    if kind == "line":
        line = ls.line_between(run.initial, run.final)
        return ls.loss_line(objective, line, resolution=66, **options)
    plane = ls.plane_through(run.state(0), run.state(20), run.state(33))
    return ls.project(run, plane, objective=objective, **options)


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, engine = Path(sys.argv[1]), sys.argv[2]
    engines = {"none": lambda: None, "processes": ls.Processes, "ray": ls.RayActors}
    for kind in KINDS:
        found = measured(kind, folder, 0.02, units=folder / kind, engine=engines[engine]())
        found.save(folder / "out.h5", kind)
