"""`landscape curve`: a curve of low loss between two networks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from landscape.cli.options import measuring as inputs
from landscape.cli.options.measuring import Device, Measuring, Out, Seed
from landscape.cli.options.records import expanded


@dataclass(frozen=True)
class Training:
    """How the curve is trained."""

    bends: Annotated[int, typer.Option(help="Points between the ends that are trained.")] = 1
    steps: Annotated[int, typer.Option(help="Steps of the optimizer.")] = 1000
    optimizer: Annotated[str, typer.Option(help="See landscape list optimizers.")] = "adam"
    lr: Annotated[float | None, typer.Option(help="Default: the optimizer's own.")] = None
    batch_size: Annotated[int, typer.Option(help="Samples per step.")] = 128
    record: Annotated[Path | None, typer.Option(help="Record the bends as a run (.h5).")] = None


@expanded
def curve(
    first: Annotated[Path, typer.Argument(help="A recorded run; its last state is one end.")],
    second: Annotated[Path, typer.Argument(help="Another.")],
    kind: Annotated[str, typer.Option(help="bezier, or chain of straight pieces.")] = "bezier",
    training: Training = Training(),
    resolution: Annotated[int, typer.Option(help="Points on a side of the surface; 0: none.")] = 31,
    out: Out = None,
    measuring: Measuring = Measuring(batch_norm="recalibrated"),
    device: Device = "auto",
    seed: Seed = 0,
) -> None:
    """Find a curve of low loss between two runs' last states, and the surface in which it lies.

    The loss is measured at 61 places of the curve and of the straight line. The plane goes through
    both ends and the first bend; with one bend the whole curve lies in it.

    Example: landscape curve data/sgd.h5 data/adam.h5
    """
    runs = inputs.open_runs([first, second])
    from landscape.analysis.connectivity.barriers import run_names
    from landscape.analysis.connectivity.curve import curve_profile, project_curve
    from landscape.analysis.planes.through import plane_through
    from landscape.analysis.surface import loss_surface
    from landscape.training.curve import find_curve

    file = inputs.results_path(runs, out)
    objective = measuring.objective(runs, device=device, seed=seed)
    a, b = (run.final for run in runs)
    names = run_names(runs)
    found = find_curve(objective, a, b, kind=kind, seed=seed, **asdict(training))
    found.save(file, f"curve/{kind}")
    by_t, by_length = (curve_profile(objective, found, by=by) for by in ("parameter", "length"))
    by_t.save(file, f"line/{kind}")
    by_length.save(file, f"line/{kind}-by-length")
    chord = by_t.provenance["chord"]
    typer.echo(
        f"{file}: curve/{kind}, {training.steps} steps of {training.optimizer}; "
        f"{by_t.provenance['length']:.4g} long where the straight line is {chord:.4g}"
    )
    for m, metric in enumerate(by_t.metrics):
        way, line = by_t.values[:, m]
        typer.echo(
            f"  {metric}: {way[0]:.4g} and {way[-1]:.4g} at the ends; on the curve {way.min():.4g} "
            f"to {way.max():.4g}, mean {way.mean():.4g} over t and "
            f"{by_length.values[0, m].mean():.4g} over its length; on the straight line up to "
            f"{line.max():.4g}"
        )
    if resolution:
        plane = plane_through(a, b, found.points[1], axes="orthonormal", names=(*names, "bend"))
        path = project_curve(found, plane, objective=objective)
        surface = loss_surface(
            objective, plane, extent="trajectory", resolution=resolution, margin=0.3
        )
        plane.save(file, f"plane/{kind}")
        surface.save(file, f"surface/{kind}")
        path.save(file, f"projection/{kind}")
        typer.echo(f"  surface/{kind}: the curve is up to {path.residual.max():.2g} off its plane")


COMMANDS = {"curve": curve}
