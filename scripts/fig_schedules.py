"""Warm-up, trapezoid and one-cycle: learning rate, momentum and loss over a run.

One-cycle (Smith & Topin 2018, arXiv:1708.07120) moves momentum against the rate. All runs are
SGD with momentum; for each of five seeds they start from the same weights and see the same batches.
The loss is the median over the seeds, with the range of all of them.

Against the original: the same pair of opposed curves of rate and momentum; two other schedules
beside it, on a small net, with the range of five seeds.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.path import running_mean
from landscape.plots.repeats import plot_repeats, told
from landscape.plots.style import look

# A colour each: they are kinds, not degrees.
SCHEDULES = {"constant": "sgd", "warmup": "adam", "trapezoid": "momentum", "one-cycle": "radam"}
LR, STEPS = 0.1, 400


def main() -> None:
    script = Script("fig_schedules", __doc__)
    objective = script.objective("mlp")
    said = []
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.3))
        rates, momenta, losses = figure.subplots(1, 3)
        for name, color in SCHEDULES.items():
            style = look(color)
            runs = script.repeats("mlp", "momentum", steps=STEPS, lr=LR, schedule=name, name=name)
            paths = [
                script.measured(f"path/{name}-{seed}", lambda run=run: ls.path_metrics(run))
                for seed, run in enumerate(runs)
            ]
            momentum = runs[0].scalars.get("momentum", np.full(len(runs[0]) - 1, 0.9))
            wide = {"linewidth": 3.0} if name == "constant" else {}  # seen below the others
            rates.plot(paths[0].step, paths[0].learning_rate, **style.line, **wide)
            momenta.plot(runs[0].steps[1:], momentum, **style.line, **wide)
            smooth = [running_mean(path.losses, 15) for path in paths]
            plot_repeats(paths[0].step, smooth, style, label=name, ax=losses)
            ends = [float(objective.at(run.final).mean[0, 0]) for run in runs]
            said.append(f"{name} {told(ends)}")
        rates.set(ylabel="learning rate")
        momenta.set(ylabel="momentum", ylim=(0.84, 0.96), yticks=(0.85, 0.9, 0.95))
        losses.set(ylabel="mini-batch loss\n(mean of 15, median and range)", yscale="log")
        losses.set_yticks((0.2, 0.3, 0.5, 1, 2), ("0.2", "0.3", "0.5", "1", "2"))
        losses.minorticks_off()
        for ax in figure.axes:
            ax.set_xlabel("optimizer step")
        figure.legend(loc="outside lower center", ncols=len(SCHEDULES))
        script.save(
            figure,
            f"Top rate {LR}. Training loss at the end, median and range of {len(script.seeds)} "
            f"seeds: {', '.join(said)}.",
        )


if __name__ == "__main__":
    main()
