"""A surface from above: contours, and the runs projected on its plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from landscape.plots.accuracy import draw_measured, mark_untrusted, stated_error
from landscape.plots.caption import conditions, write_above
from landscape.plots.ground import COLORMAP
from landscape.plots.style import axes_or_new, figure_of, looks
from landscape.results.projection import Projection
from landscape.results.surface import Surface

_FILLS_PER_LINE = 8
_HUGE = 1e100  # no axis shows this together with other values


def plot_surface(
    surface: Surface,
    *,
    paths: Sequence[Projection] = (),
    metric: str | None = None,
    lines: int = 12,
    ceiling: float | None = None,
    levels: np.ndarray | None = None,
    colormap: str = COLORMAP,
    show_points: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw a surface as filled contours, with runs projected on its plane.

    Levels are geometric when every value is positive and even otherwise. Values above `ceiling`
    get the top colour and the colour bar a pointed end that says so. Points that were not
    measured are hatched, measured values that are not finite are crossed. A surface with a
    tolerance states its error at the colour bar, and is hatched where it is not to be trusted. A
    path is the projection of a run: the run itself is off the plane, by at most the distance that
    the legend gives beside its name, and its loss is in general not the surface's height.

    Args:
        surface: What to draw.
        paths: Projections on the same plane; from `project`.
        metric: Which metric of the surface; default: its first, the loss.
        lines: Number of contour lines.
        ceiling: Largest value that is resolved; default: the maximum, unless that is more than a
            thousand times the minimum and more than twenty times as far above it as the lower
            quartile; then the larger of these two.
        levels: Contour levels, increasing, instead of `lines` and `ceiling`; the same for several
            surfaces makes them comparable.
        colormap: Name of a matplotlib colour map; any but ``landscape`` is paler under paths.
        show_points: Whether to dot the measured points.
        ax: Where to draw; default: new axes.

    Returns:
        The axes; those of the colour bar are ``ax.child_axes[0]``. Where no value is finite they
        say so, without a colour bar.

    Raises:
        ValueError: If the metric is unknown or a path belongs to another plane.
    """
    metric = metric or surface.metrics[0]
    values = metric_of(surface, metric)
    for path in paths:
        check_plane(surface, path)
    ax = axes_or_new(ax)
    if not np.isfinite(values).any():
        ax.set(xlim=surface.alpha[[0, -1]], ylim=surface.beta[[0, -1]])
        ax.text(0.5, 0.5, f"no finite {metric} was measured", ha="center", transform=ax.transAxes)
        _finish(ax, surface, metric)
        draw_paths(ax, paths)
        return ax
    if levels is None:
        levels = contour_levels(values, lines=lines, ceiling=ceiling)
    top = levels[-1]
    norm = LogNorm(levels[0], top) if levels[0] > 0 else Normalize(levels[0], top)
    fine = _subdivided(levels, geometric=isinstance(norm, LogNorm))
    # +inf lies above every level; a large number draws the same and can be interpolated.
    room = 10 * (top - levels[0])
    shown = np.where(np.isposinf(values), top + room, values)
    shown = np.where(shown > _HUGE, max(top + room, _HUGE), shown)
    shown = np.where(shown < levels[0], np.maximum(shown, levels[0] - room), shown)
    shown = np.ma.masked_invalid(shown)
    clipped, sunk = bool((shown > top + 1e-9 * abs(top)).any()), bool((shown < levels[0]).any())
    fills = ax.contourf(
        surface.alpha, surface.beta, shown, fine, norm=norm, cmap=_colors(colormap, bool(paths)),
        extend=("both" if clipped else "min") if sunk else "max" if clipped else "neither",
    )  # fmt: skip
    fills.set_rasterized(True)
    edges = ax.contour(
        surface.alpha, surface.beta, shown, levels, colors="black", linewidths=0.4, alpha=0.45
    )
    beside = ax.inset_axes((1.02, 0, 0.035, 1))  # as tall as the axes whatever their aspect
    bar = figure_of(ax).colorbar(fills, cax=beside, ticks=levels[::2])
    bar.add_lines(edges)
    bar.minorticks_off()
    bar.ax.set_yticklabels(_distinct(levels[::2]))
    told = metric + (f" (clipped above {_short(top)})" if clipped else "")
    told += f" (clipped below {_short(levels[0])})" if sunk else ""
    bar.set_label("; ".join(filter(None, (told, stated_error(surface, metric)))))
    _mark_holes(ax, surface, values)
    mark_untrusted(ax, surface)
    if show_points:
        draw_measured(ax, surface)
    _finish(ax, surface, metric)
    draw_paths(ax, paths)
    return ax


