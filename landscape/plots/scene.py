"""What stands around a relief: the ground with its coordinates, the lowest point, what was cut."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Polygon
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from landscape.base.shown import percent
from landscape.plots.caption import conditions, write_above
from landscape.plots.frame import shares
from landscape.plots.levels import short
from landscape.plots.names import literal
from landscape.plots.relief import Camera, Relief, Sight, nearest
from landscape.plots.surface import axis_label, metric_of
from landscape.plots.venues import small_text
from landscape.results.surface import Surface

_BELOW = -0.1  # where the ground lies; the longer side is 1
_GROUND, _LINE = "0.95", "0.8"


def draw_ground(ax: Axes, surface: Surface, relief: Relief, camera: Camera) -> None:
    """The plane below the relief, with lines and values of its coordinates; drawn before it."""

    def on_screen(right: Any, away: Any) -> np.ndarray:
        x, y = relief.ground.place(np.asarray(right, float), np.asarray(away, float))
        return np.stack(camera.project(x, y, np.full_like(x, _BELOW)), axis=-1)

    corners = on_screen([0, 1, 1, 0], [0, 0, 1, 1])
    look: Any = {"facecolor": _GROUND, "edgecolor": "0.5", "linewidth": 0.6, "zorder": -2}
    ax.add_patch(Polygon(corners[:, :2], gid="ground", **look))
    middle = on_screen([0.5], [0.5])[0]
    for axis, values in enumerate((surface.alpha, surface.beta)):
        # Values stand at the one of the two edges along the axis that is nearer to the camera.
        mids = on_screen(*((0.5, 0.5), (0, 1))[:: 1 - 2 * axis])
        edge = int(np.argmax(mids[:, 2]))
        away = (mids[edge] - middle)[:2]
        away /= np.linalg.norm(away)
        ticks = MaxNLocator(nbins=4, steps=[1, 2, 5, 10]).tick_values(values[0], values[-1])
        ticks = ticks[(ticks >= values[0] - 1e-9) & (ticks <= values[-1] + 1e-9)]
        for tick in ticks:
            share = (tick - values[0]) / (values[-1] - values[0])
            line = on_screen(*((share, share), (0, 1))[:: 1 - 2 * axis])
            ax.plot(*line[:, :2].T, color=_LINE, linewidth=0.5, zorder=-1, gid="grid")
            _write(ax, f"{tick:g}", line[edge, :2], 7 * away, gid="tick")
        angle = _angle(on_screen(*((0, 1), (edge, edge))[:: 1 - 2 * axis]))
        _write(
            ax,
            literal(axis_label(surface, axis)),
            mids[edge, :2],
            17 * away,
            angle=angle,
            gid="label",
        )


def mark_lowest(
    ax: Axes, surface: Surface, metric: str, relief: Relief, camera: Camera, sight: Sight
) -> None:
    """A pin at the lowest measured point, with its value; parts behind the relief are faint."""
    values = metric_of(surface, metric)
    row, column = np.unravel_index(np.nanargmin(values), values.shape)
    point = np.array([[surface.alpha[column], surface.beta[row]]])
    x, y = (np.full(200, at[0]) for at in relief.ground.place(*shares(surface, point)))
    z = np.linspace(float(relief.at(x[:1], y[:1])[0]), 1.12 * relief.ceiling, 200)
    u, v, near = camera.project(x, y, z)
    seen = np.where(near > nearest(sight, u, v) - 0.02, v, np.nan)
    ax.plot(u, v, color="black", linewidth=0.5, alpha=0.3, gid="behind")
    ax.plot(u, seen, color="black", linewidth=0.8, gid="pin")
    _write(ax, f"lowest: {short(values[row, column], 3)}", np.array([u[-1], v[-1]]),
           np.array([0.0, 5.0]), gid="lowest")  # fmt: skip


def say_conditions(ax: Axes, surface: Surface, metric: str, top: float, log: bool) -> None:
    """Above the relief: how it was measured, and above how much of the plane was cut away."""
    values = metric_of(surface, metric)
    above = float(np.mean(values[surface.computed] > top * (1 + 1e-9)))
    told = [conditions(surface.settings), "logarithmic height" if log else "linear height"]
    if above:
        told.append(f"cut above {short(top)}, which is {percent(above)} of the points")
    write_above(ax, " · ".join(filter(None, told)))


def _angle(line: np.ndarray) -> float:
    """Of a line on the screen, in degrees, so that text along it is not upside down."""
    angle = float(np.degrees(np.arctan2(*(line[1] - line[0])[1::-1])))
    return (angle + 90) % 180 - 90


def _write(
    ax: Axes, text: str, at: np.ndarray, offset: np.ndarray, *, gid: str, angle: float = 0.0
) -> None:
    ax.annotate(
        text, tuple(at), xytext=tuple(offset), textcoords="offset points", ha="center",
        va="center", fontsize=small_text(), rotation=angle, rotation_mode="anchor", gid=gid,
        annotation_clip=False, zorder=8, path_effects=[withStroke(linewidth=1.5,
                                                                  foreground="white")],
    )  # fmt: skip
