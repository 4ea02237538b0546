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

from landscape.plots.style import figure_of, looks
from landscape.plots.venues import small_text
from landscape.results.projection import Projection

_NAMED = 8  # runs, beyond which names at the ends hide one another


def draw_paths(
    ax: Axes,
    paths: Sequence[Projection],
    *,
    transform: Transform | None = None,
    crowd: tuple[float, float, float, float] | None = None,
    legend: bool = True,
) -> None:
    """Draw projected runs on axes that show their plane, with a legend below the axes.

    Args:
        ax: Where to draw.
        paths: Projections on one plane.
        transform: Of the plane's coordinates; default: they are those of the axes.
        crowd: x and y limits of a box whose ends are named elsewhere.
        legend: Whether there is one.
    """
    if not paths:
        return
    transform = transform or ax.transData
    handles = []
    styles = looks([path.optimizer or path.name for path in paths])
    for path, style in zip(paths, styles, strict=True):
        draw_path(ax, path.coordinates, style.color, style.marker, transform=transform)
        farthest = np.fmax.reduce(path.residual)  # NaN: unknown
        label = path.name if np.isnan(farthest) else f"{path.name}: {farthest:.2g}"
        handles.append(Line2D([], [], color=style.color, marker=style.marker, label=label))
    if legend:
        ax.legend(
            handles=handles,
            title="Run: largest distance from the plane\n(hollow: start, solid: end)",
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            borderaxespad=5,  # below the labels of the axis, however tall the axes are
            ncols=min(3, len(paths)),
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
    """Each name beside its end, one below the other where ends lie close."""
    size = small_text()
    dots = figure_of(ax).dpi / 72  # per point
    pixel = 1.15 * size * dots  # of a line of text
    ax.apply_aspect()
    if not names:
        return
    inside = ax.transAxes.inverted()
    at = transform.transform(np.array(ends))
    right_edge = ax.transAxes.transform((1.0, 0.0))[0]
    taken: list[np.ndarray] = []
    for place in map(int, np.argsort(-at[:, 1])):
        spot = at[place].copy()
        if not (np.isfinite(spot).all() and (abs(inside.transform(spot) - 0.5) <= 0.5).all()):
            continue  # the end is not on the picture
        width = pixel * 0.55 * max(map(len, names))
        left = spot[0] + pixel * 0.55 * len(names[place]) > right_edge
        while any(abs(spot[1] - y) < pixel and abs(spot[0] - x) < width for x, y in taken):
            spot[1] -= 0.2 * pixel
        taken.append(spot)
        offset = (spot - at[place]) / dots
        ax.annotate(
            names[place], tuple(ends[place]), xycoords=transform, textcoords="offset points",
            xytext=(-5.0 if left else 5.0, float(offset[1])), ha="right" if left else "left",
            va="center", fontsize=size, color=colors[place], zorder=7, gid="name",
            path_effects=[withStroke(linewidth=1.5, foreground="white")],
        )  # fmt: skip
