"""`landscape surface`: the loss on a plane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landscape.base.progress import Interrupted
from landscape.base.runs.trajectory import Trajectory
from landscape.base.writing import Writing
from landscape.cli.accuracy import propose_tolerance
from landscape.cli.checks import check_there
from landscape.cli.eigen import map_curvature, plane_of_eigenvectors, said_of_axes
from landscape.cli.options import measuring as inputs
from landscape.cli.options.engine import Workers, part_of
from landscape.cli.options.measuring import Device, Measuring, Out, Seed
from landscape.cli.options.plane import Accuracy, Place, SurfaceWorkers
from landscape.cli.options.records import expanded
from landscape.cli.options.texts import beside
from landscape.results.affine import Plane
from landscape.results.words import accuracy_of

if TYPE_CHECKING:
    from landscape.objective.objective import Objective
    from landscape.results.projection import Projection
    from landscape.results.surface import Surface


@expanded
def surface(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Recorded runs (.h5), --checkpoint, or --model.")
    ] = None,
    checkpoint: inputs.Checkpoint = None,
    key: inputs.Key = None,
    place: Place = Place(),
    every: Annotated[int, typer.Option(help="Show every n-th state of the paths.")] = 1,
    out: Out = None,
    measuring: Measuring = Measuring(),
    device: Device = "auto",
    workers: SurfaceWorkers = SurfaceWorkers(),
    accuracy: Accuracy = Accuracy(),
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
    size, part, share = inputs.grid_size(place.resolution), part_of(workers.shard), accuracy.share
    box = place.box
    if every < 1:
        raise ValueError(f"every must be at least 1; got {every}.")
    if place.coarse_first:
        _check_coarse_first(size, accuracy, workers, curvature)
    out = _check_alone(runs, checkpoint, measuring, place.plane, out)
    trajectories = inputs.open_runs(runs or [])
    path = inputs.results_path(trajectories, out)
    device = workers.device(device)
    engine = workers.chosen(device)
    kind = place.plane or ("pca" if sum(map(len, trajectories)) > 2 else "random")
    box = box or (1.0 if kind == "random" else "trajectory")
    if checkpoint is None:
        objective = measuring.objective(trajectories, device=device, seed=seed)
    else:
        objective = measuring.objective_of_checkpoint(checkpoint, key, device=device, seed=seed)
    plane = _plane(kind, trajectories, objective, place.origin, seed)
    given: dict[str, Any] = {
        "extent": box, "resolution": size, "seed": seed, "units": workers.units, "engine": engine,
        "shard": part,
    }  # fmt: skip
    if curvature:
        map_curvature(objective, plane, path, kind, **given)
        return
    if place.coarse_first:
        _measure_coarse_first(objective, plane, trajectories, path, kind, box, size, every)
        return
    if accuracy.tolerance is None and accuracy.budget is None:
        propose_tolerance(objective, plane, size)
    _say_cost(size, trajectories, every)
    given |= {"tolerance": share, "budget": accuracy.budget}
    measured = _measured(objective, plane, trajectories, path, kind, **given)
    with Writing(path) as file:
        file.add(plane, f"plane/{kind}")
        if not _whole(measured):
            file.add(measured, f"unfinished/{kind}")
            _say_part(path, measured, workers)
            return
        _add_whole(file, path, kind, measured)
        if kind == "eigen":
            typer.echo(f"  {said_of_axes(objective, plane)}")
        for sentence in accuracy_of(measured):
            typer.echo(f"  {sentence}")
        for run in trajectories:
            kept = workers.folder(f"paths/{inputs.run_key(run)}")
            _add_path(
                file, run, plane, kind, objective=objective, every=every, units=kept, engine=engine
            )
    typer.echo(f"next: landscape explore {path} --open")


COMMANDS = {"surface": surface}


def _check_coarse_first(
    size: tuple[int, int], accuracy: Accuracy, workers: SurfaceWorkers, curvature: bool
) -> None:
    """Refuse what is measured whole, or by others.

    Raises:
        ValueError: If it is asked for.
    """
    if size[0] != size[1]:
        raise ValueError("--coarse-first takes as many points along both axes.")
    whole = accuracy != Accuracy() or curvature
    if whole or workers != SurfaceWorkers():
        raise ValueError(
            "--coarse-first measures all points in this process: it goes without --tolerance, "
            "--budget, --curvature, --units, --shard and several workers."
        )


def _check_alone(
    runs: Sequence[Path] | None,
    checkpoint: Path | None,
    measuring: Measuring,
    plane: str | None,
    out: Path | None,
) -> Path | None:
    """Where results go of a checkpoint or a language model, which are given instead of runs."""
    model = measuring.model if measuring.reads else None
    alone = checkpoint or (None if runs else model)
    if bool(runs) == (alone is not None) or (model is not None and checkpoint is not None):
        raise ValueError(
            "Give recorded runs (.h5), or --checkpoint with --task, or --model with --text."
        )
    if alone is None:
        return out
    check_there([alone])
    if plane not in (None, "random"):
        raise ValueError(f"plane must be random around a checkpoint or a model; not {plane!r}.")
    return out or (beside(alone) if model else alone.with_name(f"{alone.stem}.results.h5"))


def _say_cost(size: tuple[int, int], runs: Sequence[Trajectory], every: int) -> None:
    if states := sum(-(-len(t) // every) for t in runs):
        typer.echo(
            f"surface: {size[0] * size[1]:,} points of the plane, then {states:,} states of the "
            "runs, which take as long each",
            err=True,
        )


def _measured(
    objective: Objective,
    plane: Plane,
    runs: Sequence[Trajectory],
    path: Path,
    kind: str,
    **given: Any,
) -> Surface:
    """The surface, or what of it this shard measures; Ctrl-C leaves it in the file."""
    from landscape.analysis.motion.projection import project
    from landscape.analysis.surface import loss_surface
    from landscape.results.surface import Surface

    boxed = kind == "random" and given["extent"] == "trajectory"
    # Units hold what was measured before, but for the points that shards within a tolerance share.
    alone = given["units"] is None and given["shard"] == (0, 1)
    goes_on = given["tolerance"] is not None or alone
    unfinished = f"unfinished/{kind}"
    try:
        return loss_surface(
            objective,
            plane,
            paths=[project(run, plane) for run in runs] if boxed else [],
            resume=Surface.find(path, unfinished) if goes_on else None,
            **given,
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


def _measure_coarse_first(
    objective: Objective, plane: Plane, runs: Sequence[Trajectory], path: Path, kind: str,
    box: Any, size: tuple[int, int], every: int,
) -> None:  # fmt: skip
    """The surface in three stages, each of which is saved; the paths with the first one."""
    from landscape.analysis.motion.projection import project
    from landscape.analysis.on_demand import Request, measured_on_demand
    from landscape.analysis.planes.extent import box_of

    boxed = kind == "random" and box == "trajectory"
    paths = [project(run, plane) for run in runs] if boxed else []
    request = Request("surface", box_of(plane, box, paths, 0.15), size[0])
    for stage, measured in enumerate(measured_on_demand(objective, plane, request)):
        with Writing(path) as file:
            file.add(plane, f"plane/{kind}")
            file.add(measured, f"surface/{kind}")
            for run in runs if stage == 0 else ():
                _add_path(file, run, plane, kind, objective=objective, every=every)
        up, across = measured.loss.shape
        typer.echo(f"{path}: surface/{kind}, {across}x{up} points")
    typer.echo(f"next: landscape explore {path} --open")


def _whole(measured: Surface) -> bool:
    return measured.moments is None and (
        measured.accuracy is not None or bool(measured.computed.all())
    )


def _say_part(path: Path, measured: Surface, workers: Workers) -> None:
    sparing, units = measured.moments is not None, workers.units
    next_ = ["landscape merge puts them together"] if units is None or sparing else []
    next_ += ["the same command without --shard finishes"] if units or sparing else []
    typer.echo(
        f"{path}: {int(measured.computed.sum())} of {measured.computed.size} points, part "
        f"{workers.shard}; when the other parts are done, {' and '.join(next_)}."
    )


def _add_whole(file: Writing, path: Path, kind: str, measured: Surface) -> None:
    """A whole surface takes the place of what was unfinished of it."""
    from landscape.results.surface import Surface

    unfinished = f"unfinished/{kind}"
    file.add(measured, f"surface/{kind}")
    left = Surface.find(path, unfinished)
    if left is not None and left.moments is not None and (why := left.differences(measured)):
        typer.echo(f"{path}: {unfinished} stays, it is of another measurement ({why})")
    else:
        file.remove(unfinished)
    across, up = len(measured.alpha), len(measured.beta)
    typer.echo(f"{path}: surface/{kind}, {across}x{up} points")


def _add_path(file: Writing, run: Trajectory, plane: Plane, kind: str, **given: Any) -> None:
    from landscape.analysis.motion.projection import project

    shown = project(run, plane, **given)
    file.add(shown, f"projection/{kind}/{inputs.run_key(run)}")
    typer.echo(
        f"  {run.name}: the plane shows {100 * shown.shown:.0f} % of its squared "
        f"distance from the origin; at the end it is {shown.residual[-1]:.3g} off the plane"
        + _heights(shown)
    )


def _heights(shown: Projection) -> str:
    """A run's loss at its end, and the surface's below it: off the plane, or batch norm's."""
    if shown.loss is None or shown.in_plane_loss is None:
        return ""
    return f", its loss {shown.loss[-1]:.3g}, the surface there {shown.in_plane_loss[-1]:.3g}"


def _plane(
    kind: str, runs: Sequence[Trajectory], objective: Objective, origin: str | None, seed: int
) -> Plane:
    from landscape.analysis.planes.pca import pca_plane
    from landscape.analysis.planes.random import random_plane

    if kind == "pca":
        return pca_plane(runs, origin=origin)  # pyright: ignore[reportArgumentType]
    if kind == "eigen":
        return plane_of_eigenvectors(objective, runs[0], seed)
    return random_plane(objective, seed=seed)
