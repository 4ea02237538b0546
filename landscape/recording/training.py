"""Training runs that describe themselves: what `landscape record` does."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from landscape.evaluation.data import HeldData
from landscape.evaluation.metrics import mean_of
from landscape.optim.registry import build, find
from landscape.progress import Progress
from landscape.recording.recorder import Recorder
from landscape.schedules import build_schedule, ramped_batch, scaled_lr
from landscape.tasks import Task, load_task
from landscape.trajectory import Trajectory

PASS = 10_000  # samples per forward pass; more are summed up


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
        options: Further arguments of the optimizer.
        schedule: Learning-rate schedule, see `landscape.schedules`.
        schedule_options: Its arguments.
        final_batch_size: Let the batch double in equal stretches up to this size.
        base_batch_size: The batch size that `lr` is meant for: `lr` is scaled linearly from
            there to `batch_size`.
    """

    task: str
    optimizer: str
    lr: float | None = None
    steps: int = 400
    batch_size: int = 128
    every: int = 1
    seed: int = 0
    name: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    schedule: str = "constant"
    schedule_options: Mapping[str, Any] = field(default_factory=dict)
    final_batch_size: int | None = None
    base_batch_size: int | None = None

    def resolved(self) -> Run:
        """This run with every default filled in.

        Raises:
            ValueError: If the optimizer is unknown or a number is out of range.
        """
        entry = find(self.optimizer)
        for name in ("steps", "batch_size", "every", "final_batch_size", "base_batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1; got {value}.")
        if self.final_batch_size is not None and self.final_batch_size < self.batch_size:
            raise ValueError(
                f"final_batch_size must be at least batch_size, {self.batch_size}; got "
                f"{self.final_batch_size}."
            )
        lr = entry.lr if self.lr is None else self.lr
        if not 0 < lr < float("inf"):
            raise ValueError(f"lr must be positive and finite; got {lr}.")
        if self.base_batch_size is not None:
            lr = scaled_lr(lr, batch_size=self.batch_size, base=self.base_batch_size)
        return dataclasses.replace(
            self,
            lr=lr,
            name=self.name or entry.title,
            options={**entry.options, **self.options},
            base_batch_size=None,
        )

    @classmethod
    def stored(cls, path: str | os.PathLike[str]) -> Self:
        """The run that a trajectory file says it holds; recording it again gives the same file.

        Raises:
            ValueError: If the file was not made by `record_run`.
        """
        settings = Trajectory(path).run
        known = {f.name for f in dataclasses.fields(cls)}
        if not {"task", "optimizer", "lr"} <= set(settings):
            raise ValueError(
                f"{path} does not say which task and optimizer it was recorded with; only runs of "
                "`landscape record` can be repeated."
            )
        return cls(**{key: value for key, value in settings.items() if key in known})


def record_run(
    run: Run,
    path: str | os.PathLike[str],
    *,
    task: Task | None = None,
    device: str | torch.device = "cpu",
    overwrite: bool = False,
) -> Path:
    """Train as `run` says and record every step.

    The same run on the same machine with the same number of threads gives the same file
    contents, bit for bit.

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
    entry = find(run.optimizer)
    model = task.model.to(device)
    data = HeldData(task.train, device=torch.device(device))
    batch_size = data.size if entry.full_batch else min(run.batch_size, data.size)
    optimizer = build(run.optimizer, model.parameters(), lr=run.lr, options=run.options)
    scheduler = None
    if run.schedule != "constant":
        scheduler = build_schedule(
            run.schedule, optimizer, steps=run.steps, options=run.schedule_options
        )
    order = _Order(data.size, run.seed)
    settings = {
        **asdict(run),
        "batch_size": batch_size,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "train_samples": data.size,
    }
    model.train()
    with (
        Recorder(
            path, model, optimizer, every=run.every, run=settings, overwrite=overwrite
        ) as recorder,
        Progress(f"record {run.name}", run.steps, unit="step") as progress,
    ):
        for step in range(run.steps):
            if run.final_batch_size is not None and not entry.full_batch:
                batch_size = ramped_batch(
                    step, steps=run.steps, start=run.batch_size, end=run.final_batch_size
                )
            closure = _closure(task, model, data, order.next(batch_size), optimizer)
            if entry.closure:
                loss = optimizer.step(closure)
            else:
                loss = closure()
                optimizer.step()
            recorder.log(loss=loss)
            if scheduler is not None:
                scheduler.step()
            progress.advance()
    return Path(path)


def _closure(
    task: Task,
    model: torch.nn.Module,
    data: HeldData,
    index: Tensor,
    optimizer: torch.optim.Optimizer,
) -> Callable[[], Any]:
    """The mean loss over the samples `index`, with its gradients in ``p.grad``."""

    def whole() -> Tensor:
        optimizer.zero_grad()
        loss = mean_of(task.loss(model, data.take(index)))
        loss.backward()
        return loss.detach()

    def in_parts() -> Tensor:
        optimizer.zero_grad()
        parts = []
        for part in index.split(PASS):
            total, weight = _sum_and_weight(task.loss(model, data.take(part)), len(part))
            total.backward()
            parts.append(torch.stack([total.detach(), weight.to(total)]))
        total, weight = torch.stack(parts).sum(0)
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.div_(weight)
        return total / weight

    return whole if len(index) <= PASS else in_parts


def _sum_and_weight(value: Any, samples: int) -> tuple[Tensor, Tensor]:
    """A metric's return value as a sum and what to divide it by."""
    if isinstance(value, tuple):
        total, weight = value
        return total.sum(), torch.as_tensor(weight).sum()
    if value.ndim == 0:
        return value * samples, torch.tensor(samples)
    return value.sum(), torch.tensor(len(value))


class _Order:
    """Batches of indices: a new permutation each epoch, from a generator of its own."""

    def __init__(self, size: int, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._size = size
        self._left = torch.empty(0, dtype=torch.long)

    def next(self, batch: int) -> Tensor:
        batch = min(batch, self._size)
        if len(self._left) < batch:
            self._left = torch.randperm(self._size, generator=self._generator)
        index, self._left = self._left[:batch], self._left[batch:]
        return index
