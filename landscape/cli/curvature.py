"""`landscape curvature`: the Hessian's eigenvalues at a state, and along a run."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from landscape.base.progress import Interrupted, duration
from landscape.cli.options import measuring as inputs
from landscape.cli.options.engine import Engines
from landscape.cli.options.measuring import Device, Measuring, Out, Runs, Seed
from landscape.cli.options.records import expanded

if TYPE_CHECKING:
    from landscape.base.runs.trajectory import Trajectory
    from landscape.objective.objective import Objective
    from landscape.results.curvature_path import CurvaturePath

_EACH = 8  # products that a pair takes, roughly


@dataclass(frozen=True)
class Asked:
    """What is asked of the Hessian."""

    at: Annotated[str, typer.Option(help="State: first, last, or an optimizer step.")] = "last"
    top: Annotated[int, typer.Option(help="Largest eigenvalues.")] = 5
    bottom: Annotated[int, typer.Option(help="Smallest eigenvalues.")] = 2
    trace: Annotated[bool, typer.Option("--trace", help="Also the trace, per tensor.")] = False
    density: Annotated[bool, typer.Option("--density", help="Also the density.")] = False
    every: Annotated[
        int | None,
        typer.Option(help="Sharpness at every n-th step, against its threshold."),
    ] = None
    batch: Annotated[
        int | None,
        typer.Option("--batch-size", help="With --every: batch sharpness over batches this large."),
    ] = None
    tensors: Annotated[
        str | None, typer.Option(help="Only the block of tensors that this expression names.")
    ] = None
    tolerance: Annotated[
        str | None, typer.Option(help="Residual accepted; default 0.1 % of each, 1 % with --every.")
    ] = None
    zero: Annotated[
        str | None,
        typer.Option(help="Residual accepted of any, as a share of the largest; default 0.01 %."),
    ] = None

    def check(self, engines: Engines) -> None:
        """Refuse what does not go together.

        Raises:
            ValueError: If options of one state and of a whole run are mixed.
        """
        if self.every is not None and self.tensors:
            raise ValueError("--every measures all tensors; measure the block of --tensors apart.")
        if self.every is not None and self.at != "last" and not (self.trace or self.density):
            raise ValueError("With --every, --at is the state for --trace or --density; give one.")
        if self.every is not None and self.zero is not None and not (self.trace or self.density):
            raise ValueError(
                "--zero goes without --every, or beside --trace or --density; leave it out."
            )
        if self.every is None and (self.batch is not None or engines.units is not None):
            raise ValueError("--batch-size and --units go with --every.")
        for name in ("tolerance", "zero"):
            self.share(name)

    def share(self, name: str) -> float | None:
        """`tolerance` or `zero` as a number; None where it was not given."""
        text = getattr(self, name)
        return None if text is None else inputs.share(text, f"--{name}")


@expanded
def curvature(
    runs: Runs,
    asked: Asked = Asked(),
    out: Out = None,
    measuring: Measuring = Measuring(),
    device: Device = "auto",
    engines: Engines = Engines(),
    seed: Seed = 0,
) -> None:
    """Measure the Hessian: its largest and smallest eigenvalues, trace and density.

    With --every N the sharpness along the run, beside the threshold of its optimizer; the state
    --at is then only measured for its --trace or --density.

    Example: landscape curvature data/gd.h5 --every 50
    """
    asked.check(engines)
    trajectories = inputs.open_runs(runs)
    device = engines.device(device)
    workers = engines.chosen(device)
    if asked.every is None and workers is not None:
        raise ValueError("Several processes go with --every; one state is measured by one.")
    objective = measuring.objective(trajectories, device=device, seed=seed)
    path = inputs.results_path(trajectories, out)
    for run in trajectories:
        if asked.every is None or asked.trace or asked.density:
            _at(objective, run, asked, path, seed)
        if asked.every is not None:
            _along(
                objective, run, path, every=asked.every, top=asked.top,
                tolerance=asked.share("tolerance") or 1e-2, batch=asked.batch, seed=seed,
                units=engines.units, engine=workers,
            )  # fmt: skip
    typer.echo(f"next: landscape explore {path} --open")


COMMANDS = {"curvature": curvature}


def product_seconds(
    objective: Objective, vector: np.ndarray, buffers: np.ndarray | None = None
) -> float:
    """Seconds that a product with the Hessian takes, its graphs being kept."""
    with objective.hessian(vector, buffers=buffers) as hessian:
        began = time.perf_counter()
        hessian.matvec(np.ones(hessian.shape[0]))
        return time.perf_counter() - began


def say_cost(objective: Objective, vector: np.ndarray, products: int, what: str) -> None:
    """Time one product, and say what so many will cost when that is worth saying."""
    each = product_seconds(objective, vector)
    if each * products > 2:
        typer.echo(
            f"{what}: about {products} products with the Hessian × {duration(each)}: about "
            f"{duration(each * products)}",
            err=True,
        )


def _state(run: Trajectory, text: str) -> int:
    if text in ("first", "last"):
        return 0 if text == "first" else len(run) - 1
    if not text.isdigit():
        raise ValueError(f"--at takes first, last, or an optimizer step; not {text!r}.")
    return run.nearest(int(text))


def _at(objective: Objective, run: Trajectory, asked: Asked, path: Path, seed: int) -> None:
    from dataclasses import replace

    from landscape.analysis.curvature.density import spectral_density
    from landscape.analysis.curvature.spectrum import hessian_spectrum
    from landscape.analysis.curvature.trace import hessian_trace

    index, key = _state(run, asked.at), inputs.run_key(run)
    state = run.state(index)
    buffers = run.buffers(index) if objective.batch_norm == "frozen" else None
    products = _EACH * (asked.top + asked.bottom) + 30 * asked.trace + 200 * asked.density
    say_cost(objective, state, products, "curvature")
    options = {"buffers": buffers, "tensors": asked.tensors, "seed": seed}
    try:
        found = hessian_spectrum(
            objective, state, top=asked.top, bottom=asked.bottom,
            tolerance=asked.share("tolerance") or 1e-3, zero=asked.share("zero"), **options,
        )  # fmt: skip
    except Interrupted as stop:
        if stop.partial is not None:
            stop.partial.save(path, f"spectrum/{key}")
            typer.echo(f"\nStopped. What is known, with its residuals, is in {path}.")
        raise typer.Exit(130) from None
    at = {"step": int(run.steps[index])}
    found = replace(found, settings={**found.settings, "at": at["step"], "run": run.path.name})
    found.save(path, f"spectrum/{key}")
    typer.echo(
        f"{path}: spectrum/{key}, step {at['step']}, loss {found.loss:.4g}, {found.products} "
        f"products; rounding {found.floor:.1g}"
    )
    for sentence in found.sentences():
        typer.echo(f"  {sentence}")
    if asked.trace:
        sum_ = hessian_trace(objective, state, spectrum=found, **options)
        sum_.save(path, f"trace/{key}")
        typer.echo(f"{path}: trace/{key}, {sum_.value:.4g} ± {sum_.standard_error:.2g}")
        for name, value, error in zip(
            sum_.tensors, sum_.tensor_value, sum_.tensor_error, strict=True
        ):
            typer.echo(f"  {name:32} {value:.4g} ± {error:.2g}")
    if asked.density:
        nodes = spectral_density(objective, state, spectrum=found, **options)
        nodes.save(path, f"density/{key}")
        low = float(nodes.share_below(np.array([0.0]))[0])
        typer.echo(f"{path}: density/{key}, about {low:.0%} of the eigenvalues are not positive")


def _along(
    objective: Objective, run: Trajectory, path: Path, *, every: int, top: int, tolerance: float,
    batch: int | None, seed: int, units: str | None, engine: object,
) -> None:  # fmt: skip
    from landscape.analysis.curvature.path import curvature_path
    from landscape.results.curvature_path import CurvaturePath

    key = inputs.run_key(run)
    states = len(range(0, int(run.steps[-1]) + 1, every))
    say_cost(objective, run.final, states * (_EACH + 4 * top), f"curvature of {run.name}")
    try:
        found = curvature_path(
            objective, run, every=every, top=top, tolerance=tolerance, batch_size=batch, seed=seed,
            resume=CurvaturePath.find(path, f"curvature/{key}"),
            units=units, engine=engine,  # pyright: ignore[reportArgumentType]
        )  # fmt: skip
    except Interrupted as stop:
        stop.partial.save(path, f"curvature/{key}")
        typer.echo(f"\nStopped. {int(stop.partial.computed.sum())} finished states are in {path}.")
        raise typer.Exit(130) from None
    found.save(path, f"curvature/{key}")
    typer.echo(f"{path}: curvature/{key}, {len(found.step)} states; {_said(found)}")


def _said(path: CurvaturePath) -> str:
    late = slice(-max(1, len(path.step) // 3), None)
    top = f"λ1 {path.value[0, 0]:.3g} at first, {path.value[-1, 0]:.3g} at the end"
    ratio = path.relative_sharpness[late]
    if np.isfinite(ratio).any():
        return f"{top}; in the last third {np.nanmean(ratio):.2f} of {path.condition}"
    if path.condition:
        how = "were not recorded (landscape record --optimizer-state), so not compared"
        return f"{top}; {path.condition}: second moments {how}"
    return f"{top}; no threshold is known for {path.optimizer or 'this optimizer'}"
