"""The variance of Adam's adaptive rate, and what RAdam makes of it."""

from __future__ import annotations

from matplotlib.axes import Axes

from landscape.plots.style import axes_or_new, look
from landscape.results.adaptive_rate import AdaptiveRate


def plot_adaptive_rate(rate: AdaptiveRate, *, ax: Axes | None = None) -> Axes:
    """Draw simulated variances with two standard errors, beside the closed form.

    Args:
        rate: What to draw.
        ax: Where to draw; default: new axes.

    >>> import landscape as ls
    >>> ax = ls.plot_adaptive_rate(ls.adaptive_rate_variance(steps=[10, 100], samples=500))
    >>> ax.get_xlabel()
    'step'
    """
    ax = axes_or_new(ax)
    adam, radam = look("adam"), look("radam")
    ax.plot(rate.step, rate.closed_form, color="black", label="closed form")
    ax.errorbar(
        rate.step, rate.simulated, 2 * rate.standard_error, fmt=".", color=adam.color,
        label="Adam, simulated",
    )  # fmt: skip
    ax.plot(rate.step, rate.rectified, radam.marker, color=radam.color, label="RAdam, simulated")
    ax.set(xscale="log", yscale="log", xlabel="step", ylabel="variance of the adaptive rate")
    ax.legend()
    return ax
