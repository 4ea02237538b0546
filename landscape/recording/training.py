"""Training runs that describe themselves: what `landscape record` does."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from landscape.evaluation.data import HeldData
from landscape.evaluation.metrics import mean_of
from landscape.layout import Layout
from landscape.optim.registry import build, find
from landscape.progress import Progress
from landscape.recording.recorder import Recorder
from landscape.tasks import Task, load_task
from landscape.trajectory import Trajectory


@dataclass(frozen=True)
class Run:
    """Everything that determines a run; stored in its file.

    Attributes:
        task: Task name, see `landscape.tasks.load_task`.
        optimizer: Optimizer name, see `landscape.optim.registry`.
        lr: Learning rate; None takes the optimizer's default.
        steps: Number of optimizer steps.
        batch_size: Samples per step; full-batch optimizers ignore it.
        every: Record every n-th state.
        seed: Seed of initialisation and order of the data.
        name: Name in legends; default: the optimizer's.
    """

    task: str
    optimizer: str
    lr: float | None = None
    steps: int = 400
    batch_size: int = 128
    every: int = 1
    seed: int = 0
    name: str | None = None

    def resolved(self) -> Run:
        """This run with every default filled in.

        Raises:
            ValueError: If the optimizer is unknown or a number is out of range.
        """
        entry = find(self.optimizer)
        for field in ("steps", "batch_size", "every"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} must be at least 1; got {getattr(self, field)}.")
        lr = entry.lr if self.lr is None else self.lr
        if not 0 < lr < float("inf"):
            raise ValueError(f"lr must be positive and finite; got {lr}.")
        values: dict[str, Any] = {"lr": lr, "name": self.name or entry.title}
        return Run(**{**asdict(self), **values})


def record_run(
    run: Run,
    path: str | os.PathLike[str],
    *,
    task: Task | None = None,
    device: str | torch.device = "cpu",
    overwrite: bool = False,
) -> Path:
    """Train as `run` says and record every step.

    The same run on the same machine gives the same file contents, bit for bit.

    Args:
        run: What to do.
        path: The trajectory file to create.
        task: The loaded task; default: `load_task(run.task)`.
        device: Where to train.
        overwrite: Replace an existing file.

    Returns:
        The path of the file.
    """
    run = run.resolved()
    task = task or load_task(run.task, seed=run.seed)
    model = task.model.to(device)
    data = HeldData(task.train, device=torch.device(device))
    size = data.size
    batch_size = size if find(run.optimizer).full_batch else min(run.batch_size, size)
    optimizer = build(run.optimizer, model.parameters(), lr=run.lr)
    order = _Order(size, batch_size, run.seed)
    settings = {**asdict(run), "batch_size": batch_size, "device": str(device)}
    model.train()
    with (
        Recorder(
            path, model, optimizer, every=run.every, run=settings, overwrite=overwrite
        ) as recorder,
        Progress(f"record {run.name}", run.steps, unit="step") as progress,
    ):
        for _ in range(run.steps):
            optimizer.zero_grad()
            loss = mean_of(task.loss(model, data.take(order.next())))
            loss.backward()
            optimizer.step()
            recorder.log(loss=loss)
            progress.advance()
    return Path(path)


def restore(model: torch.nn.Module, trajectory: Trajectory, index: int) -> None:
    """Copy a recorded state, with its buffers, into a model.

    Args:
        model: The model; its trainable parameters and floating-point buffers are overwritten.
        trajectory: Where the state was recorded.
        index: Which state; negative counts from the end.

    Raises:
        ValueError: If the trajectory was recorded from another model.
    """
    for problem in (
        trajectory.layout.differences(Layout.of(model)),
        len(trajectory.buffers_layout)
        and trajectory.buffers_layout.differences(Layout.of_buffers(model)),
    ):
        if problem:
            raise ValueError(f"the recorded tensors are not the model's: {problem}")
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    parts = [(trajectory.layout, trajectory.state(index))]
    buffers = trajectory.buffers(index)
    if buffers is not None:
        parts.append((trajectory.buffers_layout, buffers))
    with torch.no_grad():
        for layout, vector in parts:
            for entry in layout:
                value = torch.from_numpy(vector[entry.slice]).reshape(entry.shape)
                named[entry.name].copy_(value)


class _Order:
    """Batches of indices: a new permutation each epoch, from a generator of its own."""

    def __init__(self, size: int, batch_size: int, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._size, self._batch = size, batch_size
        self._left = torch.empty(0, dtype=torch.long)

    def next(self) -> torch.Tensor:
        if len(self._left) < self._batch:
            self._left = torch.randperm(self._size, generator=self._generator)
        index, self._left = self._left[: self._batch], self._left[self._batch :]
        return index
