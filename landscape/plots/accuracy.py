"""What a surface with a tolerance shows of itself: measured points, untrusted ones."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.transforms import Transform

from landscape.results.surface import Surface


def draw_measured(ax: Axes, surface: Surface, place: Transform) -> None:
    """A dot at every measured point; the others are interpolated."""
    measured = surface.computed if surface.measured is None else surface.measured
    rows, columns = np.nonzero(measured)
    ax.plot(
        surface.alpha[columns], surface.beta[rows], linestyle="", marker=".", markersize=1.6,
        color="black", markeredgewidth=0, alpha=0.7, zorder=2.5, gid="measured", transform=place,
    )  # fmt: skip


def mark_untrusted(ax: Axes, surface: Surface, place: Transform) -> None:
    """Hatch the cells of points whose error is unknown or far beyond the tolerance."""
    if surface.trusted is None or surface.trusted.all():
        return
    x, y = _edges(surface.alpha), _edges(surface.beta)
    cells = [
        Path([(x[i], y[j]), (x[i + 1], y[j]), (x[i + 1], y[j + 1]), (x[i], y[j + 1]), (x[i], y[j])],
             closed=True)
        for j, i in zip(*np.nonzero(~surface.trusted), strict=True)
    ]  # fmt: skip
    outline = Path.make_compound_path(*cells)
    look = {
        "facecolor": "none",
        "edgecolor": "0.25",
        "linewidth": 0,
        "zorder": 2.4,
        "transform": place,
    }
    ax.add_patch(PathPatch(outline, hatch="xxxx", gid="untrusted", **look))


def _edges(places: np.ndarray) -> np.ndarray:
    middle = (places[:-1] + places[1:]) / 2
    return np.concatenate([places[:1], middle, places[-1:]])
