"""How figures look: widths, sizes and fonts by venue.

Nothing global changes: a style holds inside its ``with`` block only.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl

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


def style(name: str = "paper", *, columns: int = 1) -> AbstractContextManager[Any]:
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

    >>> with style("neurips", columns=2):
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


def is_styled() -> bool:
    """Whether a style of this package holds."""
    return mpl.rcParams["svg.hashsalt"] == _COMMON["svg.hashsalt"]


def saving() -> Any:
    """The settings in use for fonts in files, which matplotlib asks for when a figure is saved."""
    kept = ("pdf.", "ps.", "svg.", "savefig.", "font.", "mathtext.")
    return {name: mpl.rcParams[name] for name in mpl.rcParams if name.startswith(kept)}


def small_text() -> float:
    """Points of notes and of labels within a picture: three quarters of the text, at least 6."""
    return max(LEAST, 0.75 * float(mpl.rcParams["font.size"]))
