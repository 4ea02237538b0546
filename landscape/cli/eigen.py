"""What `landscape surface` does along eigenvectors, and with --curvature."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from landscape.base.progress import Interrupted
from landscape.base.runs.trajectory import Trajectory
from landscape.base.shown import percent
from landscape.cli.curvature import say_cost
from landscape.results.affine import Plane
from landscape.results.construction import Construction

if TYPE_CHECKING:
    from landscape.objective.objective import Objective

_EACH = 20  # products that a point of a map takes, roughly


def plane_of_eigenvectors(objective: Objective, run: Trajectory, seed: int) -> Plane:
    """Along the two largest eigenvectors of the Hessian at a run's end."""
    from landscape.analysis.curvature.eigen_plane import eigen_plane
    from landscape.analysis.curvature.spectrum import hessian_spectrum

    buffers = run.buffers(-1) if objective.batch_norm == "frozen" else None
    say_cost(objective, run.final, _EACH, "eigenvectors")
    found = hessian_spectrum(
        objective, run.final, top=2, bottom=0, tolerance=1e-3, seed=seed, buffers=buffers
    )
    for sentence in found.sentences():
        typer.echo(f"  {sentence}")
    return eigen_plane(found)


def said_of_axes(objective: Objective, plane: Plane) -> str:
    """The loss's own second differences beside the eigenvalues."""
    from landscape.analysis.curvature.eigen_plane import second_differences

    measured = second_differences(objective, plane)
    given = Construction.of(plane.settings).eigenvalues or ()
    pairs = (
        f"{m:.4g} along axis {axis} (λ = {g:.4g})"
        for axis, (m, g) in enumerate(zip(measured, given, strict=True), 1)
    )
    return f"second differences of the loss at the centre: {', '.join(pairs)}"


def map_curvature(
    objective: Objective, plane: Plane, path: Path, name: str, **options: Any
) -> None:
    """Measure and save a curvature map of a plane."""
    from landscape.analysis.curvature.map import curvature_map

    across, up = options["resolution"]
    say_cost(objective, plane.origin, _EACH * across * up, "curvature map")
    try:
        found = curvature_map(objective, plane, **options)
    except Interrupted as stop:
        stop.partial.save(path, f"curvature-map/{name}")
        typer.echo(
            f"\nStopped. {int(stop.partial.computed.sum())} of {stop.partial.computed.size} points "
            f"are in {path}; with --units the same command measures the rest."
        )
        raise typer.Exit(130) from None
    plane.save(path, f"plane/{name}")
    found.save(path, f"curvature-map/{name}")
    known = found.computed & np.isfinite(found.ratio)
    convex = float(np.mean(found.convex[known])) if known.any() else np.nan
    typer.echo(
        f"{path}: curvature-map/{name}, {across}x{up} points; |λmin/λmax| is at most "
        f"{np.max(found.ratio[known], initial=0):.3g}, convex at {percent(convex)} of the points"
    )
