"""Instability analysis: from when on does the order of the data no longer decide the basin?

After Frankle et al. 2020 (arXiv:1912.05671, figure 2): a run is copied at step k, two copies
go on with other orders of the data, and the barrier between their ends is drawn over k. Below 2 %
error (dotted) the paper calls a network stable. The copies begin with a new state of Adam.

Against the original: the same axes, the same 2 % line and the same fall with k; a small net and
three seeds instead of ResNet-20 and three, so k is in steps where theirs is in epochs.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls

MODEL = "mlp-32-32-32-relu"
STEPS, FORKS, SEEDS = 1000, (0, 3, 10, 30, 100, 300), (0, 1, 2)
LR, BATCH = 0.01, 50


def main() -> None:
    script = Script("fig_instability", __doc__)
    seeds, forks = (SEEDS[:1], (0, 6)) if script.smoke else (SEEDS, FORKS)
    steps = 12 if script.smoke else STEPS
    found = {d: np.zeros((2, len(seeds), len(forks))) for d in ("train", "test")}
    name, _ = script.task(MODEL)
    for row, seed in enumerate(seeds):
        _, task = script.task(MODEL, seed=seed)
        start = script.run_on(
            name, task, "adam", steps=steps, lr=LR, batch_size=BATCH, seed=seed, every=1
        )  # fmt: skip
        for column, fork in enumerate(forks):
            ends = []
            for order in (1, 2):  # the copies
                ls.restore(task.model, start, start.nearest(fork))
                copy = script.run_on(
                    name, task, "adam", steps=max(steps - fork, 1), lr=LR, batch_size=BATCH,
                    seed=100 * (seed + 1) + order, every=None, name=f"{seed} from {fork}",
                )  # fmt: skip
                ends.append(copy.final)
            for part, data in (("train", task.train), ("test", task.test)):
                objective = ls.Objective(task.model, task.loss, data, metrics=task.metrics,
                                         settings={"task": f"{name}, {part}"})  # fmt: skip
                pair = script.measured(
                    f"barriers/{part}/{seed}/{fork}",
                    lambda objective=objective, ends=ends: ls.barriers(objective, ends),
                )
                for m, metric in enumerate(("loss", "error")):
                    found[part][m, row, column] = pair.refined("frankle2020", metric=metric)[0]
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.3))
        for m, metric in enumerate(("error", "loss")):
            ax = figure.add_subplot(1, 2, m + 1)
            for part, color in (("train", "#0072B2"), ("test", "#D55E00")):
                values = found[part][1 - m]
                ax.plot(forks, values.T, color=color, alpha=0.3, linewidth=0.7)
                ax.plot(forks, values.mean(0), "o-", color=color, label=f"{part}, mean of seeds")
            ax.set(xlabel="step k at which the copies part", ylabel=f"{metric} barrier")
            ax.set_xscale("symlog", linthresh=10)
            ax.set_ylim(bottom=0)
        figure.axes[0].axhline(0.02, color="0.4", linestyle=":", label="2 %, stable below")
        figure.axes[0].legend(handles=figure.axes[0].lines[-1:])
        figure.axes[1].legend()
        error = found["test"][1].mean(0)
        script.save(
            figure,
            f"{name}, Adam, learning rate {LR}, batch {BATCH}, {steps} steps; barriers above the "
            f"mean of the ends. Test error barrier, mean of {len(seeds)} seeds: "
            + ", ".join(f"{e:.1%} for k = {k}" for k, e in zip(forks, error, strict=True)) + ".",
        )  # fmt: skip


if __name__ == "__main__":
    main()
