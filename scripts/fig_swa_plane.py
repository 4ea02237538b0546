"""Stochastic weight averaging: the mean of three weights lies lower on the test surface.

After Izmailov et al. 2018 (arXiv:1803.05407, figure 1): training loss and test error on the plane
through three weights of one run at a constant learning rate. The network has no batch norm, so no
statistics need to be estimated anew.

Against the original: the same plane through three weights with the mean lower on the test surface
than they; a small net instead of a ResNet on CIFAR-100, equal distances on both axes, and five
seeds for the numbers.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.repeats import told

LR, STEPS = 0.3, 900


def main() -> None:
    script = Script("fig_swa_plane", __doc__)
    runs = script.repeats(
        "mlp", "sgd", steps=STEPS, lr=LR, batch_size=32, every=1 if script.smoke else 5
    )
    three = [
        [run.state(i) for i in np.linspace(len(run) * 0.5, len(run) - 1, 3).astype(int)]
        for run in runs
    ]
    plane = ls.plane_through(*three[0], axes="orthonormal", names=("w₁", "w₂", "w₃"))
    points = np.array([plane.coordinates(theta)[0] for theta in three[0]])
    low, high = points.min(axis=0), points.max(axis=0)
    around = np.stack([low, high]) + 0.5 * (high - low).max() * np.array([[-1], [1]])
    name, task = script.task("mlp")
    said = []
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.5))
        for place, (part, metric) in enumerate((("train", "loss"), ("test", "error"))):
            data = {"train": task.train, "test": task.test}[part]
            objective = ls.Objective(
                task.model, task.loss, data, metrics=task.metrics,
                settings={"task": f"{name}, {part}"}, samples=50 if script.smoke else 5000,
            )  # fmt: skip
            surface = script.measured(
                f"surface/{part}",
                lambda objective=objective: ls.loss_surface(
                    objective, plane, extent=tuple(around.T.ravel()),
                    resolution=5 if script.smoke else 51,
                ),
            )  # fmt: skip
            ax = figure.add_subplot(1, 2, place + 1)
            ls.plot_surface(surface, metric=metric, ax=ax)
            ax.plot(
                *points.mean(axis=0), "*", color="#D55E00", markersize=11, markeredgecolor="white"
            )
            row = surface.metrics.index(metric)
            single, mean = [], []
            for chosen in three:
                middle = np.mean(chosen, axis=0, dtype=np.float64).astype(np.float32)
                single += [float(objective.at(theta).mean[row, 0]) for theta in chosen]
                mean.append(float(objective.at(middle).mean[row, 0]))
            said.append(
                f"{part} {metric}: {told(single)} at the weights (circles), {told(mean)} at the "
                "means of three (star)"
            )
        script.save(
            figure,
            f"SGD, learning rate {LR}, batch 32; the surfaces are those of one seed, the numbers "
            f"median and range of {len(script.seeds)} seeds. {'; '.join(said)}.",
        )


if __name__ == "__main__":
    main()
