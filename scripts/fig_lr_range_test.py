"""The learning-rate range test: raise the rate geometrically until the loss explodes.

After Smith 2017 (arXiv:1506.01186). A good rate lies somewhat below the one with the smallest
loss; the test sees one run and noisy mini-batch losses, so it gives an order of magnitude.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.path import running_mean
from landscape.plots.style import look

TOP = {"sgd": 10.0, "momentum": 3.0, "adam": 1.0}


def main() -> None:
    script = Script("fig_lr_range_test", __doc__)
    said = []
    with ls.style("neurips", columns=2):
        figure = Figure()
        ax = figure.add_subplot()
        for name, top in TOP.items():
            run = script.run("mlp", name, steps=250, lr=top, schedule="range")
            path = script.measured(f"path/{name}", lambda run=run: ls.path_metrics(run))
            loss = running_mean(np.minimum(path.losses, 1e3), 9)
            ax.plot(path.learning_rate, loss, **look(name).line, label=run.name)
            best = int(np.nanargmin(loss))
            ax.plot(path.learning_rate[best], loss[best], look(name).marker, color=look(name).color)
            said.append(f"{run.name} {path.learning_rate[best]:.2g}")
        ax.set(xscale="log", ylim=(0, 4), xlabel="learning rate", ylabel="mini-batch loss")
        ax.legend()
        script.save(figure, f"Rate with the smallest loss (mean of 9): {', '.join(said)}.")


if __name__ == "__main__":
    main()
