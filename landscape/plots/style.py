"""How figures look: sizes and fonts by venue, colours and dashes by optimizer.

Nothing global changes: a style holds inside its ``with`` block only.
"""

from __future__ import annotations

import colorsys
import zlib
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from landscape.optim.registry import OPTIMIZERS

SPARE_COLORS = ("#E69F00", "#999999", "#8C564B", "#117733", "#882255", "#332288")
"""Colours of runs whose optimizer has no entry; apart from those of Okabe & Ito in use."""

_SPREAD = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", *SPARE_COLORS, "#AA4499", "#44AA99",
    "#661100", "#6699CC", "#000000", "#B8860B", "#4B0082", "#2F4F4F",
)  # fmt: skip

_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "p")

_COMMON = {
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.family": ["sans-serif", "DejaVu Sans"],  # the second has what the first lacks
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "Nimbus Sans", "DejaVu Sans"],
    "font.serif": [
        "Times New Roman",
        "Times",
        "Nimbus Roman",
        "Liberation Serif",
        "STIXGeneral",
        "DejaVu Serif",
    ],
    "legend.frameon": False,
    "pdf.fonttype": 42,  # text stays text
    "ps.fonttype": 42,
    "savefig.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "landscape",
}

_SERIF = {"font.family": ["serif", "DejaVu Sans"], "mathtext.fontset": "stix"}
LEAST = 6.0
"""No text of a figure is smaller, in points, at the width it is printed in."""


@dataclass(frozen=True)
class Sheet:
    """What figures are printed on: inches of one and two columns, points of text and lines."""

    widths: tuple[float, float]
    text: float = 8.0
    line: float = 1.0
    dots: int = 200
    serif: bool = False


SHEETS = {
    "paper": Sheet((3.4, 7.0)),
    "neurips": Sheet((2.7, 5.5), serif=True),
    "iclr": Sheet((2.7, 5.5), serif=True),
    "icml": Sheet((3.25, 6.75), serif=True),
    "acl": Sheet((3.03, 6.3), serif=True),
    "ieee": Sheet((3.5, 7.16), serif=True),
    "jmlr": Sheet((2.9, 6.0), serif=True),
    "slides": Sheet((6.0, 12.0), text=18.0, line=2.4, dots=150),
    "poster": Sheet((12.0, 24.0), text=28.0, line=4.0, dots=150),
    "talk": Sheet((8.0, 12.0), text=16.0, line=2.4, dots=150),
    "screen": Sheet((6.0, 10.0), text=10.0, line=1.5, dots=120),
}
"""Venues and purposes: the widths of their templates, so that a figure is never scaled."""


def styled(name: str = "paper", *, columns: int = 1) -> AbstractContextManager[Any]:
    """How figures look at a venue, for a ``with`` block; nothing outside it changes.

    Figures have the width of the venue's template and are set in its kind of type, with no text
    below 6 points: include them unscaled. Fonts are embedded as text.

    Args:
        name: ``neurips``, ``iclr``, ``icml``, ``acl``, ``ieee``, ``jmlr``, ``slides``, ``poster``;
            or ``paper`` (8 pt, column widths of journals), ``talk``, ``screen``.
        columns: Width of new figures: one column (half the text where a venue has a single
            column) or two.

    Raises:
        ValueError: If the name or the number of columns is unknown.

    >>> with styled("neurips", columns=2):
    ...     mpl.rcParams["figure.figsize"][0]
    5.5
    """
    if name not in SHEETS:
        raise ValueError(f"style must be one of {', '.join(SHEETS)}; not {name!r}.")
    if columns not in (1, 2):
        raise ValueError(f"columns must be 1 or 2; not {columns}.")
    sheet = SHEETS[name]
    size, line, width = sheet.text, sheet.line, sheet.widths[columns - 1]
    sizes = ("axes.labelsize", "axes.titlesize", "font.size", "figure.titlesize")
    small = ("xtick.labelsize", "ytick.labelsize", "legend.fontsize", "legend.title_fontsize")
    widths_of = ("axes.linewidth", "xtick.major.width", "ytick.major.width", "hatch.linewidth")
    settings: Any = {
        **_COMMON,
        **(_SERIF if sheet.serif else {}),
        **dict.fromkeys(sizes, size),
        **dict.fromkeys(small, max(LEAST, 0.875 * size)),
        **dict.fromkeys(widths_of, 0.6 * line),
        "figure.dpi": sheet.dots,
        "figure.figsize": (width, 0.72 * width if columns == 1 else 0.5 * width),
        "lines.linewidth": 1.2 * line,
        "lines.markeredgewidth": 0.6 * line,
        "lines.markersize": 5 * line,
        "savefig.dpi": sheet.dots,
    }
    return mpl.rc_context(settings)


def small_text() -> float:
    """Points of notes and of labels within a picture: three quarters of the text, at least 6."""
    return max(LEAST, 0.75 * float(mpl.rcParams["font.size"]))


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
    """One look per run, no colour twice; runs of one optimizer share its hue, dark to light."""
    counts, seen = Counter(optimizers), Counter[str]()
    base: dict[str, Look] = {}
    for optimizer in optimizers:
        if optimizer not in base:
            base[optimizer] = _unlike(look(optimizer), [one.color for one in base.values()])
    found = []
    for optimizer in optimizers:
        one, count, place = base[optimizer], counts[optimizer], seen[optimizer]
        seen[optimizer] += 1
        if count > 1:
            hue, _, saturation = colorsys.rgb_to_hls(*to_rgb(one.color))
            lightness = 0.2 + 0.5 * place / (count - 1)
            one = Look(
                to_hex(colorsys.hls_to_rgb(hue, lightness, saturation)),
                _DASHES[place % len(_DASHES)],
                _MARKERS[place % len(_MARKERS)],
            )
        found.append(one)
    return found


def _unlike(one: Look, used: Sequence[str]) -> Look:
    """`one`, in the free colour that is farthest from the `used` ones where its own is taken."""
    if one.color not in used:
        return one
    free = [color for color in _SPREAD if color not in used]
    if not free:
        return one  # more runs than colours: dash and marker tell them apart

    def nearest(color: str) -> float:
        return min(np.linalg.norm(np.subtract(to_rgb(color), to_rgb(other))) for other in used)

    return replace(one, color=max(free, key=nearest))


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
