"""Runs on axes that show a plane: the path of each, its start and end, and its name at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Transform

from landscape.plots.legends import fitted
from landscape.plots.levels import short
from landscape.plots.names import plain
from landscape.plots.room import Name
from landscape.plots.style import figure_of, looks
from landscape.plots.venues import small_text
from landscape.results.projection import Projection
from landscape.results.surface import Surface
from landscape.results.words import astray

_NAMED = 8  # runs, beyond which names at the ends hide one another


def draw_paths(
    ax: Axes,
    paths: Sequence[Projection],
    *,
    transform: Transform | None = None,
    crowd: tuple[float, float, float, float] | None = None,
    land: Surface | None = None,
    legend: bool = True,
) -> None:
    """Draw projected runs on axes that show their plane, with a legend below the axes.

    Args:
        ax: Where to draw.
        paths: Projections on one plane.
        transform: Of the plane's coordinates; default: they are those of the axes.
        crowd: x and y limits of a box whose ends are named elsewhere.
        land: The surface under them; the legend then says which states are not on it.
        legend: Whether there is one.
    """
    if not paths:
        return
    transform = transform or ax.transData
    handles = []
    styles = looks([path.optimizer or path.name for path in paths])
    for path, style in zip(paths, styles, strict=True):
        draw_path(ax, path.coordinates, style.color, style.marker, transform=transform)
        handles.append(Line2D([], [], color=style.color, marker=style.marker))
    if legend:
        labels = [legend_label(path, land) for path in paths]
        fit = fitted(labels, float(figure_of(ax).get_size_inches()[0]), most=3)
        ax.legend(
            handles,
            fit.labels,
            title="Run: largest distance from the plane\n(hollow: start, solid: end)",
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            borderaxespad=5,  # below the labels of the axis, however tall the axes are
            ncols=fit.columns,
            handlelength=2,
        )
    if 1 < len(paths) <= _NAMED:
        ends = (transform - ax.transData).transform(np.array([p.coordinates[-1] for p in paths]))
        left, right, low, high = crowd or (np.inf, -np.inf, np.inf, -np.inf)
        named = [k for k, (x, y) in enumerate(ends) if not (left < x < right and low < y < high)]
        _name_ends(
            ax, [paths[k].name for k in named], [paths[k].coordinates[-1] for k in named],
            [styles[k].color for k in named], transform=transform,
        )  # fmt: skip


def legend_label(path: Projection, land: Surface | None) -> str:
    """The run, how far it is off the plane, and which states are not on the land."""
    away = path.residual[np.isfinite(path.residual)]
    told = [short(away.max())] if away.size else []
    if land is not None and (lost := astray(land, path)):
        told.append(lost)
    return plain(f"{path.name}: {', '.join(told)}" if told else path.name)


def draw_path(
    ax: Axes,
    coordinates: np.ndarray,
    color: str,
    marker: str = "o",
    *,
    transform: Transform | None = None,
) -> None:
    """One path, shape (states, 2): solid over a white halo, its start hollow and its end full."""
    width = mpl.rcParams["lines.linewidth"]
    told: dict[str, Any] = {} if transform is None else {"transform": transform}
    x, y = coordinates.T
    ax.plot(x, y, color="white", linewidth=2.2 * width, alpha=0.8, gid="halo", zorder=3, **told)
    ax.plot(x, y, color=color, linestyle="-", gid="path", zorder=4, **told)
    point: dict[str, Any] = {"linestyle": "", "color": color, "marker": marker, **told}
    ax.plot(x[:1], y[:1], **point, markerfacecolor="white", gid="start", zorder=5)
    ax.plot(x[-1:], y[-1:], **point, markeredgecolor="white", gid="end", zorder=6)


def _name_ends(
    ax: Axes,
    names: Sequence[str],
    ends: Sequence[np.ndarray],
    colors: Sequence[str],
    *,
    transform: Transform,
) -> None:
    """Each name beside its end, where there is room for it."""
    ax.apply_aspect()
    inside = ax.transAxes.inverted()
    for name, end, color in zip(names, ends, colors, strict=True):
        spot = inside.transform(transform.transform(end))
        if np.isfinite(spot).all() and (abs(spot - 0.5) <= 0.5).all():  # on the picture
            halo = [withStroke(linewidth=1.5, foreground="white")]
            ax.add_artist(
                Name(
                    plain(name), (float(end[0]), float(end[1])), xycoords=transform, color=color,
                    fontsize=small_text(), zorder=7, gid="name", path_effects=halo,
                )
            )  # fmt: skip
