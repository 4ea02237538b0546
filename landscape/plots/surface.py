"""A surface from above: contours, and the runs projected on its plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.contour import QuadContourSet
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import Transform

from landscape.base.statistics import KEY, said_of
from landscape.plots.accuracy import draw_measured, mark_untrusted
from landscape.plots.caption import broken, conditions, rounded_away, write_above
from landscape.plots.frame import plane_transform, set_frame, shape_of
from landscape.plots.ground import colormap_of
from landscape.plots.inset import crowd, frame_inset, free_corner
from landscape.plots.legends import map_size
from landscape.plots.level_labels import LevelLabels
from landscape.plots.levels import (
    HUGE,
    ceiling_of,
    contour_levels,
    distinct,
    labelled,
    round_ones,
    short,
    ticks_of,
)
from landscape.plots.names import literal
from landscape.plots.paths import draw_paths, legend_label
from landscape.plots.room import Name, Spaced
from landscape.plots.style import axes_or_new, figure_of
from landscape.results.construction import Construction
from landscape.results.projection import Projection
from landscape.results.surface import Surface
from landscape.results.words import stated_error

_FILLS = 96


def plot_surface(
    surface: Surface,
    *,
    paths: Sequence[Projection] = (),
    metric: str | None = None,
    lines: int = 12,
    ceiling: float | None = None,
    levels: np.ndarray | None = None,
    colormap: str = "landscape",
    show_points: bool | None = None,
    inset: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw a surface as filled contours, with runs projected on its plane.

    The plane lies on paper as it lies in parameter space: distances and angles are true, and a
    plane whose directions are not at right angles has oblique axes. Levels are round numbers,
    written on the lines: 1, 2, 5, 10 … when every value is positive and they span a factor of
    ten, evenly spaced otherwise. Values above `ceiling`
    get the top colour and the colour bar a pointed end that says so. Points that were not
    measured are hatched, measured values that are not finite are crossed. A surface with a
    tolerance states its error at the colour bar, and is hatched where it is not to be trusted. A
    path is the projection of a run: the run itself is off the plane, by at most the distance that
    the legend gives beside its name, and its loss is in general not the surface's height.

    Args:
        surface: What to draw.
        paths: Projections on the same plane; from `project`.
        metric: Which metric of the surface; default: its first, the loss.
        lines: About how many contour lines.
        ceiling: Largest value that is resolved; default: the maximum, unless that is more than a
            thousand times the minimum and more than twenty times as far above it as the lower
            quartile; then the larger of these two. Of an accuracy always the maximum.
        levels: Contour levels, increasing, instead of `lines` and `ceiling`; the same for several
            surfaces makes them comparable. An end of more than two digits is no line.
        colormap: ``landscape``, which carries paths, or one of matplotlib's; paler under paths.
        show_points: Whether to dot the measured points; default: where others are interpolated.
        inset: Whether to draw the other runs larger, in a free corner, where one of at least
            three sets the scale.
        ax: Where to draw; default: new axes.

    Returns:
        The axes; those of the colour bar are ``ax.child_axes[0]``. Where no value is finite they
        say so, without a colour bar.

    Raises:
        ValueError: If the metric is unknown or a path belongs to another plane.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> surface = ls.loss_surface(objective, resolution=5)
    >>> ls.plot_surface(surface).get_xlabel()
    'direction 1'
    """
    metric = metric or surface.metrics[0]
    values = metric_of(surface, metric)
    for path in paths:
        check_plane(surface, path)
    ax = _new_axes(surface, paths) if ax is None else ax
    place = plane_transform(surface, ax)
    if not np.isfinite(values).any():
        nothing = literal(f"no finite {metric} was measured")
        ax.text(0.5, 0.5, nothing, ha="center", transform=ax.transAxes)
        _finish(ax, surface, metric, paths)
        draw_paths(ax, paths, transform=place, land=surface)
        return ax
    if levels is None:
        ceiling = ceiling_of(values, metric) if ceiling is None else ceiling
        levels = contour_levels(values, lines=lines, ceiling=ceiling)
    drawn = round_ones(np.asarray(levels))
    low, top = float(levels[0]), float(levels[-1])
    norm = LogNorm(low, top) if 0 < 10 * low <= top else Normalize(low, top)
    shown = _between(values, low, top, positive=isinstance(norm, LogNorm))
    clipped, sunk = bool((shown > top + 1e-9 * abs(top)).any()), bool((shown < low).any())
    extend = ("both" if clipped else "min") if sunk else "max" if clipped else "neither"
    colors = _colors(colormap, bool(paths))

    def draw_land(ax: Axes) -> tuple[QuadContourSet, QuadContourSet]:
        at: Any = (surface.alpha, surface.beta, shown)
        on: Any = {"transform": plane_transform(surface, ax)}
        fills = ax.contourf(*at, _even(norm), norm=norm, cmap=colors, extend=extend, **on)
        fills.set_rasterized(True)
        dark: Any = {"colors": "black", "linewidths": 0.4, "alpha": 0.45}
        return fills, ax.contour(*at, drawn, **dark, **on)

    fills, edges = draw_land(ax)
    cuts = (clipped, f" (clipped above {short(top)})"), (sunk, f" (clipped below {short(low)})")
    told = metric + "".join(said for cut, said in cuts if cut)
    _bar(ax, fills, edges, "; ".join(filter(None, (told, stated_error(surface, metric)))))
    _mark_holes(ax, surface, values, place)
    mark_untrusted(ax, surface, place)
    interpolated = surface.measured is not None and not surface.measured.all()
    if interpolated if show_points is None else show_points:
        draw_measured(ax, surface, place)
    _finish(ax, surface, metric, paths)
    named = labelled(np.asarray(edges.levels))
    names = dict(zip(named.tolist(), distinct(named), strict=True))
    land = np.stack([surface.alpha[[0, -1, -1, 0]], surface.beta[[0, 0, -1, -1]]], axis=1)
    ax.add_artist(LevelLabels(edges, fills, names, land, place))
    box = crowd(surface, paths) if inset else None
    inner = None if box is None else free_corner(ax, surface, paths, box)
    draw_paths(ax, paths, transform=place, crowd=None if inner is None else box, land=surface)
    if inner is not None and box is not None:
        draw_land(inner)
        frame_inset(ax, inner, box)
        draw_paths(inner, paths, transform=plane_transform(surface, inner), legend=False)
    _mark_points(ax, surface, place)
    return ax


