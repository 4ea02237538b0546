"""The plane along two eigenvectors of the Hessian, and what the loss on it says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landscape.results.affine import Plane, affine
from landscape.results.construction import Construction
from landscape.results.spectrum import Spectrum

if TYPE_CHECKING:
    from landscape.objective.objective import Objective

_FACTOR = 2.0  # the box reaches to where the quadratic rises by so many times the loss
_NEAR = 0.02  # of the box, for second differences


def eigen_plane(spectrum: Spectrum, i: int = 0, j: int = 1) -> Plane:
    """The plane through the spectrum's point along two of its unit eigenvectors.

    Nothing is rescaled: a filter-normalized eigenvector is none. One unit is a distance of one in
    parameter space, and along an axis the loss is L + g·u α + ½ λ α² + …. With
    ``extent="trajectory"`` a surface covers what the quadratic calls interesting: up to where
    ½ λ α² is twice the loss.

    Args:
        spectrum: Of a point, from `hessian_spectrum`.
        i: Pair along the first axis, counted from zero: 0 is λ1; -1 the last of the lower end.
        j: Pair along the second axis.

    Returns:
        The plane; its labels name the eigenvalues.

    Raises:
        ValueError: If there is no such pair, or both are the same.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> plane = ls.eigen_plane(ls.hessian_spectrum(objective, top=2))
    >>> abs(plane.directions).argmax(axis=1).tolist()  # the two largest h are the last two
    [9, 8]
    """
    count = len(spectrum.value)
    for place in (i, j):
        if not -count <= place < count:
            raise ValueError(f"The spectrum has {count} pairs; there is none at {place}.")
    i, j = i % count, j % count
    if i == j:
        raise ValueError(f"A plane needs two pairs; both are {spectrum.labels[i]}.")
    names = [f"{spectrum.labels[k]} = {spectrum.value[k]:.3g}" for k in (i, j)]
    labels = [f"u{'₁₂'[axis]} ({name})" for axis, name in enumerate(names)]
    steep = np.abs(spectrum.value[[i, j]])
    steep = np.maximum(steep, max(1e-3 * steep.max(), 1e-12))
    reach = np.sqrt(2 * _FACTOR * max(abs(spectrum.loss), 1e-3) / steep)
    reach = np.minimum(reach, 10 * reach.min())
    made = Construction(
        kind="along eigenvectors of the Hessian",
        eigenvalues=[float(spectrum.value[k]) for k in (i, j)],
        residuals=[float(spectrum.residual[k]) for k in (i, j)],
        box=[-float(reach[0]), float(reach[0]), -float(reach[1]), float(reach[1])],
    )
    directions = [spectrum.vector[k].astype(np.float64) for k in (i, j)]
    return Plane(**affine(spectrum.origin, directions, labels, made.settings()))


def second_differences(
    objective: Objective, plane: Plane, *, buffers: np.ndarray | None = None
) -> tuple[float, float]:
    """Curvatures of the loss along both axes at (0, 0), from differences of the loss alone.

    (L(h) - 2 L(0) + L(-h)) / h² over 2 % of the plane's box. On an eigen-plane they are the
    eigenvalues, up to what higher orders add over that distance (for rectifiers also kinks, which
    the Hessian leaves out); a gross difference says that something is not what it seems.

    Raises:
        ValueError: If the plane has no box of its own.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> plane = ls.eigen_plane(ls.hessian_spectrum(objective, top=2))
    >>> [round(value) for value in ls.second_differences(objective, plane)]
    [100, 60]
    """
    box = Construction.of(plane.settings).box
    if box is None:
        raise ValueError("The plane has no box that says how far to go; use an eigen_plane.")
    steps = _NEAR * np.array([box[1], box[3]])
    points = np.array([[0, 0], [steps[0], 0], [-steps[0], 0], [0, steps[1]], [0, -steps[1]]])
    loss = objective.restrict(plane.origin, plane.directions, buffers=buffers)(points).mean[0]
    first, second = (loss[[1, 3]] + loss[[2, 4]] - 2 * loss[0]) / steps**2
    return float(first), float(second)
