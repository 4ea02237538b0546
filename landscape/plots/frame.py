"""A plane on paper: distances and angles between its points as they are in parameter space.

With directions d₁, d₂ of Gram matrix G, the point (α, β) lies on paper, in units of ‖d₁‖, at
x = α + β g₁₂/g₁₁ and y = β √(g₁₁ g₂₂ - g₁₂²)/g₁₁: its coordinates in an orthonormal basis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Affine2D, Transform

from landscape.plots.levels import short
from landscape.plots.venues import small_text

_SKEW = 0.018  # cosine of the axes from which distances drawn at right angles are 0.9 % off
_SLENDER = 3.0  # sides of a box beyond which it cannot be drawn in one scale
_SLENDER_SKEW = 5.0  # of an oblique one
_TICK = 3.0  # points


class OnPlane(Protocol):
    """What was measured at points of a plane."""

    @property
    def alpha(self) -> np.ndarray:
        """Coordinates along the first direction, increasing."""
        ...

    @property
    def beta(self) -> np.ndarray:
        """Coordinates along the second direction, increasing."""
        ...

    @property
    def gram(self) -> np.ndarray:
        """Inner products of the directions."""
        ...


@dataclass(frozen=True)
class Cells:
    """The edges of squares around points of a plane, and the inner products of its directions."""

    alpha: np.ndarray
    beta: np.ndarray
    gram: np.ndarray

    @classmethod
    def around(cls, found: OnPlane) -> Cells:
        """Squares that reach half way to the next point, at the ends as far as inwards."""
        return cls(_sides(found.alpha), _sides(found.beta), found.gram)


def _sides(places: np.ndarray) -> np.ndarray:
    if len(places) < 2:
        return np.array([places[0] - 0.5, places[0] + 0.5])
    half = np.diff(places) / 2
    return np.concatenate([[places[0] - half[0]], places[:-1] + half, [places[-1] + half[-1]]])


def on_paper(surface: OnPlane, *, true: bool = False) -> Affine2D:
    """Where the coordinates (α, β) lie on axes that show the surface; see `plane_transform`.

    Args:
        surface: What is shown.
        true: Never stretched.
    """
    (xx, xy), (_, yy) = surface.gram
    if not is_skew(surface):
        return Affine2D()
    height = np.sqrt(max(xx * yy - xy**2, 0.0)) / xx
    height *= 1.0 if true else stretched(surface)
    return Affine2D(np.array([[1.0, xy / xx, 0.0], [0.0, height, 0.0], [0.0, 0.0, 1.0]]))


@dataclass(frozen=True)
class Footprint:
    """Where a surface stands in a scene: a parallelogram with true lengths and angles.

    The first direction points along x, and the longer of width and depth is 1.

    Attributes:
        width: Its extent along the first direction.
        depth: Its extent across it.
        shear: How far its far edge lies to the right of the near one.
    """

    width: float
    depth: float
    shear: float

    @classmethod
    def of(cls, surface: OnPlane) -> Footprint:
        """Of a surface; at right angles, and in one unit, where lengths are unknown."""
        (xx, xy), (_, yy) = surface.gram if has_lengths(surface) else np.eye(2)
        across, along = np.ptp(surface.alpha), np.ptp(surface.beta)
        depth = along * np.sqrt(max(xx * yy - xy**2, 0.0)) / xx
        shear = along * xy / xx if is_skew(surface) else 0.0
        span = max(across, depth)
        return cls(float(across / span), float(depth / span), float(shear / span))

    def place(self, right: np.ndarray, away: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shares of the way along both sides, 0 to 1, as points (x, y) of the scene."""
        return self.width * right + self.shear * away, self.depth * away

    @property
    def corners(self) -> np.ndarray:
        """The four corners, counter-clockwise from the origin, shape (4, 2)."""
        return np.stack(self.place(np.array([0.0, 1, 1, 0]), np.array([0.0, 0, 1, 1])), axis=1)


