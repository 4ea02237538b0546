"""LAMB's trust ratio: how much of its own norm each layer moves per step.

After You et al. 2020 (arXiv:1904.00962). LAMB moves every tensor by the same share of its norm,
the learning rate; Adam's share differs between tensors by orders of magnitude. Measured from the
recorded states alone.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.analysis.motion.layers import layer_metrics
from landscape.plots.layers import plot_layers


def main() -> None:
    script = Script("fig_lamb_trust_ratio", __doc__)
    said = []
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.4))
        grid = figure.subplots(1, 2, sharey=True)
        for ax, name in zip(grid, ("adam", "lamb"), strict=True):
            run = script.run("conv", name, steps=200, batch_size=64)
            layers = script.measured(f"layers/{name}", lambda run=run: layer_metrics(run))
            kept = [i for i, layer in enumerate(layers.layers) if layer.endswith("weight")]
            plot_layers(layers, only="weight", smooth=9, ax=ax)
            ax.get_legend().remove()
            ax.label_outer()
            late = np.nanmedian(layers.update_to_weight[kept][:, len(layers.step) // 2 :], axis=1)
            said.append(f"{run.name} {late.min():.2g} to {late.max():.2g}")
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
        script.save(
            figure, f"Median share over the second half, by weight tensor: {'; '.join(said)}."
        )


if __name__ == "__main__":
    main()
