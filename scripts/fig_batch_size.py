"""How batch size bends the walk: cosine of consecutive updates, and distance from the start.

After Xing et al. 2018 (arXiv:1802.08770, figure 5): plain SGD at one learning rate; the largest
batch is the whole training set.
"""

from __future__ import annotations

import numpy as np
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.path import running_mean
from landscape.plots.style import looks, styled

MODEL, LR, STEPS, BATCHES = "mlp-bn", 0.1, 140, (5000, 1000, 100, 20)


def main() -> None:
    script = Script("fig_batch_size", __doc__)
    with styled("paper", columns=2):
        figure = Figure(figsize=(7, 2.8))
        left, right = figure.subplots(1, 2)
        cosines, distances = [], []
        for batch, style in zip(BATCHES, looks(["sgd"] * len(BATCHES)), strict=True):
            run = script.run(MODEL, "sgd", steps=STEPS, lr=LR, batch_size=batch)
            path = script.measured(f"path/{batch}", lambda run=run: ls.path_metrics(run))
            late = path.step > 4 * path.step[-1] // 7
            cosines.append(float(np.nanmean(path.cosine[late])))
            distances.append(float(path.distance[-1] ** 2))
            left.plot(path.step, path.cosine, color=style.color, alpha=0.3, linewidth=0.6)
            left.plot(path.step, running_mean(path.cosine, 9), **style.line)
            right.plot(path.step, path.distance**2, **style.line, label=f"batch {batch}")
        left.axhline(0, color="0.7", linewidth=0.6, zorder=0)
        left.set(xlabel="optimizer step", ylabel="cosine of updates (mean of 9)")
        right.set(xlabel="optimizer step", ylabel="‖θ − θ₀‖²")
        right.legend()
        said = "; ".join(
            f"batch {b}: cosine {c:+.2f}, squared distance {d:.2f}"
            for b, c, d in zip(BATCHES, cosines, distances, strict=True)
        )
        script.save(figure, f"SGD, learning rate {LR}. Mean over the last steps and end: {said}.")


if __name__ == "__main__":
    main()
