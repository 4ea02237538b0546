"""`landscape line | walk | path`: measure recorded runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from landscape.base.progress import Interrupted
from landscape.cli.checks import check_there
from landscape.cli.lines import check_line, lines_of, lines_to, said_of, said_of_walk
from landscape.cli.options import measuring as inputs
from landscape.cli.options.engine import GO_ON, Workers
from landscape.cli.options.measuring import Device, Measuring, Out, Runs, Seed
from landscape.cli.options.records import expanded
from landscape.cli.options.texts import beside


@dataclass(frozen=True)
class Direction:
    """Which lines."""

    to: Annotated[
        list[Path] | None,
        typer.Option("--to", help="Instead of runs: from --model to this one; may be repeated."),
    ] = None
    kind: Annotated[
        Literal["initial-final", "between", "random", "update", "gradient"],
        typer.Option(
            case_sensitive=False,
            help="initial-final: of each run; between: from the first run's end to the others', or "
            "between --points; random: --seeds filter-normalized directions around the first run's "
            "end; update: along each run's update after --step; gradient: down the gradient of "
            "the whole data at --step, in steps of the learning rate recorded there.",
        ),
    ] = "initial-final"
    seeds: Annotated[int, typer.Option(help="Number of random directions.")] = 20
    step: Annotated[int, typer.Option(help="Step whose update or gradient is followed.")] = 0
    points: Annotated[
        str | None,
        typer.Option(
            help="Steps A,B (or first, last) that `between` joins: of the first run, and "
            "of each other run or, alone, of the same."
        ),
    ] = None


@expanded
def line(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Recorded runs (.h5), or --model.", callback=check_there),
    ] = None,
    direction: Direction = Direction(),
    resolution: Annotated[int, typer.Option(help="Points along the line.")] = 101,
    extent: Annotated[
        str | None,
        typer.Option(help="First and last coordinate. Default: -0.5,1.5; random: -1,1."),
    ] = None,
    out: Out = None,
    measuring: Measuring = Measuring(),
    device: Device = "auto",
    workers: Workers = Workers(),
    tolerance: Annotated[
        str | None,
        typer.Option(help="Leave out samples within this share of the line's range, such as 1%."),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Measure the loss on straight lines, say whether it falls, and how high its barrier is.

    Recorded batch-norm statistics are interpolated with the weights between recorded states.

    Between language models: landscape line --model FOLDER --to FOLDER --text FILE

    Example: landscape line data/adam.h5
    """
    check_line(runs, direction.to, measuring, direction.kind)
    first, last = inputs.numbers(
        extent or ("-1,1" if direction.kind == "random" else "-0.5,1.5"), 2, "--extent"
    )
    share = None if tolerance is None else inputs.share(tolerance, "--tolerance")
    trajectories = inputs.open_runs(runs or [])
    device = workers.device(device)
    given = workers.given(device)
    model = None if runs else measuring.model
    path = inputs.results_path(trajectories, out or (beside(model) if model else None))
    from landscape.analysis.line import loss_line

    objective = measuring.objective(trajectories, device=device, seed=seed)
    kind = "between" if direction.to else direction.kind
    if direction.to:
        assert model is not None
        lines, names, buffers = lines_to(model, direction.to)
    else:
        lines, names, buffers = lines_of(
            kind,
            trajectories,
            objective,
            seed=seed,
            seeds=direction.seeds,
            step=direction.step,
            points=direction.points,
        )
    profile = loss_line(
        objective,
        lines,
        names=names,
        extent=(first, last),
        resolution=resolution,
        buffers=buffers if objective.batch_norm == "frozen" else None,
        tolerance=share,
        seed=seed,
        **given,
    )
    profile.save(path, f"line/{kind}")
    typer.echo(f"{path}: line/{kind}, {len(lines)} line(s) of {len(profile.alpha)} points")
    if len(profile.alpha) < resolution:
        typer.echo(f"  of {resolution}, part {workers.shard}; {GO_ON}")
        return
    for sentence in said_of(profile) if kind != "random" else ():
        typer.echo(f"  {sentence}")
    typer.echo(f"next: landscape plot {path}")


@expanded
def walk(
    runs: Runs,
    window: Annotated[
        list[str] | None,
        typer.Option(help="first, middle, last, or steps FIRST-LAST; may be repeated."),
    ] = None,
    length: Annotated[int, typer.Option(help="Steps in a window given by name.")] = 40,
    every: Annotated[int, typer.Option(help="Measure every n-th segment.")] = 1,
    points: Annotated[int, typer.Option(help="Intervals between two states.")] = 10,
    out: Out = None,
    measuring: Measuring = Measuring(),
    device: Device = "auto",
    workers: Workers = Workers(),
    tolerance: Annotated[
        str | None,
        typer.Option(
            help="Leave out samples: differences along a segment within this share of its range, "
            "such as 5%."
        ),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Measure the loss between consecutive recorded states (Xing et al. 2018).

    Example: landscape walk data/sgd.h5 --window first --window last --window 100-140
    """
    windows = inputs.step_windows(window)
    share = None if tolerance is None else inputs.share(tolerance, "--tolerance")
    trajectories = inputs.open_runs(runs)
    device = workers.device(device)
    path = inputs.results_path(trajectories, out)
    objective = measuring.objective(trajectories, device=device, seed=seed)
    from landscape.analysis.walk import walk as measure_walk

    for trajectory in trajectories:
        given = workers.given(device, part=inputs.run_key(trajectory))
        name = f"walk/{inputs.run_key(trajectory)}"
        try:
            found = measure_walk(
                objective, trajectory, windows=windows, length=length, every=every, points=points,
                tolerance=share, seed=seed, **given,
            )  # fmt: skip
        except Interrupted as stop:
            if stop.partial is not None:
                stop.partial.save(path, name)
                typer.echo(f"\nStopped. {len(stop.partial.step)} finished segments are in {path}.")
            raise typer.Exit(130) from None
        found.save(path, name)
        if workers.shard != "1/1":
            typer.echo(f"{path}: {name}, {len(found.step)} segments, part {workers.shard}; {GO_ON}")
            continue
        typer.echo(f"{path}: {name}, {len(found.step)} segments; with intervals of 95 %:")
        for sentence in said_of_walk(found):
            typer.echo(f"  {sentence}")
    typer.echo(f"next: landscape plot {path}")


def path(runs: Runs, out: Out = None, device: Device = "auto") -> None:
    """Measure step lengths, angles between updates and distance from initialization.

    Where states were stored every n-th step only, what the recorder measured at every step is
    used instead, if it is there.

    Example: landscape path data/sgd.h5 data/adam.h5
    """
    from landscape.analysis.motion.path import path_metrics
    from landscape.cli.options.device import gpu_or_none
    from landscape.results.recorded import recorded_path

    trajectories = inputs.open_runs(runs)
    file, gpu = inputs.results_path(trajectories, out), gpu_or_none(device)
    for trajectory in trajectories:
        skipped = np.any(np.diff(trajectory.steps) > 1) and "update_norm" in trajectory.scalars
        found = recorded_path(trajectory) if skipped else path_metrics(trajectory, device=gpu)
        name = f"path/{inputs.run_key(trajectory)}"
        found.save(file, name)
        typer.echo(
            f"{file}: {name}, ends {found.distance[-1]:.3g} from initialization after a way of "
            f"{found.path_length[-1]:.3g}"
        )
    typer.echo(f"next: landscape plot {file}")


COMMANDS: dict[str, Any] = {"line": line, "walk": walk, "path": path}
