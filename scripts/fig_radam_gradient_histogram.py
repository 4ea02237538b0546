"""Sizes of the gradients in the first hundred steps: Adam, Adam with warm-up, RAdam.

After Liu et al. 2020 (arXiv:1908.03265, figure 2): without warm-up Adam's first adaptive rates
rest on few gradients; in their translation network the gradients then collapse to tiny values.
Mini-batch gradients of a small network, counted by the recorder at every step; they need not
collapse. Darker is a larger share of the entries, the same in all panels.

Against the original: the same three panels and axes; a small net whose gradients need not
collapse, and all panels share one scale of grey.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.repeats import told

LR, STEPS = 0.03, 100
RUNS = {
    "Adam": ("adam", "constant"),
    "Adam, warm-up": ("adam", "warmup"),
    "RAdam": ("radam", "constant"),
}


def main() -> None:
    script = Script("fig_radam_gradient_histogram", __doc__)
    found, repeats = [], []
    for name, (optimizer, schedule) in RUNS.items():
        runs = script.repeats(
            "mlp", optimizer, steps=STEPS, lr=LR, schedule=schedule, name=name,
            gradient_histogram=True,
        )  # fmt: skip
        repeats.append(
            [
                script.measured(f"gradients/{name}-{seed}", partial(ls.gradient_histogram, run))
                for seed, run in enumerate(runs)
            ]
        )
        found.append(repeats[-1][0])
    most = max(np.nanmax(histogram.share[:, 1:-1]) for histogram in found)
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.1))
        grid = figure.subplots(1, len(found), sharey=True)
        for ax, histogram in zip(grid, found, strict=True):
            last = ax is grid[-1]
            ls.plot_gradient_histogram(histogram, most=most, bar=last, ax=ax)
            ax.label_outer()
            ax.get_legend().remove()
        grid[-1].legend(loc="lower left")  # where no line is
        lows, highs = zip(*(ax.get_ylim() for ax in grid), strict=True)
        grid[0].set_ylim(min(lows), max(highs))
        said = []
        for seeds in repeats:
            medians = [one.quantiles([0.5])[0] for one in seeds]
            first, last = ([float(m[k]) for m in medians] for k in (0, -1))
            said.append(f"{seeds[0].name} {told(first, 2)} → {told(last, 2)}")
        script.save(
            figure,
            f"Learning rate {LR}; drawn is one seed. Median |gradient|, first → last, median and "
            f"range of {len(script.seeds)} seeds: {'; '.join(said)}.",
        )


if __name__ == "__main__":
    main()
