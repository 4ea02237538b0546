"""A curve of low loss between two networks, where the straight line has a barrier.

After Garipov et al. 2018 (arXiv:1802.10026, figure 1): the training loss on the plane through two
networks from different initialisations and the bend of the quadratic Bézier curve between them,
which lies in that plane. Below: the loss along both ways, and that of the points that a cyclical
learning rate collects from the first network (fast geometric ensembling) and of their mean
(stochastic weight averaging).

Against the original: the same plane, the same three points and the same legible valley; a small
net and training loss instead of ResNet-164 and test error, levels in place instead of a colour bar
alone, and the off-plane distance is told.
"""

from __future__ import annotations

import numpy as np
import torch
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.style import looks

MODEL, STEPS, CYCLES, CYCLE = "mlp-64-64-relu", 1500, 6, 100


def main() -> None:
    script = Script("fig_curve", __doc__)
    runs = [
        script.run_on(
            *script.task(MODEL, seed=seed), "adam", steps=STEPS, seed=seed, batch_size=100,
            every=None, name=f"network {seed + 1}",
        )
        for seed in (0, 1)
    ]  # fmt: skip
    a, b = (run.final for run in runs)
    objective = script.objective(MODEL)
    steps = 20 if script.smoke else 1000
    curve = script.measured("curve", lambda: ls.find_curve(objective, a, b, steps=steps))
    plane = ls.plane_through(a, b, curve.points[1], axes="orthonormal", names=("1", "2", "bend"))
    path = script.measured(
        "projection", lambda: ls.project_curve(curve, plane, objective=objective)
    )
    surface = script.measured(
        "surface",
        lambda: ls.loss_surface(
            objective, plane, extent="trajectory", margin=0.25, resolution=5 if script.smoke else 41
        ),
    )
    profile = script.measured("profile", lambda: ls.curve_profile(objective, curve))
    collected = collect(script, runs[0])
    losses = [float(objective.at(theta).mean[0, 0]) for theta in collected]
    averaged = float(objective.at(ls.average(collected)).mean[0, 0])
    styles = looks(profile.names)
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 3.7))
        rows = figure.add_gridspec(2, 2, height_ratios=(1.35, 1), width_ratios=(1.6, 1))
        land = figure.add_subplot(rows[0, :])
        ls.plot_surface(surface, ax=land)
        land.set_yticks((0, 5, 10))
        ways = path.coordinates, path.coordinates[[0, -1]]
        for way, style in zip(ways, styles, strict=True):
            land.plot(*way.T, color="white", linewidth=2.6, alpha=0.8)
            land.plot(*way.T, **style.line)
        along, ends = (figure.add_subplot(rows[1, column]) for column in (0, 1))
        ls.plot_profile(profile, ax=along)
        along.set_title("", loc="left")
        along.set_xlabel("t (0: network 1, 1: network 2)")
        cycles, color = np.arange(1, len(collected) + 1), "#D55E00"
        ends.axhline(profile.loss[0, 0], color="0.6", linestyle="--")
        ends.annotate(
            "network 1", (1, profile.loss[0, 0]), (0, -2), textcoords="offset points", va="top"
        )
        ends.plot(cycles, losses, "o", color=color)
        ends.plot(len(cycles) + 1, averaged, "*", color=color, markersize=9)
        ends.set(
            xlabel="cycle of the learning rate",
            ylabel="loss at its end",
            ylim=(0, 1.1 * max(losses)),
        )
        ends.set_xticks(np.arange(1, len(cycles) + 2), [*map(str, cycles), "mean"])
        way, line = profile.loss
        off = [plane.coordinates(theta)[1] for theta in collected]
        script.save(
            figure,
            f"{objective.settings['task']}, Adam, {STEPS} steps each. Training loss "
            f"{way[0]:.3f} and {way[-1]:.3f} at the ends; at most {way.max():.3f} on the curve and "
            f"{line.max():.3f} on the straight line. The curve is at most "
            f"{path.residual.max():.1g} off the plane. Dots: the ends of {len(collected)} cycles "
            f"of a learning rate from network 1, {min(off):.2g} to {max(off):.2g} off the plane; "
            f"star: their mean, loss {averaged:.3f} where theirs are {np.mean(losses):.3f} on "
            "average.",
        )


def collect(script: Script, run: ls.Trajectory) -> list[np.ndarray]:
    """The ends of the cycles of a learning rate that falls from 0.3 to 0.003 in each."""
    _, task = script.task(MODEL)
    ls.restore(task.model, run, -1)
    optimizer = torch.optim.SGD(task.model.parameters())
    cycles, cycle = (2, 5) if script.smoke else (CYCLES, CYCLE)
    found, draw = [], torch.Generator().manual_seed(0)
    for step in range(cycles * cycle):
        optimizer.param_groups[0]["lr"] = 0.3 * 0.01 ** (step % cycle / (cycle - 1))
        index = torch.randint(len(task.train[0]), (100,), generator=draw)
        optimizer.zero_grad()
        task.loss(task.model, tuple(part[index] for part in task.train)).mean().backward()
        optimizer.step()
        if step % cycle == cycle - 1:
            found.append(ls.Objective(task.model, task.loss, task.train).parameters().copy())
    return found


if __name__ == "__main__":
    main()
