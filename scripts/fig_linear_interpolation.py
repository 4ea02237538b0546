"""The loss on the straight line from initialization to the end, for every optimizer.

After Goodfellow et al. 2015 (arXiv:1412.6544): along the line no barrier shows, although no run
walks it. Beyond the end (α > 1) the loss mostly falls further: the runs stopped early. Drawn is
what is left of the way down, (loss − least) / (loss at the start − least), so that the end is
legible: median and range over five seeds.

Against the original: the same line and the same absence of a barrier; eight optimizers, five seeds
and a scale on which the end is legible, where the paper has one run on a linear scale.
"""

from __future__ import annotations

import numpy as np
from fig_optimizers_on_plane import MODEL, OPTIMIZERS, all_repeats
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.repeats import plot_repeats, told
from landscape.plots.style import looks


def main() -> None:
    script = Script("fig_linear_interpolation", __doc__)
    repeats = all_repeats(script)
    objective = script.objective(MODEL)
    runs = [run for seeds in repeats for run in seeds]
    lines = [ls.line_between(run.initial, run.final) for run in runs]
    names = [f"{run.name}, seed {seed}" for seeds in repeats for seed, run in enumerate(seeds)]
    profile = script.measured(
        "line/initial-final",
        lambda: ls.loss_line(objective, lines, names=names, resolution=9 if script.smoke else 61),
    )
    with ls.style("neurips", columns=2):
        figure = Figure(figsize=(5.5, 2.7))
        left, right = figure.subplots(1, 2)
        rises = []
        for k, (seeds, style) in enumerate(zip(repeats, looks(OPTIMIZERS), strict=True)):
            mine = profile.values[k * len(seeds) : (k + 1) * len(seeds)]
            loss, error = mine[:, 0], 100 * mine[:, 1]
            least = loss.min(axis=1, keepdims=True)
            start = loss[:, [int(np.abs(profile.alpha).argmin())]]
            share = (loss - least) / (start - least)
            label = seeds[0].name
            plot_repeats(profile.alpha, list(share), style, label=label, ax=left)
            plot_repeats(profile.alpha, list(error), style, ax=right)
            between = loss[:, (profile.alpha >= 0) & (profile.alpha <= 1)]
            rises.append((between - np.minimum.accumulate(between, axis=1)).max(axis=1))
        left.set(ylabel="share of the way that is left", yscale="symlog")
        left.set_yscale("symlog", linthresh=1e-2)
        left.set_ylim(0, 1.5)
        right.set(ylabel="training error [%]", yscale="log", ylim=(5, 105))
        right.set_yticks((5, 10, 20, 50, 100), ("5", "10", "20", "50", "100"))
        right.minorticks_off()
        for ax in (left, right):
            ax.set_xlabel("α (0: start, 1: end)")
        figure.legend(loc="outside lower center", ncols=4)
        worst = int(np.argmax([rise.max() for rise in rises]))
        falls = sum(int((rise <= 1e-6).sum()) for rise in rises)
        script.save(
            figure,
            f"{len(script.seeds)} seeds. Largest increase of the loss between α = 0 and 1: "
            f"{told(rises[worst].tolist(), 2)} ({repeats[worst][0].name}); for {falls} of "
            f"{len(runs)} runs it falls all the way.",
        )


if __name__ == "__main__":
    main()