def contour_levels(
    values: np.ndarray, *, lines: int = 12, ceiling: float | None = None
) -> np.ndarray:
    """Levels of contour lines: geometric for positive values, evenly spaced otherwise.

    Args:
        values: Any shape; what is not finite is left out.
        lines: Number of levels.
        ceiling: The last level; default: see `plot_surface`.

    Raises:
        ValueError: If no value is finite, or the ceiling is not above the minimum.

    >>> contour_levels(np.array([1.0, 10.0, 100.0]), lines=3).tolist()
    [1.0, 10.0, 100.0]
    >>> contour_levels(np.array([-1.0, 0.0, 1.0]), lines=3).tolist()
    [-1.0, 0.0, 1.0]
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError("No value of the surface is finite; measure it on a smaller extent.")
    finite = finite[np.abs(finite) < _HUGE] if (np.abs(finite) < _HUGE).any() else finite
    low, high = _floor(finite), float(finite.max())
    if ceiling is None:
        quartile = float(np.quantile(finite, 0.25))
        reach = max(low + 20 * (quartile - low), 1000 * low)
        ceiling = min(high, reach) if quartile > low else high
        if ceiling <= low:  # a constant surface
            ceiling = low + max(abs(low), 1.0) * 1e-3
    if not ceiling > low:
        raise ValueError(f"ceiling must be above the smallest value, {low:g}; got {ceiling:g}.")
    space = np.geomspace if low > 0 else np.linspace
    return space(low, ceiling, max(2, lines))


def _floor(finite: np.ndarray) -> float:
    """The smallest value that is no abyss: a thousand times the middle half below it."""
    lower, upper = np.quantile(finite, (0.25, 0.75))
    if upper > lower:
        finite = finite[finite >= lower - 1000 * (upper - lower)]
    return float(finite.min())


def draw_paths(ax: Axes, paths: Sequence[Projection]) -> None:
    """Draw projected runs on axes that show their plane, with a legend below the axes."""
    if not paths:
        return
    styles = looks([path.optimizer or path.name for path in paths])
    width = mpl.rcParams["lines.linewidth"]
    handles = []
    for path, style in zip(paths, styles, strict=True):
        x, y = path.coordinates.T
        ax.plot(x, y, color="white", linewidth=2.2 * width, alpha=0.8, gid="halo", zorder=3)
        ax.plot(x, y, **style.line, gid="path", zorder=4)
        point: dict[str, Any] = {"linestyle": "", "color": style.color, "marker": style.marker}
        ax.plot(*path.coordinates[0], **point, markerfacecolor="white", gid="start", zorder=5)
        ax.plot(*path.coordinates[-1], **point, markeredgecolor="white", gid="end", zorder=6)
        farthest = np.fmax.reduce(path.residual)  # NaN: unknown
        label = path.name if np.isnan(farthest) else f"{path.name}: {farthest:.2g}"
        handles.append(Line2D([], [], **style.line, marker=style.marker, label=label))
    ax.legend(
        handles=handles,
        title="Run: largest distance from the plane (hollow: start, solid: end)",
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        borderaxespad=5,  # below the labels of the axis, however tall the axes are
        ncols=min(3, len(paths)),
        handlelength=3,
    )


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


def is_square(surface: Surface) -> bool:
    """Whether one unit is equally long on both axes, and a box drawn so is not too slender."""
    (xx, xy), (_, yy) = surface.gram
    alike = abs(xx - yy) < 0.1 * max(xx, yy) and abs(xy) < 0.1 * np.sqrt(xx * yy)
    return bool(alike and 0.3 < np.ptp(surface.beta) / np.ptp(surface.alpha) < 3)


def _finish(ax: Axes, surface: Surface, metric: str) -> None:
    ax.set_xlabel(axis_label(surface, 0))
    ax.set_ylabel(axis_label(surface, 1).replace("; ", ";\n"))  # axes are seldom tall
    ax.set_xlim(surface.alpha[0], surface.alpha[-1])
    ax.set_ylim(surface.beta[0], surface.beta[-1])
    for side in ("top", "right"):
        ax.spines[side].set_visible(True)
    skew = surface.gram[0, 1] / np.sqrt(surface.gram[0, 0] * surface.gram[1, 1])
    angle = f" · axes at {np.degrees(np.arccos(skew)):.0f}°" if abs(skew) > 0.05 else ""
    errors = surface.provenance.get("observed_error")
    error = errors.get(metric) if isinstance(errors, dict) else None
    write_above(ax, conditions(surface.settings, error=error) + angle)
    if is_square(surface):
        ax.set_aspect("equal")


def _mark_holes(ax: Axes, surface: Surface, values: np.ndarray) -> None:
    """Hatch what was not measured; cross out what was measured and is not a number."""
    if not surface.computed.all():
        x, y = surface.alpha, surface.beta
        hole = Rectangle(
            (x[0], y[0]), x[-1] - x[0], y[-1] - y[0], hatch="////", facecolor="0.93",
            edgecolor="0.6", linewidth=0, zorder=0.5, gid="not measured",
        )  # fmt: skip
        ax.add_patch(hole)
    broken = surface.computed & ~np.isfinite(values) & ~np.isposinf(values)
    if broken.any():
        rows, columns = np.nonzero(broken)
        ax.plot(
            surface.alpha[columns], surface.beta[rows], linestyle="", marker="x", color="0.3",
            gid="not finite",
        )  # fmt: skip


def _short(value: float, digits: int = 2) -> str:
    """Two digits: 0.048, 1.3, 410, 2e+06."""
    return f"{float(f'{value:.{digits}g}'):.{max(digits, 6)}g}"


def _distinct(values: np.ndarray) -> list[str]:
    """As many digits as tell the values apart: 3.9 and 3.8, or 3.913 and 3.912."""
    count = len(set(values.tolist()))
    shorter = ([_short(value, digits) for value in values] for digits in range(2, 17))
    return next((s for s in shorter if len(set(s)) == count), [f"{v:.17g}" for v in values])


def _subdivided(levels: np.ndarray, *, geometric: bool) -> np.ndarray:
    space = np.geomspace if geometric else np.linspace
    fine = space(levels[0], levels[-1], _FILLS_PER_LINE * (len(levels) - 1) + 1)
    fine[[0, -1]] = levels[[0, -1]]
    return fine


def _colors(name: str, pale: bool) -> Colormap:
    """A colour map; mixed with white under paths unless it is made for them, as ours is."""
    colors = colormaps[name](np.linspace(0, 1, 256))
    if pale and name != COLORMAP:
        colors[:, :3] = 0.4 + 0.6 * colors[:, :3]
    return ListedColormap(colors)
