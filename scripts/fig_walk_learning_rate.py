"""How high above the valley floor SGD walks, by learning rate.

After Xing et al. 2018 (arXiv:1802.08770, section 3): the height is the mean loss of the two ends
of a step minus the smallest loss on the straight line between them. Each step has another line,
so single heights are noisy; the figure shows all of them and running means.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.path import running_mean
from landscape.plots.style import looks

MODEL, RATES, STEPS = "mlp-bn", (0.01, 0.03, 0.1, 0.3), 300


def main() -> None:
    script = Script("fig_walk_learning_rate", __doc__)
    objective = script.objective(MODEL, batch_norm="batch", samples=1000)
    heights = []
    with ls.style("neurips", columns=2):
        figure = Figure()
        ax = figure.add_subplot()
        for rate, style in zip(RATES, looks(["sgd"] * len(RATES)), strict=True):
            run = script.run(MODEL, "sgd", steps=STEPS, lr=rate, batch_size=100)
            walk = script.measured(
                f"walk/{rate}", lambda run=run: ls.walk(objective, run, points=10)
            )
            height = walk.height
            ax.plot(walk.step, height, ".", color=style.color, markersize=1.2, alpha=0.3)
            mean = running_mean(height, 25)
            ax.plot(walk.step, mean, color="white", linewidth=3, zorder=3)
            ax.plot(walk.step, mean, **style.line, zorder=4, label=f"lr {rate}")
            heights.append(float(np.median(height[len(height) // 2 :])))
        ax.set(yscale="log", xlabel="optimizer step", ylabel="height above the floor (loss)")
        ax.set_ylim(bottom=max(1e-6, 0.1 * min(heights)))
        ax.legend(ncols=2)
        said = ", ".join(f"{h:.2g} at {r}" for h, r in zip(heights, RATES, strict=True))
        script.save(
            figure,
            f"SGD, batch 100. Median height over the second half of the run: {said}. Lines: "
            "running means over 25 steps.",
        )


if __name__ == "__main__":
    main()
