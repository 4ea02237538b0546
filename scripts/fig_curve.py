"""A curve of low loss between two networks, where the straight line has a barrier.

After Garipov et al. 2018 (arXiv:1802.10026, figure 1): the training loss on the plane through two
networks from different initialisations and the bend of the quadratic Bézier curve between them,
which lies in that plane. Right: the loss along both ways. Beside the first network, points that a
cyclical learning rate collects (fast geometric ensembling), and their mean (stochastic weight
averaging).

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
    mean = ls.average(collected)
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.6))
        left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
        ls.plot_surface(surface, paths=[path], ax=left)
        located = np.array([plane.coordinates(theta)[0] for theta in collected])
        left.plot(*located.T, ".", color="#D55E00", zorder=8, gid="fge")
        left.plot(*plane.coordinates(mean)[0], "*", color="#D55E00", markersize=9, zorder=9)
        ls.plot_profile(profile, ax=right)
        right.set_title("", loc="left")
        way, line = profile.loss
        off = max(plane.coordinates(theta)[1] for theta in collected)
        script.save(
            figure,
            f"{objective.settings['task']}, Adam, {STEPS} steps each. Training loss "
            f"{way[0]:.3f} and {way[-1]:.3f} at the ends; at most {way.max():.3f} on the curve and "
            f"{line.max():.3f} on the straight line. The curve is at most "
            f"{path.residual.max():.1g} off the plane. Dots: {len(collected)} points of a cyclical "
            f"learning rate from network 1 (up to {off:.2g} off the plane), star: their mean, loss "
            f"{objective.at(mean).mean[0, 0]:.3f} where theirs are "
            f"{np.mean([objective.at(theta).mean[0, 0] for theta in collected]):.3f} on average.",
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
