"""LAMB's trust ratio: how much of its own norm each layer moves per step.

After You et al. 2020 (arXiv:1904.00962). LAMB moves every tensor by the same share of its norm,
the learning rate; Adam's share differs between tensors by orders of magnitude. Measured from the
recorded states alone; medians over five seeds, bands their ranges.

Against the original: the paper plots trust ratios of BERT's layers over training; here the share
of its norm that each tensor moves is drawn beside Adam's, on a small convolutional net, over five
seeds.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.path import running_mean
from landscape.plots.repeats import plot_repeats, told
from landscape.plots.room import Name
from landscape.plots.style import Look, look

MODEL, STEPS = "conv", 200
LAYERS = {
    "0.weight": "convolution 1", "1.weight": "batch norm 1", "3.weight": "convolution 2",
    "4.weight": "batch norm 2", "8.weight": "linear",
}  # fmt: skip
COLORS = ("#440154", "#3b528b", "#21918c", "#5ec962", "#882255")  # the first layer is dark


def main() -> None:
    script, said = Script("fig_lamb_trust_ratio", __doc__), []
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.7))
        ax = figure.add_subplot()
        for name in ("adam", "lamb"):
            runs = script.repeats(MODEL, name, steps=STEPS, batch_size=64)
            measured = [
                script.measured(f"layers/{name}-{seed}", lambda run=run: ls.layer_metrics(run))
                for seed, run in enumerate(runs)
            ]
            step, late = measured[0].step, []
            for layer, color in zip(LAYERS, COLORS, strict=True):
                row = measured[0].layers.index(layer)
                shares = [one.update_to_weight[row] for one in measured]
                late.append([float(np.nanmedian(share[len(step) // 2 :])) for share in shares])
                smooth = [running_mean(share, 9) for share in shares]
                if name == "adam":
                    plot_repeats(step, smooth, Look(color, "-", "o"), ax=ax)
                    _name(ax, LAYERS[layer], float(np.median(smooth, axis=0)[-1]), step, color)
                elif layer == "0.weight":
                    plot_repeats(step, smooth, look("lamb"), ax=ax)
                    last = float(np.median(smooth, axis=0)[-1])
                    _name(ax, "LAMB, each of them", last, step, look("lamb").color)
            least, most = (pick(late, key=np.median) for pick in (min, max))
            said.append(f"{runs[0].name} {told(least, 2)} to {told(most, 2)}")
        ax.set(xlabel="optimizer step", ylabel="‖update‖ / ‖weights‖ (mean of 9)", yscale="log")
        ax.set_title("Adam by layer, and LAMB")
        script.save(
            figure,
            "Median share over the second half of the run, of the weight tensor with the least and "
            f"the most; median and range of {len(script.seeds)} seeds: {'; '.join(said)}.",
        )


def _name(ax: Axes, text: str, height: float, step: np.ndarray, color: str) -> None:
    ax.add_artist(Name(text, (float(step[-1]), height), beside=True, color=color))


if __name__ == "__main__":
    main()
