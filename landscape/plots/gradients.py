"""Sizes of the gradient's entries over optimizer steps, as a picture of shares."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from landscape.plots.names import literal
from landscape.plots.style import axes_or_new
from landscape.plots.venues import small_text
from landscape.results.gradients import GradientHistogram

_LEVELS = (0.1, 0.5, 0.9)
_LEAST = 1e-3  # share of a bin, at some step, that a size must reach to be on the axis


def plot_gradient_histogram(
    histogram: GradientHistogram, *, most: float | None = None, bar: bool = True,
    ax: Axes | None = None,
) -> Axes:  # fmt: skip
    """Draw how many entries of the gradient have which size, step by step.

    Darker is a larger share of all entries; the lines are the median and the quantiles of 10 and
    90 %. A note says how many entries are too small to be shown (zero, in most cases).

    Args:
        histogram: What to draw.
        most: Share that is darkest; default: the largest there is.
        bar: Whether to draw the colour bar.
        ax: Where to draw; default: new axes.

    >>> import landscape as ls
    >>> run = ls.Run("function/quadratic", "gd", lr=0.01, steps=8, gradient_histogram=True)
    >>> histogram = ls.gradient_histogram(ls.Trajectory(ls.record_run(run, "gd.h5")))
    >>> ls.plot_gradient_histogram(histogram).get_ylabel()
    '|gradient|'
    """
    ax = axes_or_new(ax)
    share, edge = histogram.share[:, 1:-1], histogram.edge
    if not len(share):
        raise ValueError(f"The run {histogram.name!r} made no step; there is nothing to draw.")
    sides = np.append(histogram.step - 0.5, histogram.step[-1] + 0.5)
    mesh = ax.pcolormesh(
        sides, edge, share.T, cmap="Greys", vmin=0, vmax=most, rasterized=True, gid="share"
    )
    for level, line in zip(_LEVELS, histogram.quantiles(_LEVELS), strict=True):
        ax.plot(
            histogram.step, line, color="#D55E00", linewidth=1.4 if level == 0.5 else 0.8,
            linestyle="-" if level == 0.5 else "--", gid=f"quantile {level:g}",
            label={0.5: "median", 0.9: "10 % and 90 %"}.get(level),
        )  # fmt: skip
    seen = np.flatnonzero((share > _LEAST).any(axis=0))
    if len(seen):
        ax.set_ylim(float(edge[seen[0]]), float(edge[seen[-1] + 1]))
    ax.set(
        xlabel="optimizer step", ylabel="|gradient|", yscale="log", title=literal(histogram.name)
    )
    zero = histogram.share[:, 0]
    if np.nanmax(zero) > _LEAST:
        low, high = (f"{100 * f(zero):.0f}" for f in (np.nanmin, np.nanmax))
        note = f"zero: {low if low == high else f'{low}–{high}'} % of the entries"
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
        ax.text(
            0.02, 0.03, note, transform=ax.transAxes, fontsize=small_text(), bbox=box, gid="zeros"
        )
    seen_through = {"frameon": True, "framealpha": 0.8, "edgecolor": "none"}
    ax.legend(loc="upper right", fontsize=small_text(), **seen_through)
    figure = ax.get_figure()
    if bar and figure is not None:
        figure.colorbar(mesh, ax=ax, label="share of the entries in a factor of 2")
    return ax
