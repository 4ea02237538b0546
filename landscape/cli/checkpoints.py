"""Command that makes a run of checkpoints which already exist."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def import_(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(
            help="Checkpoints (.pt, .pth, .ckpt, .safetensors, checkpoint-*), any order."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The run file to create.")] = Path("data/imported.h5"),
    overwrite: Annotated[bool, typer.Option(help="Replace an existing run.")] = False,
) -> None:
    """Make a run of checkpoints that already exist, in natural order of their names.

    Example:  landscape import checkpoints/epoch_*.pt --out data/mine.h5
    """
    from landscape.recording.imported import import_checkpoints
    from landscape.trajectory import Trajectory

    run = Trajectory(import_checkpoints(checkpoints, out, overwrite=overwrite))
    print(
        f"{out}: {len(run)} states of {run.layout.size:,} parameters, "
        f"steps {run.steps[0]} to {run.steps[-1]}"
    )
