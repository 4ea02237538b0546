"""`landscape diagnose`: what stands out in a run."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from landscape.cli.options import measuring as inputs
from landscape.cli.options.measuring import Device, Measuring, Out, Runs
from landscape.cli.options.records import expanded


@expanded
def diagnose(
    runs: Runs,
    sharpness: Annotated[
        bool,
        typer.Option("--sharpness", help="Also measure the sharpness at the end of each run."),
    ] = False,
    measuring: Measuring = Measuring(),
    device: Device = "auto",
    out: Out = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same for programs.")] = False,
) -> None:
    """Say what stands out in a run: each finding with its number, threshold and what to try.

    From what the recorder measured at every step; nothing is trained, and nothing measured anew
    but with --sharpness, which needs the runs' task.

    Example: landscape diagnose data/adam.h5
    """
    trajectories = inputs.open_runs(runs)
    path = inputs.results_path(trajectories, out)
    from landscape.analysis.diagnosis import diagnose as look

    told = {}
    for run in trajectories:
        objective = measuring.objective([run], device=device) if sharpness else None
        found = look(run, objective)
        found.save(path, f"diagnosis/{inputs.run_key(run)}")
        told[inputs.run_key(run)] = found.as_dict()
        if as_json:
            continue
        typer.echo(f"{run.path}: {run.name}, {run.updates} steps")
        for sentence in found.sentences():
            typer.echo(f"  {sentence}")
    typer.echo(json.dumps(told, indent=1) if as_json else f"next: landscape plot {path}")


COMMANDS = {"diagnose": diagnose}
