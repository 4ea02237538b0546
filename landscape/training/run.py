"""Run: everything that determines a training run, as its file stores it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from landscape.base.runs.trajectory import NoStateError, Trajectory
from landscape.base.shown import brief, short
from landscape.optim.registry import find
from landscape.training.schedules import factor_of, scaled_lr


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
        schedule: Learning-rate schedule, see `landscape.training.schedules`.
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
        optimizer_state: Also record the optimizer's second moments, for `curvature_path`; as large
            as the parameters.
        threads: Processor threads of torch, on which the last bits depend; None takes the present
            number.

    >>> import landscape as ls
    >>> ls.Run("digits/mlp", "adam", steps=300).optimizer
    'adam'
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
    optimizer_state: bool = False
    threads: int | None = None

    def __repr__(self) -> str:
        default = {field.name: field.default for field in dataclasses.fields(self)}
        given = {name: getattr(self, name) for name in default}
        said = {k: v for k, v in given.items() if v != default[k] and v != {}}
        return short("Run", *(f"{name}={brief(value)}" for name, value in said.items()))

    def resolved(self) -> Self:
        """This run with every default filled in.

        Raises:
            ValueError: If a name is unknown or a number is out of range.
        """
        import torch  # what can be refused is refused before it is loaded

        entry, lr = find(self.optimizer), self.checked_lr()
        return dataclasses.replace(
            self,
            lr=lr,
            name=self.name or entry.title,
            options={**entry.options, **self.options},
            base_batch_size=None,
            threads=self.threads or torch.get_num_threads(),
        )

    def checked_lr(self) -> float:
        """The learning rate, once all names and numbers of this run are known to be good.

        Raises:
            ValueError: If a name is unknown or a number is out of range.
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
        factor_of(self.schedule, self.steps, self.schedule_options)
        return lr

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


def recorded_steps(path: str | os.PathLike[str], run: Run) -> int | None:
    """How many steps of `run` an interrupted recording need not record again.

    Returns:
        The step of the last state at which recording can go on; None when the file is complete.

    Raises:
        ValueError: If the file holds another run.
    """
    try:
        trajectory = Trajectory(path)
    except NoStateError:
        return 0
    with trajectory:
        stored, wanted = asdict(Run.stored(path, task=run.task)), asdict(run)
        if find(run.optimizer).full_batch:
            wanted["batch_size"] = stored["batch_size"]
        other = [name for name in wanted if wanted[name] != stored[name]]
        if other:
            name = other[0]
            raise ValueError(
                f"{path} holds a run with {name}={stored[name]!r}, not {wanted[name]!r}; resume "
                "that run, or record to a new file."
            )
        if trajectory.complete:
            return None
        return int(trajectory.steps[trajectory.steps % run.every == 0][-1])
