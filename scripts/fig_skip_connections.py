"""Skip connections make the loss surface smooth: Li et al. 2018, Figure 1, on their own networks.

Measures the filter-normalized surface and random lines around the two published ResNet-56, with
and without shortcuts (arXiv:1712.09913; checkpoints of github.com/tomgoldstein/loss-landscape,
below data/checkpoints/li2018_resnet56), draws them, and prints the numbers behind the claim:

    the share of the plane where the loss exceeds a ceiling: ln 10, which is guessing, and 10
    how convex the lines are: the share of points below the chord of their neighbours, and the
    largest height of a line above its convex envelope (0: convex)
    how far from the centre the loss first exceeds ln 10, in filter norms

Ctrl-C keeps the points of a surface and the finished lines: the same command measures the rest.

    python scripts/fig_skip_connections.py --resolution 51 --samples 1000
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.save import save_figure
from landscape.plots.style import styled
from landscape.recording.checkpoints import load_state
from landscape.tasks.folders import find_data

NETS = {
    "with skips": ("cifar10/resnet56", "resnet56_sgd_lr0.1_bs128_wd0.0005_model_300.t7"),
    "without skips": (
        "cifar10/resnet56-noskip",
        "resnet56_noshort_sgd_lr0.1_bs128_wd0.0005_model_300.t7",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--resolution", type=int, default=21, help="points per axis, odd")
    parser.add_argument("--samples", type=int, default=128, help="training images per point")
    parser.add_argument("--directions", type=int, default=10, help="random lines per network")
    parser.add_argument("--out", type=Path, default=Path("data/skip_connections.results.h5"))
    parser.add_argument("--figure", type=Path, default=Path("figures/skip_connections.png"))
    args = parser.parse_args()
    objectives = {name: objective_of(name, args.samples) for name in NETS}
    try:
        for name, objective in objectives.items():
            measure_surface(name, objective, args)
        for name, objective in objectives.items():
            measure_lines(name, objective, args)
    except ls.Interrupted:
        raise SystemExit("Interrupted; the same command measures the rest.") from None
    results = ls.load_results(args.out)
    report(results)
    draw(results, args.figure)


def objective_of(name: str, samples: int) -> ls.Objective:
    task_name, file = NETS[name]
    task = ls.load_task(task_name)
    task.model.load_state_dict(load_state(find_data("checkpoints/li2018_resnet56", [file])[file]))
    settings = {"task": task_name, "checkpoint": file}
    return ls.Objective(
        task.model, task.loss, task.train, batch_size=32, samples=samples, settings=settings
    )


def measure_surface(name: str, objective: ls.Objective, args: argparse.Namespace) -> None:
    plane, group = ls.random_plane(objective.parameters(), objective.layout), f"surface/{name}"
    known = ls.Surface.find(args.out, group)
    try:
        surface = ls.loss_surface(objective, plane, resolution=args.resolution, resume=known)
    except ls.Interrupted as stop:
        stop.partial.save(args.out, group)
        raise
    surface.save(args.out, group)


def measure_lines(name: str, objective: ls.Objective, args: argparse.Namespace) -> None:
    for seed in range(1, args.directions + 1):
        line = ls.random_line(objective.parameters(), objective.layout, seed=seed)
        group = f"line/{name}/{seed}"
        known = ls.Profile.find(args.out, group)
        settings = {**line.settings, **objective.settings}
        if known and len(known.alpha) == args.resolution and known.settings == settings:
            continue
        found = ls.loss_line(objective, line, extent=(-1, 1), resolution=args.resolution)
        found.save(args.out, group)


def report(results: dict[str, Any]) -> None:
    for name in NETS:
        surface, lines = results[f"surface/{name}"], lines_of(results, name)
        loss = surface.loss
        below, bump, reach = np.transpose([convexity(line) for line in lines])
        print(
            f"ResNet-56 {name}: {loss.shape[1]} x {loss.shape[0]} points, "
            f"{surface.settings['samples']} training images\n"
            f"  plane: loss {np.nanmin(loss):.3g} to {np.nanmax(loss):.3g}; above ln 10 on "
            f"{np.mean(~(loss <= math.log(10))):.0%}, above 10 on {np.mean(~(loss <= 10)):.0%}\n"
            f"  {len(lines)} lines (10, 50, 90 % of them):\n"
            f"    points below the chord of their neighbours {quantiles(below, '.0%')}\n"
            f"    largest height above the convex envelope   {quantiles(bump, '.2g')}\n"
            f"    loss exceeds ln 10 at distance             {quantiles(reach, '.2f')}"
        )


def lines_of(results: dict[str, Any], name: str) -> list[Any]:
    return [result for group, result in results.items() if group.startswith(f"line/{name}/")]


def convexity(line: Any) -> tuple[float, float, float]:
    """Share of convex points, height above the convex envelope, distance to guessing."""
    x, y = line.alpha, line.loss[0]
    envelope = [min(chord(x, y, i)) for i in range(len(x))]
    far = np.abs(x)[~(y <= math.log(10))]
    return (
        float(np.mean(np.diff(y, 2) >= 0)),
        float(np.max(y - envelope)),
        float(far.min(initial=np.inf)),
    )


def chord(x: np.ndarray, y: np.ndarray, i: int) -> list[float]:
    """Heights at x[i] of all chords between a point on its left and one on its right."""
    between = [
        y[a] + (y[b] - y[a]) * (x[i] - x[a]) / (x[b] - x[a])
        for a in range(i)
        for b in range(i + 1, len(x))
    ]
    return [y[i], *between]


def quantiles(values: np.ndarray, form: str) -> str:
    return ", ".join(format(v, form) for v in np.quantile(values, (0.1, 0.5, 0.9)))


def draw(results: dict[str, Any], path: Path) -> None:
    """Contours at .1, .6, 1.1, ... as in the paper; below, all lines with their quantile band."""
    levels, ticks = np.arange(0.1, 10, 0.5), (-1, -0.5, 0, 0.5, 1)
    with styled("paper", columns=2):
        figure = Figure()
        figure.set_size_inches(6.4, 5.4)
        axes = figure.subplots(2, 2, height_ratios=(2, 1), sharey="row")
        for (above, below), name in zip(axes.T, NETS, strict=True):
            surface, lines = results[f"surface/{name}"], lines_of(results, name)
            grid = (surface.alpha, surface.beta, surface.loss)
            above.contourf(*grid, levels, cmap="viridis", extend="both")
            above.contour(*grid, levels, colors="black", linewidths=0.3, alpha=0.6)
            above.set(title=f"ResNet-56 {name}", xlabel="direction 1", aspect="equal")
            above.set(xticks=ticks, yticks=ticks)
            losses = np.concatenate([line.loss for line in lines])
            low, middle, high = np.quantile(losses, (0.1, 0.5, 0.9), axis=0)
            below.plot(lines[0].alpha, losses.T, color="0.7", linewidth=0.4)
            below.fill_between(lines[0].alpha, low, high, color="#0072B2", alpha=0.25, linewidth=0)
            below.plot(lines[0].alpha, middle, color="#0072B2", label="median, 10 to 90 %")
            below.axhline(math.log(10), color="0.2", linestyle=":", label="guessing")
            below.set(
                yscale="log", xlabel=f"{len(lines)} random directions", xlim=(-1, 1), xticks=ticks
            )
        axes[0, 0].set_ylabel("direction 2")
        axes[1, 0].set_ylabel("loss")
        axes[1, 1].legend(loc="lower left")
        colors = ScalarMappable(Normalize(levels[0], levels[-1]), "viridis")
        figure.colorbar(colors, ax=axes[0], shrink=0.9, label="loss", extend="both")
        for kind in (".png", ".pdf"):
            save_figure(figure, path.with_suffix(kind), results=results)


if __name__ == "__main__":
    main()
