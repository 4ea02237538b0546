"""Training runs that describe themselves: what `landscape record` does."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from landscape.evaluation.data import HeldData
from landscape.layout import Layout
from landscape.optim.average import WeightAverage
from landscape.optim.evaluated import evaluated_weights
from landscape.optim.hyperparameters import check_options
from landscape.optim.registry import build, find
from landscape.progress import Progress
from landscape.recording.gradient import gradient_closure
from landscape.recording.recorder import Recorder
from landscape.recording.snapshot import Evaluation
from landscape.schedules import build_schedule, ramped_batch, scaled_lr
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
        options: Further arguments of the optimizer.
        schedule: Learning-rate schedule, see `landscape.schedules`.
        schedule_options: Its arguments.
        final_batch_size: Let the batch double in equal stretches up to this size.
        base_batch_size: The batch size that `lr` is meant for: `lr` is scaled linearly from
            there to `batch_size`.
        average: ``swa`` or ``ema``: also record a running average of the weights, see
            `landscape.optim.average`; training does not notice it.
        average_options: Its arguments.
        evaluation: Also record the weights to evaluate where these are not the stepped ones
            (averages, slow weights); it doubles the size of such files.
        gradient_histogram: Also count the sizes of the gradient's entries at every step.
        threads: Processor threads of torch, on which the last bits depend; None takes the present
            number.
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
    average: str | None = None
    average_options: Mapping[str, Any] = field(default_factory=dict)
    evaluation: bool = True
    gradient_histogram: bool = False
    threads: int | None = None

    def resolved(self) -> Self:
        """This run with every default filled in.

        Raises:
            ValueError: If the optimizer is unknown or a number is out of range.
        """
        entry = find(self.optimizer)
        for name in (
            "steps",
            "batch_size",
            "every",
            "final_batch_size",
            "base_batch_size",
            "threads",
        ):
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
            threads=self.threads or torch.get_num_threads(),
        )

    @classmethod
    def stored(cls, path: str | os.PathLike[str], *, task: str | None = None) -> Self:
        """The run that a trajectory file says it holds; recording it again gives the same file.

        Args:
            path: A file that `record_run` made.
            task: Its task once more; needed for ``package.module:function``, since a file never
                decides which code is imported.

        Raises:
            ValueError: If the file was not made by `record_run`, or holds another task.
        """
        settings = Trajectory(path).run
        known = {f.name for f in dataclasses.fields(cls)}
        if not {"task", "optimizer", "lr"} <= set(settings):
            raise ValueError(
                f"{path} does not say which task and optimizer it was recorded with; only runs of "
                "`landscape record` can be repeated."
            )
        said = str(settings["task"])
        if task is None and ":" in said:
            raise ValueError(f"{path} says task {said!r}; name it again to run your own code.")
        if task not in (None, said):
            raise ValueError(f"{path} says task {said!r}, not {task!r}.")
        try:
            return cls(**{k: v for k, v in settings.items() if k in known}).resolved()
        except TypeError as error:
            raise ValueError(
                f"{path} stores settings of a run that make no sense: {error}"
            ) from error


def record_run(
    run: Run,
    path: str | os.PathLike[str],
    *,
    task: Task | None = None,
    device: str | torch.device = "cpu",
    overwrite: bool = False,
) -> Path:
    """Train as `run` says and record every step.

    The same run on the same machine gives the same states and numbers, bit for bit.

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
    average = None
    if run.average is not None:
        check_options(f"average {run.average}", run.average_options, ("start", "decay"))
        trained = [p for p in model.parameters() if p.requires_grad]
        average = WeightAverage(run.average, trained, **run.average_options)
    order = _Order(data.size, run.seed)
    settings = {
        **asdict(run),
        "batch_size": batch_size,
        "device": str(device),
        "train_samples": data.size,
    }
    model.train()
    with (
        _conditions(run, torch.device(device)),
        Recorder(
            path,
            model,
            optimizer,
            every=run.every,
            run=settings,
            overwrite=overwrite,
            evaluation=_evaluation(run, optimizer, average),
            gradient_histogram=run.gradient_histogram,
        ) as recorder,
        Progress(f"record {run.name}", run.steps, unit="step") as progress,
    ):
        for step in range(run.steps):
            if run.final_batch_size is not None and not entry.full_batch:
                batch_size = ramped_batch(
                    step, steps=run.steps, start=run.batch_size, end=run.final_batch_size
                )
            closure = gradient_closure(
                task.loss, model, data.take, order.next(batch_size), optimizer
            )
            if entry.closure:
                loss = optimizer.step(closure)
            else:
                loss = closure()
                optimizer.step()
            recorder.log(loss=loss)
            if average is not None:
                average.update()
            if scheduler is not None:
                scheduler.step()
            progress.advance()
    return Path(path)


def _evaluation(
    run: Run, optimizer: torch.optim.Optimizer, average: WeightAverage | None
) -> Evaluation | None:
    """Where the recorder finds the weights to evaluate, if they are not the model's."""
    if not run.evaluation:
        return None
    if average is not None:
        return average.weights
    if find(run.optimizer).evaluation:
        return lambda: evaluated_weights(optimizer)
    return None


@contextlib.contextmanager
def _conditions(run: Run, device: torch.device) -> Iterator[None]:
    """The number of threads and the random generators (of dropout) that a run is made with."""
    before = torch.get_num_threads()
    torch.set_num_threads(run.threads or before)
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(run.seed)
            yield
    finally:
        torch.set_num_threads(before)


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
