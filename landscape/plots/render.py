"""A surface in three dimensions, lit from above: the picture for a talk or a cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize

from landscape.plots.frame import Footprint, shares
from landscape.plots.ground import colormap_of
from landscape.plots.levels import ceiling_of, contour_levels, distinct, resolved, ticks_of
from landscape.plots.names import literal, plain
from landscape.plots.relief import (
    Camera,
    Relief,
    Sight,
    halved,
    look,
    nearest,
    shade,
    slopes,
    smoothed,
)
from landscape.plots.scene import draw_ground, mark_lowest, say_conditions
from landscape.plots.style import axes_or_new, figure_of, looks
from landscape.plots.surface import check_plane, metric_of
from landscape.results.projection import Projection
from landscape.results.surface import Surface


def render_surface(
    surface: Surface,
    *,
    paths: Sequence[Projection] = (),
    metric: str | None = None,
    ceiling: float | None = None,
    floor: float | None = None,
    log: bool | None = None,
    colormap: str = "landscape",
    view: tuple[float, float | None] = (35.0, None),
    height: float = 0.5,
    lines: int = 16,
    pixels: int = 1400,
    bar: bool = False,
    base: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw a surface as a shaded relief on a transparent ground, cut off at a ceiling.

    The ground has the true lengths and angles of the plane: directions that are not at right
    angles give a parallelogram. Between measured points the relief is a cubic spline; it is a
    picture, not a measurement. Lines lie at round levels.
    Paths are dropped onto the surface, which is not the loss the runs had (see `Projection`);
    parts behind the relief are drawn faint.

    Args:
        surface: What to draw.
        paths: Projections on the same plane.
        metric: Which metric of the surface; default: its first, the loss.
        ceiling: What lies above is cut away; default: as for `plot_surface`.
        floor: Value at height 0, not above the smallest; default: the smallest. The same ceiling
            and floor for several surfaces make them comparable.
        log: Logarithmic height; default: when every value and `floor` is positive.
        colormap: ``landscape``, or the name of a matplotlib colour map.
        view: Elevation and azimuth of the camera in degrees; an azimuth of None looks from the
            side on which the surface is lower.
        height: Height of the ceiling in units of the longer side.
        lines: About how many level lines on the relief; 0 for none.
        pixels: Width of the picture.
        bar: Whether to draw a colour bar with the values.
        base: Whether to draw the ground below with its coordinates, to mark the lowest measured
            point, and to say above how much of the plane was cut away.
        ax: Where to draw; default: new axes.

    Returns:
        The axes, in screen coordinates, without frame; write its figure with
        ``save_figure(..., transparent=True)``.

    Raises:
        ValueError: If the metric is unknown, a path belongs to another plane, no value is finite,
            `floor` is above the smallest, or `log` is asked for values that are not positive.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> surface = ls.loss_surface(objective, resolution=5)
    >>> ax = ls.render_surface(surface, pixels=80)
    >>> len(ax.images)
    1
    """
    metric = metric or surface.metrics[0]
    for path in paths:
        check_plane(surface, path)
    values = metric_of(surface, metric)
    ceiling = ceiling_of(values, metric) if ceiling is None else ceiling
    smallest, top = resolved(values, ceiling=ceiling)
    values = np.maximum(values, smallest)
    low = smallest if floor is None else float(floor)
    if low > smallest:
        raise ValueError(f"floor={low:g} is above the smallest {metric}, {smallest:g}.")
    if log and low <= 0:
        raise ValueError(f"log=True needs positive values; the smallest {metric} is {low:g}.")
    norm = LogNorm(low, top) if log or (log is None and low > 0) else Normalize(low, top)
    heights = np.ma.filled(norm(np.nan_to_num(values, nan=np.nan, posinf=1e300)), np.nan) * height
    ground = Footprint.of(surface)
    relief = smoothed(surface.alpha, surface.beta, heights, ceiling=height, ground=ground)
    elevation, azimuth = view
    camera = Camera(elevation, _open_side(relief) if azimuth is None else azimuth)
    sight = look(relief, camera, pixels=2 * pixels)
    colors = colormap_of(colormap)(np.linspace(0, 1, 512))[:, :3]
    ends = np.array([low, top])
    levels = contour_levels(ends, lines=lines, ceiling=top)[1:-1] if lines else np.zeros(0)
    picture = halved(shade(relief, camera, sight, colors, levels=np.asarray(norm(levels))))
    ax = axes_or_new(ax)
    if base:
        draw_ground(ax, surface, relief, camera)
    ax.imshow(
        picture, origin="lower", interpolation="antialiased",
        extent=(sight.u[0], sight.u[-1], sight.v[0], sight.v[-1]),
    )  # fmt: skip
    ax.set_axis_off()
    if base:
        mark_lowest(ax, surface, metric, relief, camera, sight)
        say_conditions(ax, surface, metric, top, isinstance(norm, LogNorm))
    _add_paths(ax, paths, surface, relief, camera, sight)
    if bar:
        shown = ScalarMappable(norm, colormap_of(colormap))
        ticks = ticks_of(levels)
        extend = "max" if (values > top * (1 + 1e-9)).any() else "neither"
        drawn = figure_of(ax).colorbar(
            shown, ax=ax, shrink=0.6, label=literal(metric), ticks=ticks, extend=extend
        )
        drawn.minorticks_off()
        drawn.ax.set_yticklabels(distinct(ticks))
    return ax


def _open_side(relief: Relief) -> float:
    """An azimuth from which the relief rises away from the camera."""
    shown = replace(relief, heights=np.minimum(relief.heights, relief.ceiling))
    slope = np.array([np.nanmean(along) for along in slopes(shown)])
    if np.linalg.norm(slope) < 0.1 * relief.ceiling:
        return -60.0
    return float(np.degrees(np.arctan2(-slope[1], -slope[0]))) + 45.0


def _add_paths(
    ax: Axes,
    paths: Sequence[Projection],
    surface: Surface,
    relief: Relief,
    camera: Camera,
    sight: Sight,
) -> None:
    for path, style in zip(paths, looks([p.optimizer or p.name for p in paths]), strict=True):
        state = np.arange(len(path.step))
        along = np.linspace(0, len(state) - 1, max(2000, len(state)))
        dense = np.stack([np.interp(along, state, c) for c in path.coordinates.T], axis=1)
        x, y = relief.ground.place(*shares(surface, dense))
        u, v, near = camera.project(x, y, np.minimum(relief.at(x, y), relief.ceiling))
        visible = near > nearest(sight, u, v) - 0.02
        front = np.where(visible, v, np.nan)
        ax.plot(u, v, color=style.color, linewidth=0.8, alpha=0.35, gid="behind")
        ax.plot(u, front, color="white", linewidth=3.0, gid="halo")
        ax.plot(u, front, color=style.color, linewidth=1.8, label=plain(path.name), gid="path")
        for place, inside in ((0, "white"), (-1, style.color)):
            if visible[place]:
                edge = style.color if place == 0 else "white"
                ax.plot(
                    u[place], front[place], style.marker, color=inside, markeredgecolor=edge,
                    gid="start" if place == 0 else "end",
                )  # fmt: skip
