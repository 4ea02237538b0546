"""Skip connections make the loss surface smooth, on the published ResNet-56 pair.

After Li et al. 2018, figure 1 (arXiv:1712.09913), with their own networks, with and without
shortcuts (github.com/tomgoldstein/loss-landscape), and with numbers for the claim: the share of
the plane where the loss exceeds that of guessing, ln 10; how far from the centre random lines
exceed it; and how convex the lines are: the share of points below the chord of their neighbours,
and the largest height of a line above its convex envelope (0: convex). Filter-normalized random
directions; round levels up to 10, the same on both sides. Ctrl-C keeps what was measured.

Against the original: the same networks and the same contrast; 31 × 31 points on 128 images instead
of 51 × 51 on 50,000, round levels with values in place, one scale for both, and ten lines with
numbers, which the paper does not have.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.exchange.checkpoints.state import load_state
from landscape.plots.caption import title_above
from landscape.plots.levels import contour_levels
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
        measure_surface(script.file, name, objective, size)
    script.results = ls.load_results(script.file)
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


def measure_surface(
    file: Path, name: str, objective: ls.Objective, size: int, *, units: Path | None = None
) -> ls.Surface:
    """The surface of one network, kept in a file; only what it lacks is measured."""
    plane, group = ls.random_plane(objective), f"surface/{name}"
    known = ls.Surface.find(file, group)
    try:
        surface = ls.loss_surface(objective, plane, resolution=size, resume=known, units=units)
    except ls.Interrupted as stop:
        stop.partial.save(file, group)
        raise SystemExit(f"Stopped; {file} has what was measured.") from None
    surface.save(file, group)
    return surface


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
            f"ln 10 on {np.mean(~(loss <= math.log(10))):.1%} of it, 10 on "
            f"{np.mean(~(loss <= 10)):.1%}; random lines exceed ln 10 at distance "
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
    surfaces = [script.results[f"surface/{name}"] for name in NETS]
    levels = contour_levels(np.concatenate([s.loss for s in surfaces]), ceiling=10)
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 4.4))
        axes = figure.subplots(2, 2, height_ratios=(2, 1), sharey="row")
        for (above, below), name, surface in zip(axes.T, NETS, surfaces, strict=True):
            lines = lines_of(script, name)
            ls.plot_surface(surface, levels=levels, ax=above)
            title_above(above, f"ResNet-56 {name}")
            losses = np.concatenate([line.loss for line in lines])
            low, middle, high = np.quantile(losses, (0.1, 0.5, 0.9), axis=0)
            below.plot(lines[0].alpha, losses.T[:, 1:], color="0.7", linewidth=0.4)
            told = f"{len(lines)} directions, one by one"
            below.plot(lines[0].alpha, losses[0], color="0.7", linewidth=0.4, label=told)
            below.fill_between(
                lines[0].alpha, low, high, color="#0072B2", alpha=0.25, linewidth=0,
                label="80 % of them",
            )  # fmt: skip
            below.plot(lines[0].alpha, middle, color="#0072B2", label="their median")
            below.axhline(math.log(10), color="0.2", linestyle=":", label="guessing")
            below.set(yscale="log", xlabel="distance along a random direction", xlim=(-1, 1))
            below.set_xticks((-1, -0.5, 0, 0.5, 1))
            above.label_outer()
            below.label_outer()
            if surface is surfaces[0]:
                above.child_axes[0].remove()
        axes[1, 0].set_ylabel("loss")
        handles, labels = axes[1, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        script.save(figure, caption(script))


if __name__ == "__main__":
    main()