def shares(surface: OnPlane, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (α, β), shape (n, 2), as shares of the way along both sides."""
    right, away = (
        (column - axis[0]) / (axis[-1] - axis[0])
        for column, axis in zip(points.T, (surface.alpha, surface.beta), strict=True)
    )
    return right, away


def plane_transform(surface: OnPlane, ax: Axes) -> Transform:
    """For drawing more on a surface: ``ax.plot(alpha, beta, transform=plane_transform(...))``."""
    return on_paper(surface) + ax.transData


def is_skew(surface: OnPlane) -> bool:
    """Whether the axes of the plane are not at right angles."""
    (xx, xy), (_, yy) = surface.gram
    return has_lengths(surface) and bool(abs(xy) > _SKEW * np.sqrt(xx * yy))


def has_lengths(surface: OnPlane) -> bool:
    """Whether lengths along the directions are known; files of other tools may not hold them."""
    return bool(np.isfinite(surface.gram).all() and (np.diag(surface.gram) > 0).all())


def box(surface: OnPlane) -> tuple[float, float]:
    """Width and height of the surface as it truly is, in units of the first direction."""
    across, along = np.ptp(surface.alpha), np.ptp(surface.beta)
    if not is_skew(surface):
        return float(across), float(along * unit_ratio(surface))
    (xx, xy), (_, yy) = surface.gram
    height = along * np.sqrt(max(xx * yy - xy**2, 0.0)) / xx
    return float(across + along * abs(xy) / xx), float(height)


def stretched(surface: OnPlane) -> float:
    """How much longer a unit is drawn upwards than across; 1 but for very slender boxes."""
    width, height = box(surface)
    most = _SLENDER_SKEW if is_skew(surface) else _SLENDER
    if width / most <= height <= width * most:
        return 1.0
    return width / height * 0.5 if width > height else width / height * 2


def shape_of(surface: OnPlane) -> list[str]:
    """What must be said of a plane as it is drawn: its angle, and that one side is stretched."""
    told = []
    if is_skew(surface):
        (xx, xy), (_, yy) = surface.gram
        told.append(f"axes at {np.degrees(np.arccos(xy / np.sqrt(xx * yy))):.0f}°")
    if (factor := stretched(surface)) != 1:
        told.append(f"drawn {short(factor)} times as tall as it is")
    return told


def set_frame(ax: Axes, surface: OnPlane) -> None:
    """Limits, aspect and ticks: true distances, and oblique axes where the plane has such."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(True)
    if not is_skew(surface):
        ax.set_xlim(surface.alpha[0], surface.alpha[-1])
        ax.set_ylim(surface.beta[0], surface.beta[-1])
        ax.set_aspect(unit_ratio(surface) * stretched(surface))
        return
    low, high = _corners(surface).min(axis=0), _corners(surface).max(axis=0)
    margin = 0.01 * (high - low).max()
    ax.set(xlim=(low[0] - margin, high[0] + margin), ylim=(low[1] - margin, high[1] + margin))
    ax.set_aspect("equal")
    ax.tick_params(length=0, labelcolor="none")  # their room is that of the oblique ticks
    for spine in ax.spines.values():
        spine.set_visible(False)
    around = _corners(surface)[[0, 1, 3, 2, 0]]
    ax.add_line(Line2D(*around.T, color="black", linewidth=0.6, gid="frame", clip_on=False))
    _oblique_ticks(ax, surface)


def unit_ratio(surface: OnPlane) -> float:
    """Length of the second direction over that of the first; 1 where they are unknown."""
    if not has_lengths(surface):
        return 1.0
    return float(np.sqrt(surface.gram[1, 1] / surface.gram[0, 0]))


def _corners(surface: OnPlane) -> np.ndarray:
    ends = [(a, b) for b in surface.beta[[0, -1]] for a in surface.alpha[[0, -1]]]
    return on_paper(surface).transform(np.array(ends))


def _oblique_ticks(ax: Axes, surface: OnPlane) -> None:
    """Ticks of α along the lower edge and of β along the left one, each in the other's line."""
    place = on_paper(surface)
    sides = [(0, surface.alpha, surface.beta[0]), (1, surface.beta, surface.alpha[0])]
    for axis, values, other in sides:
        ticks = MaxNLocator(nbins=5, steps=[1, 2, 5, 10]).tick_values(values[0], values[-1])
        ticks = ticks[(ticks >= values[0] - 1e-9) & (ticks <= values[-1] + 1e-9)]
        at = np.stack([ticks, np.full(len(ticks), other)][:: 1 if axis == 0 else -1], axis=1)
        along = place.transform(np.eye(2))[1 - axis] - place.transform(np.zeros((1, 2)))[0]
        away = -along / np.linalg.norm(along)
        for tick, (x, y) in zip(ticks, place.transform(at), strict=True):
            ax.annotate(
                f"{tick:g}", (x, y), xytext=tuple(1.7 * _TICK * away), textcoords="offset points",
                ha="center" if axis == 0 else "right", va="top" if axis == 0 else "center",
                fontsize=small_text(), gid="tick", annotation_clip=False,
                arrowprops={"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0},
            )  # fmt: skip
