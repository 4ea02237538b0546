"""Room for legends: as many columns as fit a figure, long names in lines, and figures that grow."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

from landscape.plots.frame import OnPlane, box, stretched

_LETTER, _HANDLE, _LINE = 0.5, 3.5, 1.35  # of a font's size
_LEAST = 0.33  # inches of a map's width for each point of text: its labels need them
_AROUND = 4.0  # lines of text above and below a map


class Fitted(NamedTuple):
    """The labels of a legend as they are written, in how many columns, and how high."""

    labels: list[str]
    columns: int
    lines: int

    @property
    def height(self) -> float:
        """Inches."""
        return _LINE * _size() * self.lines / 72


def fitted(labels: Sequence[str], width: float, *, most: int) -> Fitted:
    """Labels that are broken where one is wider than the figure, in as many columns as fit.

    Args:
        labels: What is written.
        width: Of the figure, in inches.
        most: Columns, at most.

    >>> fitted(["SGD", "Adam"], 3.0, most=3).columns
    2
    >>> fitted(["a run with all that was chosen " * 3, "Adam"], 3.0, most=3).columns
    1
    """
    size = _size()
    room = 0.95 * 72 * width / size
    longest = max(12, int((room - _HANDLE) / _LETTER))
    written = [textwrap.fill(label, longest) or label for label in labels]
    lines = [text.split("\n") for text in written]
    widest = _HANDLE + _LETTER * max((len(line) for text in lines for line in text), default=0)
    columns = max(1, min(most, len(labels), int(room / widest)))
    rows = -(-len(labels) // columns)
    return Fitted(written, columns, rows * max(map(len, lines), default=0))


def share_legend(figure: Figure) -> None:
    """Replace the legends of all axes by one below them, that names whatever is in any."""
    found: dict[tuple[str, str], Any] = {}  # two runs of one name are two, by their looks
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            found.setdefault((label, _look_of(handle)), handle)
        if legend := ax.get_legend():
            legend.remove()
    if len(found) < 2:
        return
    width, height = figure.get_size_inches()
    fit = fitted([label for label, _ in found], width, most=6)
    figure.set_size_inches(width, height + max(0.0, fit.height - 2 * _LINE * _size() / 72))
    handles = list(found.values())
    figure.legend(handles, fit.labels, loc="outside lower center", ncols=fit.columns)


def _look_of(handle: Any) -> str:
    if not isinstance(handle, Line2D):
        return ""
    return f"{handle.get_color()} {handle.get_linestyle()} {handle.get_marker()}"


def map_size(surface: OnPlane, labels: Sequence[str] = ()) -> tuple[float, float]:
    """Inches of a figure that shows one map, with the legend of its runs below.

    Args:
        surface: What is shown.
        labels: Of the legend.
    """
    whole, text = mpl.rcParams["figure.figsize"][0], float(mpl.rcParams["font.size"])
    across, up = box(surface)
    up *= stretched(surface)
    width = min(whole, max(whole * min(1.0, 0.4 + 0.3 * across / up), _LEAST * text))
    below = 0.1 * width
    around = _AROUND * _LINE * text / 72
    if labels:
        below = 0.2 * width
        around += fitted(labels, width, most=3).height + 4.5 * _LINE * _size() / 72
    return width, 0.8 * width * up / across + max(below, around)


def _size() -> float:
    return FontProperties(size=mpl.rcParams["legend.fontsize"]).get_size_in_points()