def _new_axes(surface: Surface, paths: Sequence[Projection]) -> Axes:
    ax = axes_or_new(None)
    figure_of(ax).set_size_inches(map_size(surface, [legend_label(p, surface) for p in paths]))
    return ax


def _between(
    values: np.ndarray, low: float, top: float, *, positive: bool = False
) -> np.ma.MaskedArray:
    """Values to draw: +inf lies above every level; a large number draws the same, interpolated.

    Where only what is positive has a place, what lies below every level does so and stays positive.
    """
    room = 10 * (top - low)
    bottom = low / 2 if positive else low - room
    shown = np.where(np.isposinf(values), top + room, values)
    shown = np.where(shown > HUGE, max(top + room, HUGE), shown)
    return np.ma.masked_invalid(np.where(shown < low, np.maximum(shown, bottom), shown))


def _even(norm: Normalize) -> np.ndarray:
    """Levels of the fills, whose colours are evenly apart."""
    fine = np.asarray(norm.inverse(np.linspace(0, 1, _FILLS + 1)))
    fine[[0, -1]] = norm.vmin, norm.vmax
    return fine


def _bar(ax: Axes, fills: QuadContourSet, edges: QuadContourSet, label: str) -> None:
    beside = ax.inset_axes((1.02, 0, 0.035, 1))  # as tall as the axes whatever their aspect
    ticks = ticks_of(np.asarray(edges.levels))
    names = dict(zip(ticks.tolist(), distinct(ticks), strict=True))
    size = FontProperties(size=mpl.rcParams["ytick.labelsize"]).get_size_in_points()
    bar = figure_of(ax).colorbar(
        fills, cax=beside, ticks=Spaced(ticks, size),
        format=FuncFormatter(lambda level, _: names.get(float(level), "")),
    )  # fmt: skip
    bar.add_lines(edges)
    bar.minorticks_off()
    bar.set_label(literal(label))


