"""How runs look: colour, dash and marker by optimizer."""

from __future__ import annotations

import colorsys
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from landscape.optim.registry import OPTIMIZERS

SPARE_COLORS = ("#E69F00", "#999999", "#8C564B", "#117733", "#882255", "#332288")
"""Colours of runs whose optimizer has no entry; apart from those of Okabe & Ito in use."""

_SPREAD = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", *SPARE_COLORS, "#AA4499", "#44AA99",
    "#661100", "#6699CC", "#000000", "#B8860B", "#4B0082", "#2F4F4F",
)  # fmt: skip

_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "p")


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
        apart = (np.subtract(to_rgb(color), to_rgb(other)) for other in used)
        return min(float(np.linalg.norm(difference)) for difference in apart)

    return replace(one, color=max(free, key=nearest))


def axes_or_new(ax: Axes | None) -> Axes:
    """`ax`, or the axes of a new pyplot figure."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.figure(layout="constrained").add_subplot()


def whole_steps(ax: Axes) -> None:
    """Ticks of optimizer steps: there is no half of one."""
    if isinstance(found := ax.xaxis.get_major_locator(), MaxNLocator):
        found.set_params(integer=True)


def figure_of(ax: Axes) -> Figure:
    """The figure that holds `ax`, also when it lies in a subfigure."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise ValueError("The axes were removed from their figure; make new ones.")
    return figure
