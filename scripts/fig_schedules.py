"""Warm-up, trapezoid and one-cycle: learning rate, momentum and loss over a run.

One-cycle (Smith & Topin 2018, arXiv:1708.07120) moves momentum against the rate. All runs are
SGD with momentum from the same weights, on the same batches.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.path import running_mean
from landscape.plots.style import looks, styled

SCHEDULES = ("constant", "warmup", "trapezoid", "one-cycle")
LR, STEPS = 0.1, 400


def main() -> None:
    script = Script("fig_schedules", __doc__)
    objective = script.objective("mlp")
    said = []
    with styled("paper", columns=2):
        figure = Figure(figsize=(7, 2.8))
        rates, momenta, losses = figure.subplots(1, 3)
        for name, style in zip(SCHEDULES, looks(["momentum"] * len(SCHEDULES)), strict=True):
            run = script.run("mlp", "momentum", steps=STEPS, lr=LR, schedule=name, name=name)
            path = script.measured(f"path/{name}", lambda run=run: ls.path_metrics(run))
            momentum = run.scalars.get("momentum", np.full(len(run) - 1, 0.9))
            rates.plot(path.step, path.learning_rate, **style.line)
            momenta.plot(run.steps[1:], momentum, **style.line)
            losses.plot(path.step, running_mean(path.losses, 15), **style.line, label=name)
            said.append(f"{name} {float(objective.at(run.final).mean[0, 0]):.4f}")
        rates.set(ylabel="learning rate")
        momenta.set(ylabel="momentum", ylim=(0.8, 1))
        losses.set(ylabel="mini-batch loss (mean of 15)", yscale="log")
        losses.set_yticks((0.2, 0.3, 0.5, 1, 2), ("0.2", "0.3", "0.5", "1", "2"))
        losses.minorticks_off()
        for ax in figure.axes:
            ax.set_xlabel("optimizer step")
        figure.legend(loc="outside lower center", ncols=len(SCHEDULES))
        script.save(figure, f"Top rate {LR}. Training loss at the end: {', '.join(said)}.")


if __name__ == "__main__":
    main()
