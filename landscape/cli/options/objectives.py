"""The objective that the options of a command describe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from landscape.base.files import SchemaError
from landscape.base.runs.trajectory import Trajectory

if TYPE_CHECKING:
    from landscape.objective.objective import Objective
    from landscape.tasks import Task


def build_objective(
    runs: Sequence[Trajectory],
    task: str | None,
    *,
    split: str,
    device: str,
    seed: int,
    samples: int | None,
    precision: str | None,
    batch_norm: str,
) -> Objective:
    """Rebuild model and data from what the first run's file recorded.

    The model gets the first run's final state, so frozen batch-norm statistics are its own. A
    file never decides which code is imported: only tasks that ship with this package are rebuilt
    by name; the user names any other with ``--task``.
    """
    from landscape.recording.restore import restore
    from landscape.tasks import load_task

    run = runs[0]
    name = task or str(run.run.get("task", ""))
    if not task and (not name or ":" in name):
        if name:
            raise ValueError(
                f"{run.path} says task {name!r}, and no file decides which code is run: pass "
                f"--task {name} if that is yours."
            )
        raise ValueError(
            f"{run.path} does not say its task; pass --task package.module:function to run your "
            "own code, or --task data/model."
        )
    for other in runs[1:] if not task else ():
        if other.run.get("task") != name:
            raise ValueError(
                f"{other.path} says task {other.run.get('task')!r}, {run.path} {name!r}: one model "
                "and data set cannot measure both. Measure them apart, or name one with --task."
            )
    loaded = load_task(name, seed=int(run.run.get("seed", 0)))
    try:
        restore(loaded.model, run, -1)
    except ValueError as error:
        raise SchemaError(f"{run.path} was not recorded from {name}: {error}") from error
    return _objective(
        loaded, name, split=split, device=device, seed=seed, samples=samples,
        precision=precision, batch_norm=batch_norm,
    )  # fmt: skip


def objective_of_texts(
    runs: Sequence[Trajectory], model: Path, text: Path, tokens: int | None, **chosen: Any
) -> Objective:
    """The objective of a language model on a text, at the end of the first run if there is one.

    Args:
        runs: Of that model, or none.
        model: Its folder.
        text: What it reads.
        tokens: In a sequence.
        **chosen: As for `build_objective`.
    """
    from landscape.recording.restore import restore
    from landscape.tasks.language import language_task

    loaded = language_task(model, text, length=tokens)
    for run in runs[:1]:
        try:
            restore(loaded.model, run, -1)
        except ValueError as error:
            raise SchemaError(f"{run.path} was not recorded from {model}: {error}") from error
    return _objective(loaded, f"{model.name} on {text.name}", **chosen)


def objective_of_checkpoint(
    checkpoint: Path, task: str | None, key: str | None, **chosen: Any
) -> Objective:
    """The objective at one trained network: the task's model with the checkpoint's tensors.

    Args:
        checkpoint: What `load_state` reads.
        task: Name of the task.
        key: Which state dict, where the checkpoint holds several.
        **chosen: As for `build_objective`.
    """
    from landscape.exchange.checkpoints.content import fill
    from landscape.exchange.checkpoints.state import load_state
    from landscape.tasks import load_task

    if task is None:
        raise ValueError(
            f"{checkpoint} does not say its task; pass --task package.module:function to run your "
            "own code, or --task data/model."
        )
    loaded = load_task(task, seed=0)
    try:
        fill(loaded.model, load_state(checkpoint, key=key))
    except ValueError as error:
        raise ValueError(f"{checkpoint} cannot be measured with {task}: {error}") from error
    return _objective(loaded, task, **chosen)


def _objective(
    loaded: Task,
    name: str,
    *,
    split: str,
    device: str,
    seed: int,
    samples: int | None,
    precision: str | None,
    batch_norm: str,
) -> Objective:
    from landscape.cli.options.device import chosen_device
    from landscape.objective.objective import Objective

    data = {"train": loaded.train, "test": loaded.test}.get(split)
    if data is None:
        raise ValueError(f"data must be train or test; not {split!r} (or {name} has no such data).")
    found = Objective(
        loaded.model.to(chosen_device(device)),
        loaded.loss,
        data,
        metrics=loaded.metrics,
        precision=precision,  # pyright: ignore[reportArgumentType]
        batch_norm=batch_norm,  # pyright: ignore[reportArgumentType]
        samples=samples,
        seed=seed,
        settings={"task": name, "data": split},
    )
    if samples is not None and samples > found.data.size:
        typer.echo(f"all {found.data.size:,} samples (asked for {samples:,})", err=True)
    return found
