"""`landscape surface`: the loss on a plane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from landscape.analysis.planes.pca import pca_plane
from landscape.analysis.planes.random import random_plane
from landscape.base.files import remove
from landscape.base.progress import Interrupted
from landscape.base.runs.trajectory import Trajectory
from landscape.cli.accuracy import propose_tolerance, said_of_accuracy
from landscape.cli.checks import check_there
from landscape.cli.eigen import map_curvature, plane_of_eigenvectors, said_of_axes
from landscape.cli.options import engine as engines
from landscape.cli.options import measuring as inputs
from landscape.cli.options.device import chosen_device
from landscape.cli.options.measuring import (
    BatchNorm,
    Device,
    Out,
    Precision,
    Samples,
    Seed,
    Split,
    TaskName,
)
from landscape.results.affine import Plane

if TYPE_CHECKING:
    from landscape.objective.objective import Objective


def surface(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Recorded runs (.h5), --checkpoint, or --model.")
    ] = None,
    checkpoint: inputs.Checkpoint = None,
    key: inputs.Key = None,
    model: inputs.Model = None,
    text: inputs.Text = None,
    tokens: inputs.Tokens = None,
    plane: Annotated[
        Literal["pca", "random", "eigen"] | None,
        typer.Option(
            case_sensitive=False,
            help="pca (joint for several runs), random or eigen (around the first run's end; "
            "eigen: along the Hessian's two largest eigenvectors). Default: pca, or random where "
            "there are fewer than three states.",
        ),
    ] = None,
    resolution: Annotated[str, typer.Option(help="Points per axis: 51, or 41x61 (x by y).")] = "51",
    extent: Annotated[
        str | None,
        typer.Option(help="trajectory, R for [-R, R]², or X0,X1,Y0,Y1. Default: fits the plane."),
    ] = None,
    origin: Annotated[
        Literal["mean", "initial", "final"] | None,
        typer.Option(help="Point at (0, 0) for pca.", case_sensitive=False),
    ] = None,
    every: Annotated[int, typer.Option(help="Show every n-th state of the paths.")] = 1,
    out: Out = None,
    task: TaskName = None,
    data: Split = "train",
    samples: Samples = None,
    precision: Precision = None,
    batch_norm: BatchNorm = "frozen",
    device: Device = "auto",
    processes: engines.Count = 1,
    devices: engines.Devices = None,
    engine: engines.Name = "processes",
    ray_address: engines.Address = None,
    gpus_per_worker: engines.Share = 0.0,
    units: Annotated[
        str | None,
        typer.Option(help="Folder that keeps finished points, so that a crash loses nothing."),
    ] = None,
    shard: Annotated[
        str,
        typer.Option(help="Measure part I of N, as I/N; share --units, or landscape merge them."),
    ] = "1/1",
    tolerance: Annotated[
        str | None,
        typer.Option(
            help="Accept an error of this share of the surface's range, such as 1%: saves samples "
            "and points, and says what error was observed."
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(help="Instead: the smallest error that so many passes over the data give."),
    ] = None,
    curvature: Annotated[
        bool,
        typer.Option("--curvature", help="Instead: λmax, λmin of the Hessian (--resolution 15)."),
    ] = False,
    seed: Seed = 0,
) -> None:
    """Measure the loss on a plane, and project the runs on it with their true loss.

    Around one trained network: landscape surface --checkpoint model.pt --task parabola:task

    Around a language model: landscape surface --model FOLDER --text FILE --tolerance 2%

    Ctrl-C keeps what was measured; the same command then measures the rest.

    Example: landscape surface data/sgd.h5 data/adam.h5 --resolution 41x31
    """
    size, part = inputs.grid_size(resolution), engines.part_of(shard)
    share = None if tolerance is None else inputs.share(tolerance, "--tolerance")
    box = None if extent is None else _extent(extent)
    if every < 1:
        raise ValueError(f"every must be at least 1; got {every}.")
    texts = inputs.check_texts(model, text, task)
    alone = checkpoint or (model if texts and not runs else None)
    if bool(runs) == (alone is not None) or (texts and checkpoint):
        raise ValueError(
            "Give recorded runs (.h5), or --checkpoint FILE with --task, or --model FOLDER with "
            "--text FILE."
        )
    if alone is not None:
        check_there([alone])
        if plane not in (None, "random"):
            raise ValueError(f"plane must be random around a checkpoint or a model; not {plane!r}.")
        out = out or (inputs.beside(model) if texts else None)
        out = out or alone.with_name(f"{alone.stem}.results.h5")
    trajectories = inputs.open_runs(runs or [])
    path = inputs.results_path(trajectories, out)
    device = devices.partition(",")[0] if devices else chosen_device(device)
    workers = engines.chosen_engine(
        engine, count=processes, devices=devices, device=device, address=ray_address,
        share=gpus_per_worker,
    )  # fmt: skip
    plane = plane or ("pca" if sum(map(len, trajectories)) > 2 else "random")
    box = box or (1.0 if plane == "random" else "trajectory")
    measuring = {
        "split": data, "device": device, "seed": seed, "samples": samples,
        "precision": precision, "batch_norm": batch_norm,
    }  # fmt: skip
    from landscape.analysis.motion.projection import project
    from landscape.analysis.surface import loss_surface
    from landscape.results.surface import Surface

    if texts:
        objective = inputs.objective_of_texts(trajectories, model, text, tokens, **measuring)
    elif checkpoint is None:
        objective = inputs.build_objective(trajectories, task, **measuring)
    else:
        objective = inputs.objective_of_checkpoint(checkpoint, task, key, **measuring)
    found = _plane(plane, trajectories, objective, origin, seed)
    name = f"surface/{plane}"
    if curvature:
        map_curvature(
            objective, found, path, plane, extent=box, resolution=size, seed=seed, units=units,
            engine=workers, shard=part,
        )  # fmt: skip
        return
    unfinished = f"unfinished/{plane}"
    boxed = plane == "random" and box == "trajectory"
    paths = [project(t, found) for t in trajectories] if boxed else []
    # Units hold what was measured before, but for the points that shards within a tolerance share.
    goes_on = tolerance is not None or (units is None and part == (0, 1))
    if tolerance is None and budget is None:
        propose_tolerance(objective, found, size)
    if states := sum(-(-len(t) // every) for t in trajectories):
        points = size[0] * size[1]
        typer.echo(
            f"surface: {points:,} points of the plane, then {states:,} states of the runs, which "
            "take as long each",
            err=True,
        )
    try:
        measured = loss_surface(
            objective,
            found,
            extent=box,
            resolution=size,
            paths=paths,
            resume=Surface.find(path, unfinished) if goes_on else None,
            units=units,
            engine=workers,
            shard=part,
            tolerance=share,
            budget=budget,
            seed=seed,
        )
    except Interrupted as stop:
        scouted = stop.partial.samples is not None and stop.partial.samples.any()
        if stop.partial.computed.any() or scouted:
            stop.partial.save(path, unfinished)
        typer.echo(
            f"\nStopped. {int(stop.partial.computed.sum())} of {stop.partial.computed.size} points "
            f"are in {path}; the same command measures the rest."
        )
        raise typer.Exit(130) from None
    sparing = measured.moments is not None
    if sparing or (measured.accuracy is None and not measured.computed.all()):
        found.save(path, f"plane/{plane}")
        measured.save(path, unfinished)
        next_ = ["landscape merge puts them together"] if units is None or sparing else []
        next_ += ["the same command without --shard finishes"] if units or sparing else []
        typer.echo(
            f"{path}: {int(measured.computed.sum())} of {measured.computed.size} points, part "
            f"{shard}; when the other parts are done, {' and '.join(next_)}."
        )
        return
    found.save(path, f"plane/{plane}")
    measured.save(path, name)
    left = Surface.find(path, unfinished)
    if left is not None and left.moments is not None and (why := left.differences(measured)):
        typer.echo(f"{path}: {unfinished} stays, it is of another measurement ({why})")
    else:
        remove(path, unfinished)
    typer.echo(f"{path}: {name}, {size[0]}x{size[1]} points")
    if plane == "eigen":
        typer.echo(f"  {said_of_axes(objective, found)}")
    for sentence in said_of_accuracy(measured):
        typer.echo(f"  {sentence}")
    for trajectory in trajectories:
        kept = None if units is None else Path(units) / "paths" / inputs.run_key(trajectory)
        shown = project(
            trajectory, found, objective=objective, every=every, units=kept, engine=workers
        )
        shown.save(path, f"projection/{plane}/{inputs.run_key(trajectory)}")
        typer.echo(
            f"  {trajectory.name}: the plane shows {100 * shown.shown:.0f} % of its squared "
            f"distance from the origin; at the end it is {shown.residual[-1]:.3g} off the plane"
        )
    typer.echo(f"next: landscape explore {path} --open")


COMMANDS = {"surface": surface}


def _plane(
    kind: str, runs: Sequence[Trajectory], objective: Objective, origin: str | None, seed: int
) -> Plane:
    if kind == "pca":
        return pca_plane(runs, origin=origin)  # pyright: ignore[reportArgumentType]
    if kind == "eigen":
        return plane_of_eigenvectors(objective, runs[0], seed)
    return random_plane(objective, seed=seed)


def _extent(text: str) -> Any:
    if text == "trajectory":
        return text
    try:
        found = inputs.numbers(text, 4 if "," in text else 1, "--extent")
    except ValueError:
        raise ValueError(
            f"--extent takes trajectory, R for [-R, R]², or X0,X1,Y0,Y1 (4 numbers); not {text!r}."
        ) from None
    if len(found) == 1:
        return found[0]
    if not (found[0] < found[1] and found[2] < found[3]):
        raise ValueError(f"--extent {text} is empty; give X0 < X1, Y0 < Y1.")
    return found
