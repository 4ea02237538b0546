"""`landscape diagnose`: what stands out in a run."""

from __future__ import annotations

import typer

from landscape.cli.options import measuring as inputs
from landscape.cli.options.measuring import Out, Runs


def diagnose(runs: Runs, out: Out = None) -> None:
    """Say what stands out in a run: each finding with its number, threshold and what to try.

    From what the recorder measured at every step; nothing is trained or measured anew.

    Example: landscape diagnose data/adam.h5
    """
    from landscape.analysis.diagnosis import diagnose as look

    trajectories = inputs.open_runs(runs)
    path = inputs.results_path(trajectories, out)
    for run in trajectories:
        found = look(run)
        found.save(path, f"diagnosis/{inputs.run_key(run)}")
        typer.echo(f"{run.path}: {run.name}, {run.updates} steps")
        for sentence in found.sentences():
            typer.echo(f"  {sentence}")


COMMANDS = {"diagnose": diagnose}
