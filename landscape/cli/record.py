"""`landscape record`: train a task and record every step."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

from landscape.base.runs.trajectory import Trajectory
from landscape.cli import names
from landscape.cli.checks import check_data_file, check_there
from landscape.cli.options.measuring import Device
from landscape.cli.options.records import expanded

if TYPE_CHECKING:
    from landscape.training.run import Run

Settings = Annotated[
    list[str] | None, typer.Option(metavar="KEY=VALUE", help="Argument of it; may be repeated.")
]


@dataclass(frozen=True)
class Training:
    """How a task is trained; what `Run` is made of."""

    option: Settings = None
    lr: Annotated[
        float | None,
        typer.Option("--lr", "--learning-rate", help="Learning rate; default: the optimizer's."),
    ] = None
    schedule: Annotated[
        Literal["constant", "warmup", "cosine", "trapezoid", "step", "range", "one-cycle"],
        typer.Option(help="Learning-rate schedule.", case_sensitive=False),
    ] = "constant"
    schedule_option: Settings = None
    steps: Annotated[int, typer.Option("--steps", help="Optimizer steps.")] = 400
    batch_size: Annotated[int, typer.Option(help="Samples per step (gd takes all).")] = 128
    final_batch_size: Annotated[
        int | None, typer.Option(help="Let the batch double up to this size.")
    ] = None
    base_batch_size: Annotated[
        int | None, typer.Option(help="Scale --lr linearly from this batch size.")
    ] = None
    average: Annotated[
        Literal["swa", "ema"] | None,
        typer.Option(help="Also record a running average.", case_sensitive=False),
    ] = None
    average_option: Settings = None
    gradient_histogram: Annotated[
        bool, typer.Option("--gradient-histogram", help="Count sizes of the gradient's entries.")
    ] = False
    optimizer_state: Annotated[
        bool,
        typer.Option("--optimizer-state", help="Also the second moments (Adam, RMSprop, ...)."),
    ] = False
    every: Annotated[int, typer.Option(help="Record every n-th state.")] = 1
    seed: Annotated[int, typer.Option(help="Seed of initialization and data order.")] = 0
    name: Annotated[str | None, typer.Option(help="Name in legends.")] = None

    def run(self, task: str, optimizer: str) -> Run:
        """The run of a task with an optimizer."""
        from landscape.training.run import Run

        given = asdict(self)
        for name in ("option", "schedule_option", "average_option"):
            given[f"{name}s"] = _settings(given.pop(name))
        return Run(task, optimizer, **given)


@expanded
def record(
    context: typer.Context,
    task: Annotated[
        str | None,
        typer.Argument(
            help="data/model, such as digits/mlp; or package.module:function.",
            autocompletion=names.tasks,
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(
            help="adam (the default), sgd, lookahead-adam, ...; see `landscape list`.",
            autocompletion=names.optimizers,
        ),
    ] = None,
    training: Training = Training(),
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to create; default: data/OPTIMIZER.h5."),
    ] = None,
    again: Annotated[
        Path | None, typer.Option("--from", help="Repeat the run that this file holds.")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the interrupted recording in this file.")
    ] = None,
    device: Device = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Train TASK with an optimizer and record the parameters after every step.

    --resume FILE repeats the training without writing up to the last recorded state, checks that it
    is reached bit for bit, and records the rest.

    Example: landscape record digits/mlp --optimizer adam --steps 300 --out data/adam.h5
    """
    if not (task or again or resume):
        raise ValueError(
            "give TASK, such as digits/mlp (and --optimizer, else adam), or --from FILE, or "
            "--resume FILE."
        )
    optimizer = (optimizer or "adam").lower() if task and not (again or resume) else optimizer
    _check(task, optimizer, out, resume or again, overwrite)
    from landscape.training.run import Run

    if resume is not None:
        _refuse_others(context, "--resume", {"task", "resume", "device"})
        run, out = Run.stored(resume, task=task), resume
    elif again is not None:
        _refuse_others(context, "--from", {"task", "again", "out", "device", "overwrite"})
        run = Run.stored(again, task=task)
        out = out or again.with_name(f"{again.stem}-again.h5")
    else:
        run = training.run(str(task), str(optimizer))
    run.checked_lr()
    from landscape.cli.options.device import chosen_device
    from landscape.training.loop import record_run

    run = run.resolved()
    path = out or Path("data") / f"{run.optimizer}.h5"
    record_run(
        run,
        path,
        device=chosen_device(device),
        overwrite=overwrite,
        resume=resume is not None,
    )
    typer.echo(
        f"{path}: {run.steps} steps of {run.name} on {run.task}, lr {run.lr:g}; "
        f"{said_of_loss(Trajectory(path).scalars.get('loss', np.zeros(0)))}"
    )
    named = f" --task {run.task}" if ":" in run.task else ""
    typer.echo(f"next: landscape surface {path}{named}")


def said_of_loss(losses: np.ndarray) -> str:
    """How the recorded loss went, and whether it ran away.

    >>> said_of_loss(np.array([2.31, 2.0, 9.2e9]))
    'loss 2.31 → 9.2e+09: diverged'
    >>> said_of_loss(np.array([2.31, 0.4]))
    'loss 2.31 → 0.4'
    """
    if not len(losses):
        return "no loss was recorded"
    ends = f"loss {losses[0]:.3g} → {losses[-1]:.3g}"
    if not np.isfinite(losses[-1]) or losses[-1] > 10 * abs(losses[0]) + 1:
        return f"{ends}: diverged"
    return f"{ends}: rises" if losses[-1] > losses[0] else ends


def _check(
    task: str | None, optimizer: str | None, out: Path | None, stored: Path | None, overwrite: bool
) -> None:
    """What can be refused without torch."""
    from landscape.base.runs.tables import refuse_existing
    from landscape.optim.registry import find

    if task is not None:
        names.check_task(task)
    if optimizer is not None:
        find(optimizer)
    check_data_file(out, "A run")
    if stored is not None:
        check_there([stored])
    elif optimizer is not None and not overwrite:
        refuse_existing(out or Path("data") / f"{optimizer}.h5")


def _refuse_others(context: typer.Context, option: str, allowed: set[str]) -> None:
    given = {name for name in context.params if _given(context, name)}
    if extra := sorted("from" if name == "again" else name for name in given - allowed):
        raise ValueError(
            f"{option} FILE already says how to train; leave out "
            + ", ".join(f"--{name.replace('_', '-')}" for name in extra)
            + "."
        )


def _given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _settings(given: list[str] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in given or []:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ValueError(f"options are KEY=VALUE, such as k=10 or momentum=0.9; not {text!r}.")
        try:
            found[key] = json.loads(value)
        except json.JSONDecodeError:
            found[key] = value
    return found


COMMANDS = {"record": record}
