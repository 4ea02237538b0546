"""`landscape project | layers | adaptive-rate`: onto a plane, tensor by tensor, in theory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from landscape.cli.checks import check_there
from landscape.cli.options import measuring as inputs
from landscape.cli.options.engine import Workers
from landscape.cli.options.measuring import Device, Measuring, Out, Runs
from landscape.cli.options.records import expanded


@expanded
def project(
    runs: Runs,
    onto: Annotated[
        Path, typer.Option(help="Results file that holds the plane; the paths are saved there.")
    ],
    plane: Annotated[str, typer.Option(help="Name of the plane in it: pca, random, ...")] = "pca",
    every: Annotated[int, typer.Option(help="Show every n-th state.")] = 1,
    least: Annotated[
        float, typer.Option(help="Say so where the plane shows a smaller share of a run.")
    ] = 0.5,
    loss: Annotated[
        bool, typer.Option(help="Measure the loss at the states and at their projections.")
    ] = True,
    measuring: Measuring = Measuring(),
    device: Device = "auto",
    workers: Workers = Workers(),
) -> None:
    """Project runs on a plane that was measured before.

    Example: landscape project data/adam.h5 --onto data/sgd.results.h5
    """
    from landscape.results.affine import Plane

    check_there([onto])
    held = Plane.load(onto, f"plane/{plane}")
    trajectories = inputs.open_runs(runs)
    from landscape.analysis.motion.projection import project as measure

    device = workers.device(device)
    objective = measuring.objective(trajectories, device=device) if loss else None
    for trajectory in trajectories:
        given = workers.given(device, part=inputs.run_key(trajectory))
        found = measure(trajectory, held, objective=objective, every=every, **given)
        name = f"projection/{plane}/{inputs.run_key(trajectory)}"
        found.save(onto, name)
        few = f"; less than {100 * least:.0f} %, so its path is mostly elsewhere"
        typer.echo(
            f"{onto}: {name}, the plane shows {100 * found.shown:.0f} % of its squared distance "
            f"from the origin{few if found.shown < least else ''}"
        )


def layers(runs: Runs, out: Out = None, device: Device = "auto") -> None:
    """Measure weights and updates of every tensor: update-to-weight and trust ratios.

    With histograms of the gradients, where they were recorded (record --gradient-histogram).

    Example: landscape layers data/sgd.h5
    """
    from landscape.analysis.motion.gradients import gradient_histogram
    from landscape.analysis.motion.layers import layer_metrics
    from landscape.cli.options.device import gpu_or_none

    trajectories = inputs.open_runs(runs)
    file, gpu = inputs.results_path(trajectories, out), gpu_or_none(device)
    for trajectory in trajectories:
        found = layer_metrics(trajectory, device=gpu)
        name = f"layers/{inputs.run_key(trajectory)}"
        found.save(file, name)
        typer.echo(f"{file}: {name}, median of ‖update‖ / ‖weights‖ along the run:")
        for layer, ratio in zip(found.layers, found.update_to_weight, strict=True):
            typer.echo(f"  {layer:32} {np.nanmedian(ratio):.3g}")
        if trajectory.holds["gradient_histogram"]:
            sizes = gradient_histogram(trajectory)
            name = f"gradients/{inputs.run_key(trajectory)}"
            sizes.save(file, name)
            (median,) = sizes.quantiles([0.5])
            typer.echo(f"{file}: {name}, median |gradient| {median[0]:.2g} to {median[-1]:.2g}")


def adaptive_rate(
    beta2: Annotated[float, typer.Option(help="Decay of the second moment.")] = 0.999,
    samples: Annotated[int, typer.Option(help="Simulated sequences of gradients.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Of the simulation.")] = 0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Results file.")] = Path(
        "data/theory.results.h5"
    ),
) -> None:
    """Simulate the variance of Adam's adaptive rate over the first steps, beside RAdam's formulas.

    Example: landscape adaptive-rate --beta2 0.99
    """
    from landscape.analysis.adaptive_rate import adaptive_rate_variance

    found = adaptive_rate_variance(beta2=beta2, samples=samples, seed=seed)
    found.save(out, "adaptive-rate")
    typer.echo(f"{out}: adaptive-rate\n   step  variance  closed form  rectified")
    for row in zip(found.step, found.simulated, found.closed_form, found.rectified, strict=True):
        typer.echo("{:7d}  {:8.3g}  {:11.3g}  {:9.3g}".format(*row))


COMMANDS: dict[str, Any] = {"project": project, "layers": layers, "adaptive-rate": adaptive_rate}
