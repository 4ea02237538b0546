"""`landscape barriers`: how high the straight lines between networks rise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from landscape.cli.options import measuring as inputs
from landscape.cli.options.engine import Engines
from landscape.cli.options.measuring import Device, Measuring, Out, Runs, Seed
from landscape.cli.options.records import expanded
from landscape.results.barriers import Barriers
from landscape.results.words import policies_of

ALIGNMENTS = ("weights", "activations")


@expanded
def barriers(
    runs: Runs,
    align: Annotated[
        str | None,
        typer.Option(
            help="Permute the units of every pair's second network onto its first: by weights, or "
            "by activations."
        ),
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Restore the units' statistics along the lines.")
    ] = False,
    resolution: Annotated[int, typer.Option(help="Places on each line, ends included.")] = 25,
    out: Out = None,
    measuring: Measuring = Measuring(),
    device: Device = "auto",
    engines: Engines = Engines(),
    seed: Seed = 0,
) -> None:
    """Measure the barriers between the last states of all pairs of runs.

    Recorded batch-norm statistics are interpolated with the weights, unless --batch-norm
    recalibrated estimates them anew at every place. With --units the same command goes on after
    Ctrl-C or a crash.

    Example: landscape barriers data/sgd.h5 data/adam.h5 data/gd.h5
    """
    from landscape.analysis.connectivity.barriers import barriers as measured

    if len(runs) < 2:
        raise ValueError(f"Barriers are between two runs or more; got {len(runs)}.")
    if align is not None and align not in ALIGNMENTS:
        raise ValueError(f"--align must be one of {', '.join(ALIGNMENTS)}; not {align!r}.")
    trajectories = inputs.open_runs(runs)
    file = inputs.results_path(trajectories, out)
    device = engines.device(device)
    workers = engines.chosen(device)
    objective = measuring.objective(trajectories, device=device, seed=seed)
    found = measured(
        objective,
        trajectories,
        resolution=resolution,
        align=align,  # pyright: ignore[reportArgumentType]
        repair=repair,
        units=engines.folder(),
        engine=workers,
    )
    name = "-".join(["barriers", *filter(None, (align, "repaired" if repair else ""))])
    found.save(file, name)
    points = found.provenance["evaluations"]
    typer.echo(f"{file}: {name}, {len(found.pair)} line(s), {points} points")
    for policy in policies_of(found):
        typer.echo(f"  {policy}")
    for sentence in said_of(found):
        typer.echo(f"  {sentence}")


def said_of(found: Barriers) -> Iterator[str]:
    """One sentence per pair and metric: both definitions, with their error."""
    for metric in found.metrics:
        heights = [found.refined(d, metric=metric) for d in ("frankle2020", "entezari2022")]
        errors = found.error("entezari2022", metric=metric)
        places = found.place("entezari2022", metric=metric)
        for k, (i, j) in enumerate(found.pair):
            unsure = f" ± {errors[k]:.1g}" if errors[k] > 0 else ""
            yield (
                f"{found.names[i]} to {found.names[j]}: {metric} barrier {heights[0][k]:.3g} above "
                f"the mean of the ends (Frankle et al. 2020), {heights[1][k]:.3g}{unsure} above "
                f"the chord (Entezari et al. 2022), at {places[k]:.2f}"
            )


COMMANDS = {"barriers": barriers}
