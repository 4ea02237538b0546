"""The box of a plane that a surface covers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from landscape.results.affine import Plane
from landscape.results.construction import Construction
from landscape.results.seeded import SeededPlane

if TYPE_CHECKING:
    from landscape.results.projection import Projection

Extent = float | tuple[float, float, float, float] | Literal["trajectory"]


def box_of(
    plane: Plane | SeededPlane, extent: Extent, paths: Sequence[Projection], margin: float
) -> tuple[float, ...]:
    """(α_min, α_max, β_min, β_max) of an extent; the arguments are those of `loss_surface`."""
    if extent == "trajectory":
        corners = Construction.of(plane.settings).box if not paths else _bounds(paths)
        if corners is None:
            raise ValueError(
                'extent="trajectory" needs paths=[...] for a plane that was not made from runs.'
            )
        low, high = np.array(corners, np.float64).reshape(2, 2).T
        room = margin * np.maximum(high - low, 1e-3 * (high - low).max())
        (x0, y0), (x1, y1) = low - room, high + room
        return (x0, x1, y0, y1)
    if isinstance(extent, str):
        raise ValueError(f"extent must be a number, four numbers or 'trajectory'; not {extent!r}.")
    box = tuple(map(float, extent)) if isinstance(extent, tuple | list) else (-extent, extent) * 2
    if len(box) != 4 or not (box[0] < box[1] and box[2] < box[3]) or not np.isfinite(box).all():
        raise ValueError(f"extent {extent!r} is empty; give α_min < α_max, β_min < β_max.")
    return box


def _bounds(paths: Sequence[Projection]) -> list[float]:
    points = np.concatenate([path.coordinates for path in paths])
    points = points[np.isfinite(points).all(axis=1)]
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return [x0, x1, y0, y1]
