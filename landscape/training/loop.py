"""Training runs that describe themselves: what `landscape record` does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from landscape.base.files import expanded
from landscape.base.progress import Progress
from landscape.objective.data.held import HeldData
from landscape.optim.average import WeightAverage
from landscape.optim.evaluated import evaluated_weights
from landscape.optim.hyperparameters import check_options
from landscape.optim.registry import build, find
from landscape.recording.recorder import Recorder
from landscape.recording.snapshot import Evaluation
from landscape.tasks import Task, load_task
from landscape.training.checked_steps import CheckedSteps
from landscape.training.closure import gradient_closure
from landscape.training.run import Run, recorded_steps
from landscape.training.schedules import build_schedule, ramped_batch


def record_run(
    run: Run,
    path: str | os.PathLike[str],
    *,
    task: Task | None = None,
    device: str | torch.device = "cpu",
    overwrite: bool = False,
    resume: bool = False,
) -> Path:
    """Train as `run` says and record every step.

    The same run on the same machine gives the same states and numbers, bit for bit. That is how
    an interrupted recording is resumed: a file holds no optimizer, so the training is repeated,
    without writing, up to the last recorded state, which it must reach bit for bit, and recorded
    from there. (Only the first cosine between gradients after that is unknown.)

    Args:
        run: What to do.
        path: The trajectory file to create.
        task: The loaded task; default: `load_task(run.task)`.
        device: Where to train.
        overwrite: Replace an existing file.
        resume: Go on with an interrupted recording of this run; one that is complete is kept, and
            where there is no file one is made.

    Returns:
        The path of the file.

    Raises:
        ValueError: If the file holds another run, the training does not come to its states, or the
            optimizer fails, which a training that diverges is not; see `CheckedSteps`.

    >>> import landscape as ls
    >>> file = ls.record_run(ls.Run("function/rosenbrock", "adam", lr=0.1, steps=4), "adam.h5")
    >>> len(ls.Trajectory(file))
    5
    """
    run, path = run.resolved(), expanded(path)
    done = recorded_steps(path, run) if resume and path.exists() else 0
    if done is None:
        return path
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
    average = _average(run, model)
    steps = CheckedSteps(run.optimizer, optimizer, model, needs_closure=entry.closure)
    order = _Order(data.size, run.seed)
    told = {"batch_size": batch_size, "device": str(device), "train_samples": data.size}
    model.train()
    recorder = Recorder(
        path,
        model,
        optimizer,
        every=run.every,
        run={**asdict(run), **told},
        overwrite=overwrite,
        steps=run.steps,
        resume=done if resume else False,
        evaluation=_evaluation(run, optimizer, average),
        gradient_histogram=run.gradient_histogram,
        optimizer_state=run.optimizer_state,
    )
    with (
        _conditions(run, torch.device(device)),
        contextlib.ExitStack() as opened,
        Progress(f"record {run.name}", run.steps, unit="step") as progress,
    ):
        for step in range(run.steps):
            if step == done:
                opened.push(_begun(recorder, step))
            if run.final_batch_size is not None and not entry.full_batch:
                batch_size = ramped_batch(
                    step, steps=run.steps, start=run.batch_size, end=run.final_batch_size
                )
            closure = gradient_closure(
                task.loss, model, data.take, order.next(batch_size), optimizer
            )
            loss = steps.step(closure)
            if step >= done:
                recorder.log(loss=loss)
            if average is not None:
                average.update()
            if scheduler is not None:
                scheduler.step()
            progress.advance()
        steps.check()
        if done == run.steps:  # only its end is missing
            opened.push(_begun(recorder, done))
    return path


def _begun(recorder: Recorder, step: int) -> Recorder:
    try:
        return recorder.start()
    except ValueError as error:
        if not step:
            raise
        raise ValueError(
            f"{recorder.path} cannot be resumed: repeated up to step {step}, the training does not "
            f"come to what was recorded ({error})"
        ) from error


def _average(run: Run, model: nn.Module) -> WeightAverage | None:
    if run.average is None:
        return None
    check_options(f"average {run.average}", run.average_options, ("start", "decay"))
    trained = [p for p in model.parameters() if p.requires_grad]
    return WeightAverage(run.average, trained, **run.average_options)


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
