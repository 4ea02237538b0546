"""LAMB's trust ratio: how much of its own norm each layer moves per step.

After You et al. 2020 (arXiv:1904.00962). LAMB moves every tensor by the same share of its norm,
the learning rate; Adam's share differs between tensors by orders of magnitude. Measured from the
recorded states alone.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

from landscape.analysis.layers import layer_metrics
from landscape.plots.path import running_mean
from landscape.plots.style import styled

COLORS = ("#000000", "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#E69F00")


def main() -> None:
    script = Script("fig_lamb_trust_ratio", __doc__)
    said = []
    with styled("paper", columns=2):
        figure = Figure(figsize=(7, 2.9))
        grid = figure.subplots(1, 2, sharey=True)
        for ax, name in zip(grid, ("adam", "lamb"), strict=True):
            run = script.run("conv", name, steps=200, batch_size=64)
            layers = script.measured(f"layers/{name}", lambda run=run: layer_metrics(run))
            kept = [i for i, layer in enumerate(layers.layers) if layer.endswith("weight")]
            for i, color in zip(kept, COLORS, strict=False):
                share = running_mean(layers.update_to_weight[i], 9)
                ax.plot(layers.step, share, color=color, label=layers.layers[i])
            ax.set(yscale="log", xlabel="optimizer step", title=run.name)
            late = np.nanmedian(layers.update_to_weight[kept][:, len(layers.step) // 2 :], axis=1)
            said.append(f"{run.name} {late.min():.2g} to {late.max():.2g}")
        grid[0].set_ylabel("‖update‖ / ‖weights‖ (mean of 9)")
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
        script.save(
            figure, f"Median share over the second half, by weight tensor: {'; '.join(said)}."
        )


if __name__ == "__main__":
    main()
