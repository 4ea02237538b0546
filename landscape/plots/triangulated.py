"""A surface and its paths as triangles and polylines that share their vertices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RegularGridInterpolator

from landscape.plots.frame import on_paper
from landscape.plots.levels import resolved
from landscape.plots.surface import check_plane, metric_of
from landscape.results.projection import Projection
from landscape.results.surface import Surface


@dataclass(frozen=True)
class Mesh:
    """Triangles and polylines that share their vertices.

    Attributes:
        vertices: Shape (vertex, 3): α, β and height, or, where the directions are not at right
            angles, their place in an orthonormal basis in units of the first, and height. First
            the measured points, β by β.
        values: The metric at each vertex as measured, shape (vertex,); on paths interpolated.
        triangles: Indices of vertices, shape (triangle, 3), counter-clockwise from above.
        polylines: Indices of vertices, one array per path.
        metric: Name of the metric.
    """

    vertices: np.ndarray
    values: np.ndarray
    triangles: np.ndarray
    polylines: list[np.ndarray]
    metric: str

    def __repr__(self) -> str:
        size = f"{len(self.vertices):,} vertices, {len(self.triangles):,} triangles"
        return f"Mesh({size}, {len(self.polylines)} paths, {self.metric!r})"


def surface_mesh(
    surface: Surface,
    *,
    paths: Sequence[Projection] = (),
    metric: str | None = None,
    ceiling: float | None = None,
    height: float = 0.5,
) -> Mesh:
    """Triangulate a surface; paths lie on it, as polylines.

    Heights are logarithmic when every value is positive, and run from 0 at the smallest value to
    `height` times the longer side at the ceiling. Triangles above the ceiling, and those with a
    corner that was not measured or is not finite, are left out.

    Args:
        surface: What to triangulate.
        paths: Projections on the same plane; points beside the surface are left out.
        metric: Which metric of the surface; default: its first, the loss.
        ceiling: Highest value; default: as for `plot_surface`.
        height: Height of the ceiling in units of the longer side.

    Raises:
        ValueError: If the metric is unknown, a path belongs to another plane or no value is
            finite.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> surface = ls.loss_surface(objective, resolution=5)
    >>> mesh = ls.surface_mesh(surface)
    >>> mesh
    Mesh(25 vertices, 32 triangles, 0 paths, 'loss')
    """
    metric = metric or surface.metrics[0]
    values = metric_of(surface, metric)
    low, top = resolved(values, ceiling=ceiling)
    raise_by = np.log if low > 0 else np.asarray
    with np.errstate(invalid="ignore", over="ignore"):
        share = (raise_by(np.maximum(values, low)) - raise_by(low)) / (
            raise_by(top) - raise_by(low)
        )
    place = on_paper(surface, true=True)
    coordinates = np.stack(np.meshgrid(surface.alpha, surface.beta), axis=-1)
    ground = place.transform(coordinates.reshape(-1, 2))
    lengths = np.linalg.norm(place.transform(np.eye(2)) - place.transform(np.zeros((1, 2))), axis=1)
    scale = height * max(np.ptp(surface.alpha) * lengths[0], np.ptp(surface.beta) * lengths[1])
    z = scale * np.nan_to_num(np.minimum(share, 1.0))
    vertices = [np.column_stack([ground, z.ravel()])]
    attribute, polylines, count = [values.ravel()], [], values.size
    at = RegularGridInterpolator(
        (surface.beta, surface.alpha), np.stack([z, values], axis=-1), bounds_error=False
    )
    for path in paths:
        check_plane(surface, path)
        found = at(path.coordinates[:, ::-1])
        inside = np.isfinite(found).all(axis=1)
        along = place.transform(path.coordinates)
        vertices.append(np.column_stack([along, found[:, 0]])[inside])
        attribute.append(found[inside, 1])
        polylines.append(count + np.arange(inside.sum()))
        count += int(inside.sum())
    return Mesh(
        vertices=np.concatenate(vertices),
        values=np.concatenate(attribute),
        triangles=_triangles(np.isfinite(values), share <= 1.0),
        polylines=[line for line in polylines if len(line) > 1],
        metric=metric,
    )


def _triangles(finite: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Two triangles per cell whose corners are finite, unless all are above the ceiling."""
    rows, columns = finite.shape
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (
        part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1])
    )
    both = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    return both[finite.ravel()[both].all(axis=1) & below.ravel()[both].any(axis=1)]
