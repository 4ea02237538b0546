"""How figures look: sizes and fonts by purpose, colours and dashes by optimizer.

Nothing global changes: a style holds inside its ``with`` block only.
"""

from __future__ import annotations

import colorsys
import zlib
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from landscape.optim.registry import OPTIMIZERS

SPARE_COLORS = ("#E69F00", "#999999", "#8C564B", "#117733", "#882255", "#332288")
"""Colours of runs whose optimizer has no entry; apart from those of Okabe & Ito in use."""

_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "p")

_COMMON = {
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "DejaVu Sans"],
    "legend.frameon": False,
    "pdf.fonttype": 42,  # text stays text
    "ps.fonttype": 42,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "landscape",
}

# name: (font size, line width, dots per inch, inches of a figure of one and of two columns)
_SCALES = {
    "paper": (8.0, 1.0, 200, (3.4, 7.0)),
    "talk": (16.0, 2.4, 150, (8.0, 12.0)),
    "screen": (10.0, 1.5, 120, (6.0, 10.0)),
}


def styled(name: str = "paper", *, columns: int = 1) -> AbstractContextManager[Any]:
    """A style, for a ``with`` block.

    Args:
        name: ``paper`` (8 pt, column widths of journals), ``talk`` or ``screen``.
        columns: Width of new figures: one or two columns.

    Raises:
        ValueError: If the name or the number of columns is unknown.

    >>> with styled("paper", columns=2):
    ...     mpl.rcParams["figure.figsize"][0]
    7.0
    """
    if name not in _SCALES:
        raise ValueError(f"style must be one of {', '.join(_SCALES)}; not {name!r}.")
    if columns not in (1, 2):
        raise ValueError(f"columns must be 1 or 2; not {columns}.")
    size, line, dots, widths = _SCALES[name]
    width = widths[columns - 1]
    sizes = ("axes.labelsize", "axes.titlesize", "font.size", "figure.titlesize")
    small = ("xtick.labelsize", "ytick.labelsize", "legend.fontsize", "legend.title_fontsize")
    widths_of = ("axes.linewidth", "xtick.major.width", "ytick.major.width", "hatch.linewidth")
    settings: Any = {
        **_COMMON,
        **dict.fromkeys(sizes, size),
        **dict.fromkeys(small, 0.875 * size),
        **dict.fromkeys(widths_of, 0.6 * line),
        "figure.dpi": dots,
        "figure.figsize": (width, 0.72 * width if columns == 1 else 0.5 * width),
        "lines.linewidth": 1.2 * line,
        "lines.markeredgewidth": 0.6 * line,
        "lines.markersize": 5 * line,
        "savefig.dpi": dots,
    }
    return mpl.rc_context(settings)


@dataclass(frozen=True)
class Look:
    """How one run is drawn: colour, dash and marker tell it apart, also in greyscale."""

    color: str
    dash: str
    marker: str

    @property
    def line(self) -> dict[str, Any]:
        """Keywords for ``Axes.plot``."""
        return {"color": self.color, "linestyle": self.dash}


def look(optimizer: str) -> Look:
    """The look of an optimizer, by its name or title; unknown names get one of their own, always.

    >>> look("adam") == look("Adam")
    True
    """
    for place, (name, entry) in enumerate(OPTIMIZERS.items()):
        if optimizer in (name, entry.title):
            return Look(entry.color, entry.dash, _MARKERS[place % len(_MARKERS)])
    number = zlib.crc32(optimizer.encode())
    return Look(
        SPARE_COLORS[number % len(SPARE_COLORS)],
        _DASHES[number // 7 % len(_DASHES)],
        _MARKERS[number // 31 % len(_MARKERS)],
    )


def rank(optimizer: str) -> int:
    """Place of an optimizer in legends: that of the registry, unknown ones last."""
    known = [alias for e in OPTIMIZERS.values() for alias in (e.name, e.title)]
    return known.index(optimizer) if optimizer in known else len(known)


def looks(optimizers: Sequence[str]) -> list[Look]:
    """One look per run; runs of the same optimizer share its hue, from dark to light."""
    counts, seen, found = Counter(optimizers), Counter[str](), []
    for optimizer in optimizers:
        base, count, place = look(optimizer), counts[optimizer], seen[optimizer]
        seen[optimizer] += 1
        if count > 1:
            hue, _, saturation = colorsys.rgb_to_hls(*to_rgb(base.color))
            lightness = 0.2 + 0.5 * place / (count - 1)
            base = Look(
                to_hex(colorsys.hls_to_rgb(hue, lightness, saturation)),
                _DASHES[place % len(_DASHES)],
                _MARKERS[place % len(_MARKERS)],
            )
        found.append(base)
    return found


def axes_or_new(ax: Axes | None) -> Axes:
    """`ax`, or the axes of a new pyplot figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.figure(layout="constrained").add_subplot()


def figure_of(ax: Axes) -> Figure:
    """The figure that holds `ax`, also when it lies in a subfigure."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("The axes were removed from their figure; make new ones.")
    return figure
