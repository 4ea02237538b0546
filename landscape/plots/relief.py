"""A relief seen from a distance: which point of a surface each pixel shows, and its shade.

The surface is a height over a parallelogram, the projection is parallel. Each column of pixels sees
one straight line on the ground, so walking along it from far to near and overwriting gives what
is visible, exactly, without sorting faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import map_coordinates

from landscape.plots.frame import Footprint

_AMBIENT, _DIFFUSE, _GLOSS, _HARDNESS = 0.52, 0.48, 0.16, 24.0
_FINE = 700  # samples of the spline along the longer side


@dataclass(frozen=True)
class Relief:
    """Heights over a parallelogram.

    Attributes:
        heights: On a regular grid along its two sides, shape (away, right); NaN where there is no
            surface.
        ground: The parallelogram.
        ceiling: What is higher is cut away.
    """

    heights: np.ndarray
    ground: Footprint
    ceiling: float

    def at(self, x: np.ndarray, y: np.ndarray, of: np.ndarray | None = None) -> np.ndarray:
        """Heights (or another quantity on the same grid) at points; NaN outside."""
        grid = self.heights if of is None else of
        away = y / self.ground.depth
        right = (x - self.ground.shear * away) / self.ground.width
        rows, columns = away * (grid.shape[0] - 1), right * (grid.shape[1] - 1)
        return map_coordinates(grid, [rows, columns], order=1, cval=np.nan, output=np.float32)


@dataclass(frozen=True)
class Camera:
    """A parallel projection: screen coordinates (u, v) and nearness w of points.

    Attributes:
        elevation: Degrees above the ground, more than 0 and less than 90.
        azimuth: Degrees around it; -90 looks along the y axis.
    """

    elevation: float
    azimuth: float

    def __post_init__(self) -> None:
        if not 0 < self.elevation < 90:
            raise ValueError(f"elevation must lie between 0 and 90 degrees; got {self.elevation}.")

    @property
    def towards(self) -> np.ndarray:
        """Unit vector from the scene to the camera."""
        return direction(self.elevation, self.azimuth)

    def project(
        self, x: np.ndarray, y: np.ndarray, z: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Screen coordinates to the right and up, and nearness along the ground."""
        around, up = np.radians(self.azimuth), np.radians(self.elevation)
        near = x * np.cos(around) + y * np.sin(around)
        return (
            y * np.cos(around) - x * np.sin(around),
            z * np.cos(up) - near * np.sin(up),
            near,
        )

    def ground(self, u: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The point on the ground, (x, y), seen in column `u` at nearness `near`."""
        around = np.radians(self.azimuth)
        return (
            near * np.cos(around) - u * np.sin(around),
            near * np.sin(around) + u * np.cos(around),
        )


@dataclass(frozen=True)
class Sight:
    """What a camera sees of a relief.

    Attributes:
        near: Nearness of the visible point of each pixel, shape (row, column), rows upwards; NaN
            where nothing is seen.
        u: Screen coordinate of every column.
        v: Screen coordinate of every row.
    """

    near: np.ndarray
    u: np.ndarray
    v: np.ndarray


def direction(elevation: float, azimuth: float) -> np.ndarray:
    """Unit vector that points to `elevation` and `azimuth`, in degrees."""
    up, around = np.radians(elevation), np.radians(azimuth)
    return np.array([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)])


def smoothed(
    alpha: np.ndarray,
    beta: np.ndarray,
    heights: np.ndarray,
    *,
    ceiling: float,
    ground: Footprint | None = None,
) -> Relief:
    """A relief through measured heights: cubic between them, linear where one is not finite.

    Args:
        alpha: Along the first side, increasing.
        beta: Along the second.
        heights: Shape (beta, alpha).
        ceiling: What is higher is cut away.
        ground: Where it stands; default: a rectangle, in one unit for both sides.
    """
    span = max(np.ptp(alpha), np.ptp(beta))
    ground = ground or Footprint(float(np.ptp(alpha) / span), float(np.ptp(beta) / span), 0.0)
    sides = (len(alpha), ground.width), (len(beta), ground.depth)
    across, up = (max(count, round(_FINE * side)) for count, side in sides)
    x, y = np.linspace(alpha[0], alpha[-1], across), np.linspace(beta[0], beta[-1], up)
    # Far above the ceiling nothing is seen; there it must not bend the spline below.
    heights = np.minimum(heights, 1.5 * ceiling)
    if np.isfinite(heights).all() and min(heights.shape) > 3:
        fine = RectBivariateSpline(beta, alpha, heights)(y, x, grid=True)
    else:
        rows = np.interp(y, beta, np.arange(len(beta)))
        columns = np.interp(x, alpha, np.arange(len(alpha)))
        fine = map_coordinates(heights, np.meshgrid(rows, columns, indexing="ij"), order=1)
    return Relief(heights=fine.astype(np.float32), ground=ground, ceiling=ceiling)


def slopes(relief: Relief) -> tuple[np.ndarray, np.ndarray]:
    """How the heights rise along x and along y of the scene, on their grid."""
    ground, (rows, columns) = relief.ground, relief.heights.shape
    away, right = np.gradient(relief.heights, 1 / (rows - 1), 1 / (columns - 1))
    along_x = right / ground.width
    return along_x, (away - ground.shear * along_x) / ground.depth


def look(relief: Relief, camera: Camera, *, pixels: int) -> Sight:
    """Find the visible point of every pixel of a picture `pixels` wide."""
    x, y = relief.ground.corners.T
    u, _, w = camera.project(x, y, np.zeros(4))
    columns = np.linspace(u.min(), u.max(), pixels, dtype=np.float32)
    size = (u.max() - u.min()) / (pixels - 1)
    steps = int(np.ptp(w) / size) + 2
    near = np.linspace(w.min(), w.max(), steps, dtype=np.float32)
    height = relief.at(*camera.ground(columns[None], near[:, None]))
    above = height > relief.ceiling
    _, v, _ = camera.project(
        *camera.ground(columns[None], near[:, None]), np.minimum(height, relief.ceiling)
    )
    bottom = float(np.nanmin(v))
    v = (v - bottom) / size
    rows = int(np.nanmax(v)) + 1
    seen = np.full((rows, pixels), np.nan, np.float32)
    every = np.arange(pixels)
    for k in range(1, steps):
        low, high = np.fmin(v[k - 1], v[k]), np.fmax(v[k - 1], v[k])
        whole = np.isfinite(v[k - 1] + v[k]) & ~(above[k - 1] & above[k])
        first = np.ceil(np.where(whole, low, 1)).astype(int)
        last = np.floor(np.where(whole, high, 0)).astype(int)
        for more in range(int((last - first).max()) + 1):
            hit = every[first + more <= last]
            row = first[hit] + more
            rise = v[k, hit] - v[k - 1, hit]
            share = np.divide(row - v[k - 1, hit], rise, out=np.zeros_like(rise), where=rise != 0)
            seen[row, hit] = near[k - 1] + share * (near[k] - near[k - 1])
    return Sight(near=seen, u=columns, v=bottom + size * np.arange(rows))


def nearest(sight: Sight, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Nearness of what is visible at screen points; -inf where nothing is."""
    column = np.interp(u, sight.u, np.arange(len(sight.u))).round().astype(int)
    row = np.interp(np.nan_to_num(v), sight.v, np.arange(len(sight.v))).round().astype(int)
    found = np.nan_to_num(sight.near[row, column], nan=-np.inf)
    inside = (u >= sight.u[0]) & (u <= sight.u[-1]) & (v >= sight.v[0]) & (v <= sight.v[-1])
    return np.where(inside, found, -np.inf)


def shade(
    relief: Relief,
    camera: Camera,
    sight: Sight,
    colors: np.ndarray,
    *,
    levels: Sequence[float] | np.ndarray = (),
) -> np.ndarray:
    """Colours of the pixels, RGBA, rows upwards, lit from the upper left.

    Light makes a colour darker, or paler, and never shifts its hue.

    Args:
        relief: What is seen.
        camera: From where.
        sight: From `look`.
        colors: A colour map as a table, shape (entries, 3), from the ground to the ceiling.
        levels: Heights of dark lines, increasing, as shares of the ceiling.
    """
    x, y = camera.ground(sight.u[None], sight.near)
    visible = np.isfinite(sight.near)
    slope_x, slope_y = slopes(relief)
    normal = np.stack(
        [-relief.at(x, y, slope_x), -relief.at(x, y, slope_y), np.ones_like(x)], axis=-1
    )
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    towards = camera.towards
    under = normal @ towards < 0
    normal[under] *= -1
    light = direction(camera.elevation + 20, camera.azimuth - 50)
    diffuse = (normal @ light).clip(0, None)
    halfway = (light + towards) / np.linalg.norm(light + towards)
    gloss = (normal @ halfway).clip(0, None) ** _HARDNESS
    share = (relief.at(x, y) / relief.ceiling).clip(0, 1)
    entry = np.where(visible, share, 0) * (len(colors) - 1)
    base = colors[np.nan_to_num(entry).round().astype(int)]
    strength = np.where(under, 0.8, 1.0) * (_AMBIENT + _DIFFUSE * diffuse)
    pale = np.where(under, 0, _GLOSS * gloss)[..., None]
    rgb = (1 - pale) * base * strength[..., None] + pale
    if len(levels):
        whole = np.interp(share, (0, *levels, 1), range(len(levels) + 2))
        rgb *= (1 - 0.45 * _level_lines(whole))[..., None]
    rgba = np.concatenate([rgb.clip(0, 1), visible[..., None]], axis=-1)
    return np.where(visible[..., None], rgba, 0.0)


def halved(rgba: np.ndarray) -> np.ndarray:
    """Half the size, each pixel the mean of four: smooth edges with matching transparency."""
    rows, columns = (n - n % 2 for n in rgba.shape[:2])
    weighted = rgba[:rows, :columns].copy()
    weighted[..., :3] *= weighted[..., 3:]
    mean = weighted.reshape(rows // 2, 2, columns // 2, 2, 4).mean(axis=(1, 3))
    cover = mean[..., 3:]
    mean[..., :3] = np.divide(
        mean[..., :3], cover, out=np.zeros_like(mean[..., :3]), where=cover > 0
    )
    return mean


def _level_lines(values: np.ndarray) -> np.ndarray:
    """How much of each pixel a line at whole `values` covers, about two pixels wide."""
    up, across = np.gradient(values)
    change = np.hypot(up, across)
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.abs(values - np.round(values)) / change
    # Where the change is large two parts of the surface meet: no line there.
    drawn = np.isfinite(away) & (change < 0.4) & (values > 0.5)
    return np.where(drawn, (1.5 - away).clip(0, 1), 0.0)
