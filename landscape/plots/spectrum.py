"""Eigenvalues of the Hessian, with what each may be off by."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from landscape.base.shown import percent
from landscape.plots.caption import conditions, write_above
from landscape.plots.style import axes_or_new
from landscape.plots.venues import small_text
from landscape.results.spectrum import Spectrum

_TOP, _BOTTOM = "#0072B2", "#D55E00"
_ROOMY = 8  # labels that lie apart at half a page's width


def plot_spectrum(spectrum: Spectrum, *, ax: Axes | None = None) -> Axes:
    """Draw the pairs of a spectrum: both ends, bars for errors, and the gradient's share.

    A bar reaches over the residual, within which an eigenvalue lies, and two standard errors where
    the spectrum is of a subset; most are smaller than the marks. Hollow marks did not converge.

    Args:
        spectrum: What to draw.
        ax: Where to draw; default: new axes.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> ls.plot_spectrum(ls.hessian_spectrum(objective, top=2)).get_ylabel()
    'eigenvalue of the Hessian'
    """
    ax = axes_or_new(ax)
    place = np.arange(len(spectrum.value))
    upper = place < spectrum.top
    error = spectrum.residual + 2 * np.nan_to_num(spectrum.standard_error)
    ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
    for end, color, marker, label in (
        (upper, _TOP, "o", "largest"),
        (~upper, _BOTTOM, "v", "smallest"),
    ):
        if not end.any():
            continue
        ax.errorbar(
            place[end], spectrum.value[end], error[end], color=color, linestyle="", capsize=2,
            marker=marker, markersize=4, label=label, gid=label,
        )  # fmt: skip
        late = end & ~spectrum.converged
        if late.any():
            ax.plot(
                place[late], spectrum.value[late], marker=marker, markersize=4, linestyle="",
                markerfacecolor="white", color=color, zorder=3, gid="not converged",
            )  # fmt: skip
    low, high = ax.get_ylim()
    for x, value, share in zip(place, spectrum.value, spectrum.gradient_share, strict=True):
        if share >= 0.01:
            ax.annotate(
                percent(share), (x, value), xytext=(0, 4),
                textcoords="offset points", ha="center", fontsize=small_text(), color="0.35",
            )  # fmt: skip
    ax.set_ylim(low, high + 0.12 * (high - low))
    ax.set_xlim(-0.6, len(place) - 0.4)
    ax.set_xticks(place, _subscripted(spectrum.labels))
    ax.set_ylabel("eigenvalue of the Hessian")
    told = conditions(spectrum.settings)
    biased = "; λ₁ biased upward by the subset" if spectrum.subset and spectrum.top else ""
    parts = [told + biased] if told else []
    write_above(ax, " · ".join([*parts, "percentages: share of the gradient, from 1 %"]))
    return ax


def _subscripted(labels: tuple[str, ...]) -> list[str]:
    """What stands below the pairs; where they stand close, below every second of the largest."""
    digits = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
    crowded = len(labels) > _ROOMY
    told: list[str] = []
    for place, label in enumerate(labels):
        rest = label.removeprefix("λ")
        if rest.isdigit():
            told.append("" if crowded and place % 2 else f"λ{rest.translate(digits)}")
        elif crowded:
            told.append("min" if rest == "min" else "")
        else:
            told.append("λmin" if rest == "min" else rest.removeprefix("min"))
    return told
