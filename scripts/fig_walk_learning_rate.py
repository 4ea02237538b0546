"""How high above the valley floor SGD walks, by learning rate.

After Xing et al. 2018 (arXiv:1802.08770, section 3): the height is the mean loss of the two ends
of a step minus the smallest loss on the straight line between them. Each step has another line,
so single heights are noisy; drawn are running means, median and range over five seeds, and the
single heights of the first.

Against the original: the same order of heights by the rate; a small net, every height shown and a
range over five seeds, where the paper gives means.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.path import running_mean
from landscape.plots.repeats import plot_repeats, told
from landscape.plots.room import Name
from landscape.plots.style import Look

MODEL, RATES, STEPS = "mlp-bn", (0.01, 0.03, 0.1, 0.3), 300
ORDERED = ("#440154", "#31688e", "#1f9e77", "#b8860b")  # dark to light, by the rate


def main() -> None:
    script = Script("fig_walk_learning_rate", __doc__)
    objective = script.objective(MODEL, batch_norm="batch", samples=500)
    heights = []
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.6))
        ax = figure.add_subplot()
        for rate, color in zip(RATES, ORDERED, strict=True):
            runs = script.repeats(MODEL, "sgd", steps=STEPS, lr=rate, batch_size=100)
            walks = [
                script.measured(
                    f"walk/{rate}-{seed}", lambda run=run: ls.walk(objective, run, points=6)
                )
                for seed, run in enumerate(runs)
            ]
            step, each = walks[0].step, [walk.height for walk in walks]
            ax.plot(step, each[0], ".", color=color, markersize=1.2, alpha=0.4)
            means = [running_mean(height, 25) for height in each]
            plot_repeats(step, means, Look(color, "-", "o"), ax=ax)
            end = float(step[-1]), float(np.median(means, axis=0)[-1])
            ax.add_artist(Name(f"lr {rate}", end, beside=True, color=color))
            heights.append([float(np.median(height[len(height) // 2 :])) for height in each])
        ax.set(yscale="log", xlabel="optimizer step", ylabel="height above the floor (loss)")
        ax.set_ylim(bottom=max(1e-6, 0.1 * min(map(min, heights))))
        said = ", ".join(f"{told(h, 2)} at {r}" for h, r in zip(heights, RATES, strict=True))
        script.save(
            figure,
            f"SGD, batch 100. Median height over the second half of the run, median and range of "
            f"{len(script.seeds)} seeds: {said}. Lines: running means over 25 steps.",
        )


if __name__ == "__main__":
    main()
