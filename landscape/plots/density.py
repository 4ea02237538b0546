"""The density of the Hessian's eigenvalues: a smoothed bulk, and stems for known ones."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from landscape.plots.caption import conditions, write_above
from landscape.plots.style import axes_or_new
from landscape.results.spectral_density import SpectralDensity

_BULK, _STEM = "#0072B2", "#D55E00"


def plot_density(
    density: SpectralDensity, *, width: float | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the bulk as a curve with the spread of the runs, and known eigenvalues as stems.

    The curve is smoothed for the eye alone, over `width`; a stem is one eigenvalue, 1/n of the
    spectrum, as high as it would be if it were smoothed too.

    Args:
        density: What to draw.
        width: Standard deviation of the smoothing; default: 1/100 of the range.
        ax: Where to draw; default: new axes.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> density = ls.spectral_density(objective, runs=2, steps=10)
    >>> ls.plot_density(density).get_xlabel()
    'eigenvalue of the Hessian'
    """
    ax = axes_or_new(ax)
    held = density.node[density.weight > 1e-12]
    ends = np.concatenate([held, density.known])
    low, high = float(ends.min()), float(ends.max())
    span = (high - low) or 1.0
    width = width or span / 100
    grid = np.linspace(low - 4 * width, high + 4 * width, 1200)
    each = density.smoothed(grid, width)
    mean = each.mean(axis=0)
    one = 1 / (density.size * width * np.sqrt(2 * np.pi))
    least = 0.3 * one
    if len(each) > 1:
        ax.fill_between(
            grid, each.min(axis=0).clip(least), each.max(axis=0).clip(least), color=_BULK,
            alpha=0.25, linewidth=0, gid="spread",
        )  # fmt: skip
    runs, nodes = density.node.shape
    ax.plot(
        grid, np.where(mean < least, np.nan, mean), color=_BULK, gid="bulk",
        label=f"bulk, {runs} runs of {nodes} products",
    )  # fmt: skip
    if len(density.known):
        ax.vlines(density.known, least, one, color=_STEM, linewidth=1, gid="known")
        ax.plot(
            density.known, np.full(len(density.known), one), "o", color=_STEM, markersize=3,
            label="measured eigenvalues, one each", gid="stems",
        )  # fmt: skip
    ax.set_yscale("log")
    ax.set_ylim(bottom=least)
    trace, error = density.moment(1)
    ax.set(xlabel="eigenvalue of the Hessian", ylabel="density")
    spread = f" ± {error:.1g}" if np.isfinite(error) else ""
    told = f"{density.size:,} eigenvalues, trace {trace:.3g}{spread}; smoothed over {width:.1g}"
    write_above(ax, " · ".join(filter(None, (conditions(density.settings), told))))
    ax.legend(loc="upper right")
    return ax
