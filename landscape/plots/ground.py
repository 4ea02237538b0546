"""The colours of a landscape: one map for pages, figures and films, made to carry paths.

Low loss is dark. Lightness grows evenly along the map, in OKLab (Ottosson 2020,
bottosson.github.io/posts/oklab), so that equal steps of the level look equally large.
"""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap, to_hex

GROUND = {
    "light": (
        (0.47, 0.1, 262), (0.6, 0.098, 236), (0.73, 0.08, 208), (0.84, 0.062, 165),
        (0.915, 0.048, 112), (0.97, 0.022, 88),
    ),
    "dark": (
        (0.21, 0.065, 272), (0.29, 0.09, 264), (0.37, 0.095, 246), (0.48, 0.09, 222),
        (0.59, 0.085, 190), (0.7, 0.085, 160),
    ),
}  # fmt: skip
"""Lightness, chroma and hue in degrees (OKLCH) at even places from the lowest to the highest."""


def ground_colors(theme: str = "light", count: int = 256) -> list[str]:
    """Colours of the map at even places, from the lowest to the highest.

    >>> ground_colors("light", 2)
    ['#3b5993', '#fbf5e5']
    """
    if theme not in GROUND:
        raise ValueError(f"theme must be one of {', '.join(GROUND)}; not {theme!r}.")
    stops = np.array(GROUND[theme])
    at = np.linspace(0, len(stops) - 1, count)
    lightness, chroma, hue = (np.interp(at, range(len(stops)), column) for column in stops.T)
    a, b = chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))
    cubes = [
        lightness + 0.3963377774 * a + 0.2158037573 * b,
        lightness - 0.1055613458 * a - 0.0638541728 * b,
        lightness - 0.0894841775 * a - 1.291485548 * b,
    ]
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.707614701],
        ]
    )
    linear = np.clip(to_rgb @ np.array(cubes) ** 3, 0, None)
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return [to_hex(tuple(color)) for color in np.clip(shown, 0, 1).T]


def ground_colormap(theme: str = "light") -> ListedColormap:
    """The map for matplotlib, ``Axes.pcolormesh(..., cmap=ground_colormap())``."""
    return ListedColormap(ground_colors(theme), f"landscape-{theme}")


COLORMAP = "landscape"
"""The light map's name in matplotlib."""
colormaps.register(ground_colormap(), name=COLORMAP, force=True)
