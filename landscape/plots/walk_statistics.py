"""Shares of a walk's segments with a property, window by window."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from landscape.plots.names import literal
from landscape.plots.style import axes_or_new
from landscape.results.walk_statistics import WalkStatistics

_COLORS = ("#D55E00", "#0072B2", "#009E73")
_HATCHES = ("", "//", "..")


def plot_walk_statistics(statistics: WalkStatistics, *, ax: Axes | None = None) -> Axes:
    """Draw shares as bars with their intervals, one group per window.

    The intervals take segments of one run as independent, which neighbours are not.

    Args:
        statistics: What to draw.
        ax: Where to draw; default: new axes.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> task = ls.load_task("function/quadratic")
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> statistics = ls.walk_statistics(ls.walk(objective, run, points=5))
    >>> ls.plot_walk_statistics(statistics).get_ylabel()
    'share of segments'
    """
    ax = axes_or_new(ax)
    count = len(statistics.properties)
    places = np.arange(len(statistics.windows))
    for k, name in enumerate(statistics.properties):
        share = statistics.fraction[:, k]
        away = np.abs(np.stack([share - statistics.low[:, k], statistics.high[:, k] - share]))
        ax.bar(
            places + (k - (count - 1) / 2) * 0.8 / count, share, 0.8 / count, yerr=away,
            color=_COLORS[k % 3], hatch=_HATCHES[k % 3], edgecolor="white", label=name,
        )  # fmt: skip
    ticks = [
        literal(f"{window}\n({n} segments)")
        for window, n in zip(statistics.windows, statistics.segments, strict=True)
    ]
    ax.set_xticks(places, ticks)
    ax.set(ylim=(0, 1.05), ylabel="share of segments", title=literal(statistics.name))
    ax.legend()
    return ax
