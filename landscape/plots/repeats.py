"""Runs that were repeated over seeds: their median, and the range of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from landscape.plots.levels import short
from landscape.plots.style import Look, axes_or_new


def plot_repeats(
    x: np.ndarray,
    values: Sequence[np.ndarray],
    style: Look,
    *,
    label: str = "",
    ax: Axes | None = None,
) -> Axes:
    """The median over seeds as a line, and from the least to the largest as a band.

    A band is no confidence interval: it is where all the repeats lie, at each step by itself.

    Args:
        x: Shape (steps,), the same for all repeats.
        values: One row per repeat, each of shape (steps,); NaN where nothing is known.
        style: The look of the run.
        label: For a legend.
        ax: Where to draw; default: new axes.

    Raises:
        ValueError: If there is no repeat, or their lengths differ.

    >>> from landscape.plots.style import look
    >>> ax = plot_repeats(np.arange(2), [np.ones(2), np.zeros(2), np.ones(2)], look("sgd"))
    >>> ax.lines[0].get_ydata().tolist()
    [1.0, 1.0]
    """
    if not len(values) or any(np.shape(one) != np.shape(x) for one in values):
        raise ValueError(
            f"Every repeat needs {np.shape(x)} values, one per step; got "
            f"{[np.shape(one) for one in values]}."
        )
    ax = axes_or_new(ax)
    rows = np.stack(values)
    known = np.isfinite(rows).any(axis=0)
    shown = np.where(known, rows, 0.0)  # a step without a number has no median
    low, middle, high = (
        np.where(known, found(shown, axis=0), np.nan) for found in (np.nanmin, _median, np.nanmax)
    )
    line: dict[str, Any] = {**style.line, "label": label} if label else style.line
    ax.plot(x, middle, gid="median", **line)
    if len(rows) > 1:
        ax.fill_between(x, low, high, color=style.color, alpha=0.18, linewidth=0, gid="range")
    return ax


def _median(rows: np.ndarray, axis: int) -> np.ndarray:
    return np.nanmedian(rows, axis=axis)


def told(values: Sequence[float], digits: int = 3) -> str:
    """Median and range in words, ``0.312 (0.301 to 0.345)``; one value as it is.

    >>> told([1.0, 3.0, 2.0])
    '2 (1 to 3)'
    """
    median, low, high = np.median(values), np.min(values), np.max(values)
    middle, least, most = (short(float(value), digits) for value in (median, low, high))
    return middle if len(values) == 1 else f"{middle} ({least} to {most})"