def _mark_points(ax: Axes, surface: Surface, place: Transform) -> None:
    """Mark and name the points that a plane was laid through, where they have names."""
    points = Construction.of(surface.settings).points
    if points is None:
        return
    box = surface.alpha[0], surface.alpha[-1], surface.beta[0], surface.beta[-1]
    for name, x, y in zip(points["names"], points["x"], points["y"], strict=True):
        if not (box[0] <= x <= box[1] and box[2] <= y <= box[3]):
            continue
        ax.plot(
            x, y, "o", color="white", markeredgecolor="black", gid="point", zorder=7,
            transform=place,
        )  # fmt: skip
        halo = [withStroke(linewidth=2, foreground="white")]
        ax.add_artist(Name(literal(name), (x, y), xycoords=place, zorder=8, path_effects=halo))


def metric_of(surface: Surface, metric: str) -> np.ndarray:
    """Values of one metric, shape (beta, alpha)."""
    if metric not in surface.metrics:
        raise ValueError(f"metric must be one of {', '.join(surface.metrics)}; not {metric!r}.")
    return surface.values[surface.metrics.index(metric)]


def belongs(path: Projection, surface: Surface) -> bool:
    """Whether a path was projected on the plane of a surface."""
    mine, other = (r.provenance.get("plane_hash") for r in (surface, path))
    return mine is not None and mine == other


def check_plane(surface: Surface, path: Projection) -> None:
    """Refuse a path that was projected on another plane than the surface's."""
    if "plane_hash" in surface.provenance and not belongs(path, surface):
        raise ValueError(
            f"The path of {path.name} was projected on another plane than the surface's; "
            "project(trajectory, plane) it on the plane that was measured."
        )


def axis_label(surface: Surface, axis: int) -> str:
    """Name of an axis, with the share of variation it explains beside that of a random walk."""
    label = surface.labels[axis]
    if surface.explained is None:
        return label
    label += f" ({surface.explained[axis]:.1%} of variation"
    if surface.explained_null is not None:
        label += f"; random walk: {surface.explained_null[axis]:.1%}"
    return label + ")"


def measured_with(surface: Surface, paths: Sequence[Projection]) -> dict[str, Any]:
    """A surface's settings, which say whose statistics it shares with the paths on it."""
    told = said_of(surface.settings, [path.settings for path in paths])
    return {**surface.settings, **({KEY: told} if told else {})}


def _finish(ax: Axes, surface: Surface, metric: str, paths: Sequence[Projection]) -> None:
    for axis, write in enumerate((ax.set_xlabel, ax.set_ylabel)):
        write(broken(axis_label(surface, axis), ax, axis))
    set_frame(ax, surface)
    notes = "".join(f" · {told}" for told in shape_of(surface))
    notes += rounded_away(surface.rounding)
    errors = surface.provenance.get("observed_error")
    error = errors.get(metric) if isinstance(errors, dict) else None
    write_above(
        ax, (conditions(measured_with(surface, paths), error=error) + notes).removeprefix(" · ")
    )


def _mark_holes(ax: Axes, surface: Surface, values: np.ndarray, place: Transform) -> None:
    """Hatch what was not measured; cross out what was measured and is not a number."""
    if not surface.computed.all():
        x, y = surface.alpha, surface.beta
        hole = Rectangle(
            (x[0], y[0]), x[-1] - x[0], y[-1] - y[0], hatch="////", facecolor="0.93",
            edgecolor="0.6", linewidth=0, zorder=0.5, gid="not measured", transform=place,
        )  # fmt: skip
        ax.add_patch(hole)
    broken = surface.computed & ~np.isfinite(values) & ~np.isposinf(values)
    if broken.any():
        rows, columns = np.nonzero(broken)
        ax.plot(
            surface.alpha[columns], surface.beta[rows], linestyle="", marker="x", color="0.3",
            gid="not finite", transform=place,
        )  # fmt: skip


def _colors(name: str, pale: bool) -> Colormap:
    """A colour map; mixed with white under paths, which keeps its order of lightness."""
    colors = colormap_of(name)(np.linspace(0, 1, 256))
    if pale and name != "landscape":
        colors[:, :3] = 0.4 + 0.6 * colors[:, :3]
    return ListedColormap(colors)
