"""The learning-rate range test: raise the rate geometrically until the loss explodes.

After Smith 2017 (arXiv:1506.01186). A good rate lies somewhat below the one with the smallest
loss; the test sees noisy mini-batch losses of short runs, so it gives an order of magnitude. Lines
are medians over five seeds, bands their ranges.

Against the original: the same sweep; loss instead of accuracy, three optimizers, and a range of
five seeds, which the paper does not give.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.path import running_mean
from landscape.plots.repeats import plot_repeats, told
from landscape.plots.style import look

TOP = {"sgd": 10.0, "momentum": 3.0, "adam": 1.0}


def main() -> None:
    script = Script("fig_lr_range_test", __doc__)
    said = []
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.6))
        ax = figure.add_subplot()
        for name, top in TOP.items():
            runs = script.repeats("mlp", name, steps=250, lr=top, schedule="range")
            paths = [
                script.measured(f"path/{name}-{seed}", lambda run=run: ls.path_metrics(run))
                for seed, run in enumerate(runs)
            ]
            losses = [running_mean(np.minimum(path.losses, 1e3), 9) for path in paths]
            rates, style = paths[0].learning_rate, look(name)
            plot_repeats(rates, losses, style, label=runs[0].name, ax=ax)
            middle = np.median(losses, axis=0)
            best = int(np.nanargmin(middle))
            ax.plot(rates[best], middle[best], style.marker, color=style.color)
            said.append(f"{runs[0].name} {told([rates[np.nanargmin(one)] for one in losses], 2)}")
        ax.set(xscale="log", xlim=(None, 3), ylim=(0, 4), xlabel="learning rate")
        ax.set_ylabel("mini-batch loss\n(mean of 9, median and range)")
        ax.legend()
        script.save(
            figure,
            f"Rate with the smallest loss (mean of 9), median and range of {len(script.seeds)} "
            f"seeds: {', '.join(said)}.",
        )


if __name__ == "__main__":
    main()
