"""One line on what was measured: what a reader must know to believe a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape.base.statistics import said_of
from landscape.plots.names import literal
from landscape.plots.venues import small_text
from landscape.results.conditions import Conditions
from landscape.results.construction import Construction
from landscape.results.words import plane_in_short, samples_of

_ROUNDED = 0.05  # of a displacement


def conditions(settings: Mapping[str, Any], *, error: Any = None) -> str:
    """Task, samples, batch-norm policy, lower precision and plane of a result, as one line.

    Args:
        settings: Of the result.
        error: Largest observed error of a lower precision, where it is known.

    >>> conditions({"task": "digits/mlp", "samples": 500, "population": 1498})
    'digits/mlp · 500 of 1,498 samples'
    """
    asked, made = Conditions.of(settings), Construction.of(settings)
    parts = [asked.task, samples_of(asked)]
    if asked.batch_norm is not None:
        policy = {"batch": "of each batch"}.get(asked.batch_norm, asked.batch_norm)
        buffers = str(settings.get("buffers", ""))
        if policy == "frozen" and buffers in ("as recorded", "recorded, interpolated"):
            policy = f"as {buffers.removeprefix('as ')}"
        statistics = f", statistics of {whose}" if (whose := said_of(settings)) else ""
        parts.append(f"batch norm {policy}{statistics}")
    if asked.precision in ("bfloat16", "tf32"):
        known = isinstance(error, float)
        parts.append(f"{asked.precision}, off by up to {error:.1g}" if known else asked.precision)
    parts.append(plane_in_short(made))
    if "step" in settings:
        parts.append("the plane moves: its centre is the state of each step")
    return " · ".join(filter(None, parts))


def rounded_away(rounding: np.ndarray | None) -> str:
    """What is said where narrow weights rounded away more than 5 % of a displacement.

    >>> rounded_away(np.array([0.0, 0.02, 0.3]))
    ' · rounding of the weights took over 5 % of the way to 1 of 3 points (at most 30 %)'
    """
    shares = np.zeros(0) if rounding is None else np.nan_to_num(rounding).ravel()
    many = int((shares > _ROUNDED).sum())
    if not many:
        return ""
    return (
        f" · rounding of the weights took over {100 * _ROUNDED:.0f} % of the way to {many} of "
        f"{len(shares)} points (at most {100 * shares.max():.0f} %)"
    )


def write_above(ax: Axes, text: str) -> None:
    """Put small grey lines above the axes, on the left, about as wide as the axes' column."""
    figure, place = ax.get_figure(), ax.get_subplotspec()
    columns = place.get_gridspec().ncols if place is not None else 1
    size = small_text()
    width = 72 * figure.get_size_inches()[0] / columns if isinstance(figure, Figure) else 400
    # A letter is about half as wide as it is high; what stands beside the axes takes a quarter.
    held = literal(text).replace(" ·", "\u00a0·")  # no line begins with a dot
    lines = textwrap.fill(held, max(20, int(0.72 * width / (size / 2)))).replace("\u00a0", " ")
    ax.set_title(lines, loc="left", color="0.35", fontsize=size)


def broken(label: str, ax: Axes, axis: int) -> str:
    r"""The name of an axis in as many lines as it needs: along y it breaks at every semicolon.

    Args:
        label: The name.
        ax: Whose axis; the room is its column's or its row's.
        axis: 0: x, 1: y.

    >>> axes = Figure(figsize=(2, 2)).add_subplot()
    >>> broken("PC 1 (90.0% of variation; random walk: 60.0%)", axes, 0)
    'PC 1 (90.0% of variation;\nrandom walk: 60.0%)'
    """
    label = literal(label)
    figure, place = ax.get_figure(), ax.get_subplotspec()
    if not isinstance(figure, Figure):
        return label
    shape = place.get_gridspec().get_geometry()[::-1] if place is not None else (1, 1)
    room = 72 * float(figure.get_size_inches()[axis]) / shape[axis]
    size = (ax.xaxis, ax.yaxis)[axis].label.get_fontsize()
    letters = max(12, int(2 * room / float(size)))
    if axis == 0 and len(label) <= letters:
        return label
    parts = label.replace("; ", ";\n").split("\n")
    return "\n".join(textwrap.fill(part, letters, break_long_words=False) for part in parts)


def title_above(ax: Axes, title: str, *, lines: int | None = None) -> None:
    """Put a title in the middle, above the small grey lines (or above as many as are given)."""
    lines = lines or ax.get_title("left").count("\n") + 1
    ax.annotate(
        title, (0.5, 1), (0, 10 + 1.25 * small_text() * lines), xycoords="axes fraction",
        textcoords="offset points", ha="center", va="center",
        fontsize=mpl.rcParams["axes.titlesize"],
    )  # fmt: skip
