"""Sizes of the gradients in the first hundred steps: Adam, Adam with warm-up, RAdam.

After Liu et al. 2020 (arXiv:1908.03265, figure 2): without warm-up Adam's first adaptive rates
rest on few gradients; in their translation network the gradients then collapse to tiny values.
Mini-batch gradients of a small network, counted by the recorder at every step; they need not
collapse. Darker is a larger share of the entries, the same in all panels.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls

LR, STEPS = 0.03, 100
RUNS = {
    "Adam": ("adam", "constant"),
    "Adam, warm-up": ("adam", "warmup"),
    "RAdam": ("radam", "constant"),
}


def main() -> None:
    script = Script("fig_radam_gradient_histogram", __doc__)
    found = []
    for name, (optimizer, schedule) in RUNS.items():
        run = script.run(
            "mlp", optimizer, steps=STEPS, lr=LR, schedule=schedule, name=name,
            gradient_histogram=True,
        )  # fmt: skip
        found.append(script.measured(f"gradients/{name}", partial(ls.gradient_histogram, run)))
    most = max(np.nanmax(histogram.share[:, 1:-1]) for histogram in found)
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.1))
        grid = figure.subplots(1, len(found), sharey=True)
        for ax, histogram in zip(grid, found, strict=True):
            last = ax is grid[-1]
            ls.plot_gradient_histogram(histogram, most=most, bar=last, ax=ax)
            ax.label_outer()
            if not last:
                ax.get_legend().remove()
        lows, highs = zip(*(ax.get_ylim() for ax in grid), strict=True)
        grid[0].set_ylim(min(lows), max(highs))
        medians = [histogram.quantiles([0.5])[0] for histogram in found]
        said = [f"{h.name} {m[0]:.1e} → {m[-1]:.1e}" for h, m in zip(found, medians, strict=True)]
        script.save(
            figure, f"Learning rate {LR}. Median |gradient|, first → last: {'; '.join(said)}."
        )


if __name__ == "__main__":
    main()
