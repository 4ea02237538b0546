"""Skip connections make the loss surface smooth, on the published ResNet-56 pair.

After Li et al. 2018, figure 1 (arXiv:1712.09913), with their own networks, with and without
shortcuts (github.com/tomgoldstein/loss-landscape), and with numbers for the claim: the share of
the plane where the loss exceeds that of guessing, ln 10; how far from the centre random lines
exceed it; and how convex the lines are: the share of points below the chord of their neighbours,
and the largest height of a line above its convex envelope (0: convex). Filter-normalized random
directions, contours at .1, .6, 1.1, ... below 10 as in the paper. Ctrl-C keeps what was measured.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gallery import Script
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

import landscape as ls
from landscape.exchange.checkpoints.state import load_state
from landscape.tasks.folders import find_data

RESOLUTION, SAMPLES, DIRECTIONS = 31, 128, 10  # in the paper 51, 50,000 and 1
NETS = {
    "with skips": ("cifar10/resnet56", "resnet56_sgd_lr0.1_bs128_wd0.0005_model_300.t7"),
    "without skips": (
        "cifar10/resnet56-noskip",
        "resnet56_noshort_sgd_lr0.1_bs128_wd0.0005_model_300.t7",
    ),
}


def main() -> None:
    script = Script("fig_skip_connections", __doc__)
    size, samples, directions = (3, 4, 2) if script.smoke else (RESOLUTION, SAMPLES, DIRECTIONS)
    try:
        objectives = {name: objective_of(name, samples) for name in NETS}
    except FileNotFoundError as error:
        print(f"Nothing drawn, for want of the published networks or CIFAR-10. {error}")
        return
    for name, objective in objectives.items():
        measure_surface(script, name, objective, size)
    for name, objective in objectives.items():
        measure_lines(script, name, objective, size, directions)
    draw(script)


def objective_of(name: str, samples: int) -> ls.Objective:
    task_name, file = NETS[name]
    task = ls.load_task(task_name)
    task.model.load_state_dict(load_state(find_data("checkpoints/li2018_resnet56", [file])[file]))
    settings = {"task": task_name, "checkpoint": file}
    return ls.Objective(
        task.model, task.loss, task.train, batch_size=32, samples=samples, settings=settings
    )


def measure_surface(script: Script, name: str, objective: ls.Objective, size: int) -> None:
    plane, group = ls.random_plane(objective), f"surface/{name}"
    known = ls.Surface.find(script.file, group)
    try:
        surface = ls.loss_surface(objective, plane, resolution=size, resume=known)
    except ls.Interrupted as stop:
        stop.partial.save(script.file, group)
        raise SystemExit(f"Stopped; {script.file} has what was measured.") from None
    surface.save(script.file, group)


def measure_lines(
    script: Script, name: str, objective: ls.Objective, size: int, directions: int
) -> None:
    for seed in range(1, directions + 1):
        line = ls.random_line(objective, seed=seed)
        script.measured(
            f"line/{name}/{seed}",
            lambda at=line: ls.loss_line(objective, at, extent=(-1, 1), resolution=size),
        )


def lines_of(script: Script, name: str) -> list[Any]:
    return [line for group, line in script.results.items() if group.startswith(f"line/{name}/")]


def convexity(line: Any) -> tuple[float, float, float]:
    """Share of convex points, height above the convex envelope, distance to guessing."""
    x, y = line.alpha, line.loss[0]
    envelope = [min(chords(x, y, i)) for i in range(len(x))]
    far = np.abs(x)[~(y <= math.log(10))]
    return (
        float(np.mean(np.diff(y, 2) >= 0)),
        float(np.max(y - envelope)),
        float(far.min(initial=np.inf)),
    )


def chords(x: np.ndarray, y: np.ndarray, i: int) -> list[float]:
    """Heights at x[i] of all chords between a point on its left and one on its right."""
    between = [
        y[a] + (y[b] - y[a]) * (x[i] - x[a]) / (x[b] - x[a])
        for a in range(i)
        for b in range(i + 1, len(x))
    ]
    return [y[i], *between]


def spread(values: np.ndarray, form: str) -> str:
    low, middle, high = (format(v, form) for v in np.quantile(values, (0.1, 0.5, 0.9)))
    return f"{middle} ({low} to {high})"


def caption(script: Script) -> str:
    parts = []
    for name in NETS:
        loss = script.results[f"surface/{name}"].loss
        below, bump, reach = np.transpose([convexity(line) for line in lines_of(script, name)])
        parts.append(
            f"{name.capitalize()} the loss of the plane reaches {np.nanmax(loss):.3g} and exceeds "
            f"ln 10 on {np.mean(~(loss <= math.log(10))):.0%} of it, 10 on "
            f"{np.mean(~(loss <= 10)):.0%}; random lines exceed ln 10 at distance "
            f"{spread(reach, '.2f')}, {spread(below, '.0%')} of their points lie below the chord "
            f"of their neighbours, and they rise up to {spread(bump, '.2g')} above their convex "
            "envelope."
        )
    surface, count = script.results["surface/with skips"], len(lines_of(script, "with skips"))
    return (
        f"{' '.join(parts)} Median and 10 to 90 % of {count} lines. {len(surface.alpha)} x "
        f"{len(surface.beta)} points, {surface.settings['samples']} training images, batch norm "
        "frozen; a distance of 1 changes every filter by its own norm."
    )


def draw(script: Script) -> None:
    levels, ticks = np.arange(0.1, 10, 0.5), (-1, -0.5, 0, 0.5, 1)
    with ls.style("neurips", columns=2):
        figure = Figure()
        figure.set_size_inches(6.4, 5.4)
        axes = figure.subplots(2, 2, height_ratios=(2, 1), sharey="row")
        for (above, below), name in zip(axes.T, NETS, strict=True):
            surface, lines = script.results[f"surface/{name}"], lines_of(script, name)
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
        script.save(figure, caption(script))


if __name__ == "__main__":
    main()
