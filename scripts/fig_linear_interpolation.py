"""The loss on the straight line from initialization to the end, for every optimizer.

After Goodfellow et al. 2015 (arXiv:1412.6544): along the line no barrier shows, although no run
walks it. Beyond the end (α > 1) the loss mostly falls further: the runs stopped early.
"""

from __future__ import annotations

import numpy as np
from fig_optimizers_on_plane import MODEL, all_runs
from gallery import Script
from matplotlib.figure import Figure

import landscape as ls
from landscape.plots.style import styled


def main() -> None:
    script = Script("fig_linear_interpolation", __doc__)
    runs = all_runs(script)
    objective = script.objective(MODEL)
    lines = [ls.line_between(run.initial, run.final) for run in runs]
    profile = script.measured(
        "line/initial-final",
        lambda: ls.loss_line(
            objective, lines, names=[run.name for run in runs],
            resolution=9 if script.smoke else 81,
        ),
    )  # fmt: skip
    with styled("paper", columns=2):
        figure = Figure(figsize=(7, 3.2))
        left, right = figure.subplots(1, 2)
        ls.plot_profile(profile, ax=left)
        ls.plot_profile(profile, metric="error", ax=right)
        right.set_title("")
        for ax in (left, right):
            ax.get_legend().remove()
        handles, names = left.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4)
        between = profile.loss[:, (profile.alpha >= 0) & (profile.alpha <= 1)]
        rise = np.max(between - np.minimum.accumulate(between, axis=1), axis=1)
        worst = int(rise.argmax())
        script.save(
            figure,
            f"Largest increase of the loss between α = 0 and 1: {rise[worst]:.2g} "
            f"({profile.names[worst]}); for {int((rise <= 1e-6).sum())} of {len(rise)} it falls "
            "all the way.",
        )


if __name__ == "__main__":
    main()
