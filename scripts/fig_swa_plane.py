"""Stochastic weight averaging: the mean of three weights lies lower on the test surface.

After Izmailov et al. 2018 (arXiv:1803.05407, figure 1): training loss and test error on the plane
through three weights of one run at a constant learning rate. The network has no batch norm, so no
statistics need to be estimated anew.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.style import styled

LR, STEPS = 0.3, 900


def main() -> None:
    script = Script("fig_swa_plane", __doc__)
    run = script.run(
        "mlp", "sgd", steps=STEPS, lr=LR, batch_size=32, every=1 if script.smoke else 5
    )
    chosen = [run.state(i) for i in np.linspace(len(run) * 0.5, len(run) - 1, 3).astype(int)]
    plane = ls.plane_through(*chosen)
    mean = np.mean(chosen, axis=0, dtype=np.float64).astype(np.float32)
    name, task = script.task("mlp")
    said = []
    with styled("paper", columns=2):
        figure = Figure(figsize=(7, 3))
        for place, (part, metric) in enumerate((("train", "loss"), ("test", "error"))):
            data = {"train": task.train, "test": task.test}[part]
            objective = ls.Objective(
                task.model, task.loss, data, metrics=task.metrics,
                settings={"task": f"{name}, {part}"}, samples=50 if script.smoke else 5000,
            )  # fmt: skip
            surface = script.measured(
                f"surface/{part}",
                lambda objective=objective: ls.loss_surface(
                    objective, plane, extent=(-0.6, 1.6, -0.6, 1.6),
                    resolution=5 if script.smoke else 27,
                ),
            )  # fmt: skip
            ax = figure.add_subplot(1, 2, place + 1)
            ls.plot_surface(surface, metric=metric, ax=ax)
            ax.plot([0, 1, 0], [0, 0, 1], "o", color="white", markeredgecolor="black")
            for place_of, label in zip(((0, 0), (1, 0), (0, 1)), ("w₁", "w₂", "w₃"), strict=True):
                ax.annotate(label, place_of, (4, 4), textcoords="offset points", color="white")
            ax.plot(1 / 3, 1 / 3, "*", color="#D55E00", markersize=11, markeredgecolor="white")
            row = surface.metrics.index(metric)
            ends = [float(objective.at(theta).mean[row, 0]) for theta in (*chosen, mean)]
            said.append(
                f"{part} {metric}: {ends[0]:.4f}, {ends[1]:.4f}, {ends[2]:.4f} at the three "
                f"weights (circles), {ends[3]:.4f} at their mean (star)"
            )
        script.save(figure, f"SGD, learning rate {LR}, batch 32. {'; '.join(said)}.")


if __name__ == "__main__":
    main()
