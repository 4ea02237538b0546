"""What the experiments share: data, training with any optimizer and schedule, measuring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

import landscape as ls
from landscape.objective.metrics import mean_of

SCRATCH = Path("data") / "reproduction"
SEEDS = (0, 1)
TRAIN_IMAGES = 10_000


def data_name() -> str:
    """Fashion-MNIST where it is on this computer, else the embedded digits."""
    try:
        ls.load_task("fashion-mnist/mlp")
    except FileNotFoundError:
        return "digits"
    return "fashion-mnist"


def load(model: str, *, seed: int) -> ls.Task:
    """A model on the first 10,000 training images (or all digits)."""
    task = ls.load_task(f"{data_name()}/{model}", seed=seed)
    return replace(task, train=tuple(t[:TRAIN_IMAGES] for t in task.train))


def objective(task: ls.Task, *, test: bool = False, **options: Any) -> ls.Objective:
    """The task's loss and error on its training (or test) data."""
    data = task.test if test else task.train
    return ls.Objective(task.model, task.loss, data, metrics=task.metrics, **options)


@contextmanager
def recorded(
    optimizer: str, task: ls.Task, *, lr: float, steps: int, batch: int, seed: int
) -> Iterator[ls.Trajectory]:
    """A run recorded at every step, of the task's model; its file is deleted afterwards."""
    run = ls.Run("claims", optimizer, lr=lr, steps=steps, batch_size=batch, seed=seed)
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=SCRATCH) as folder:
        path = ls.record_run(run, Path(folder) / "run.h5", task=task)
        with ls.Trajectory(path) as trajectory:
            yield trajectory


def train(
    task: ls.Task,
    optimizer: torch.optim.Optimizer,
    *,
    steps: int,
    batch: int = 100,
    seed: int = 0,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    after: Callable[[int], None] | None = None,
) -> None:
    """Train the task's model; `after` is called with the number of each finished step."""
    draw = batches(len(task.train[0]), batch, seed)
    task.model.train()
    for step in range(1, steps + 1):
        index = next(draw)
        optimizer.zero_grad()
        mean_of(task.loss(task.model, tuple(t[index] for t in task.train))).backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        if after is not None:
            after(step)


def batches(size: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Index batches without end: a new permutation each epoch."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(size, generator=generator)
        yield from (order[i : i + batch] for i in range(0, size - batch + 1, batch))


def flat(model: torch.nn.Module) -> Tensor:
    """The model's parameters as one vector, copied."""
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])
