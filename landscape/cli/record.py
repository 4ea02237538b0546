"""`landscape record`: train a task and record every step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def record(
    task: Annotated[
        str, typer.Argument(help="data/model, such as digits/mlp; or package.module:function.")
    ],
    optimizer: Annotated[str, typer.Option(help="gd, sgd, momentum, adagrad, adam, radam, ...")],
    lr: Annotated[
        float | None, typer.Option(help="Learning rate; default: the optimizer's.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Optimizer steps.")] = 400,
    batch_size: Annotated[int, typer.Option(help="Samples per step (gd takes all).")] = 128,
    every: Annotated[int, typer.Option(help="Record every n-th state.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of initialization and data order.")] = 0,
    name: Annotated[str | None, typer.Option(help="Name in legends.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to create; default: data/OPTIMIZER.h5.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Train TASK with an optimizer and record the parameters after every step.

    Example: landscape record digits/mlp --optimizer adam --steps 300 --out data/adam.h5
    """
    from landscape.cli.device import chosen_device
    from landscape.recording.training import Run, record_run

    run = Run(task, optimizer, lr, steps, batch_size, every, seed, name).resolved()
    path = out or Path("data") / f"{optimizer}.h5"
    record_run(run, path, device=chosen_device(device), overwrite=overwrite)
    typer.echo(f"{path}: {run.steps} steps of {run.name} on {task}, lr {run.lr:g}")


COMMANDS = [record]
