"""How batch size bends the walk: cosine of consecutive updates, and distance from the start.

After Xing et al. 2018 (arXiv:1802.08770, figure 5): plain SGD at one learning rate; the largest
batch is the whole training set. Lines are medians over five seeds, bands their ranges.

Against the original: the same two rows of curves and the same order of batches; 140 steps of a
small net instead of epochs of VGG-11, and a band of five seeds where the paper has one run.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.path import running_mean
from landscape.plots.repeats import plot_repeats, told
from landscape.plots.style import Look

MODEL, LR, STEPS, BATCHES = "mlp-bn", 0.1, 140, (5000, 1000, 100, 20)
ORDERED = ("#440154", "#31688e", "#1f9e77", "#b8860b")  # dark to light, by the batch


def main() -> None:
    script = Script("fig_batch_size", __doc__)
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.3))
        left, right = figure.subplots(1, 2)
        said = []
        for batch, color in zip(BATCHES, ORDERED, strict=True):
            style = Look(color, "-", "o")
            runs = script.repeats(MODEL, "sgd", steps=STEPS, lr=LR, batch_size=batch)
            paths = [
                script.measured(f"path/{batch}-{seed}", lambda run=run: ls.path_metrics(run))
                for seed, run in enumerate(runs)
            ]
            step = paths[0].step
            late = step > 4 * step[-1] // 7
            cosine = [running_mean(path.cosine, 9) for path in paths]
            plot_repeats(step, cosine, style, ax=left)
            away = [path.distance**2 for path in paths]
            plot_repeats(step, away, style, label=f"batch {batch}", ax=right)
            said.append(
                f"batch {batch}: cosine {told([np.nanmean(p.cosine[late]) for p in paths], 2)}, "
                f"squared distance {told([one[-1] for one in away])}"
            )
        left.axhline(0, color="0.7", linewidth=0.6, zorder=0)
        left.set(xlabel="optimizer step", ylabel="cosine of updates (mean of 9)")
        right.set(xlabel="optimizer step", ylabel="‖θ − θ₀‖²")
        right.legend()
        script.save(
            figure,
            f"SGD, learning rate {LR}, {len(script.seeds)} seeds: median and range. Mean over the "
            f"last steps and end: {'; '.join(said)}.",
        )


if __name__ == "__main__":
    main()
