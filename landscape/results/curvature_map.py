"""The Hessian's extreme eigenvalues at the points of a plane."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float64

from landscape.base.result import Result


@dataclass(frozen=True, kw_only=True, eq=False)
class CurvatureMap(Result):
    """The largest and smallest eigenvalue of the Hessian at each point of a grid on a plane.

    They are of the whole Hessian, over all parameters: a surface can look convex where the loss is
    not, because two directions see little of it. `in_plane` is what the plane itself shows.

    Attributes:
        alpha: Coordinates along the first direction (x), shape (alpha,).
        beta: Coordinates along the second direction (y), shape (beta,).
        largest: λmax at (alpha[i], beta[j]), shape (beta, alpha); NaN where the loss is not finite.
        smallest: λmin.
        largest_residual: ‖H u - λ u‖ of λmax.
        smallest_residual: The same of λmin.
        in_plane: dᵀHd of the plane's directions: (1, 1), (1, 2), (2, 2), shape
            (entry, beta, alpha).
        loss: The loss.
        products: Products with the Hessian that each point took.
        computed: False where nothing was measured yet.
        gram: Inner products of the two directions.
        labels: What the axes are.
        settings: Plane, tolerance, data, batch-norm policy, precision.
        provenance: Software, command, time, cost, hash of the plane.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> spectrum = ls.hessian_spectrum(objective, top=2)
    >>> found = ls.curvature_map(objective, ls.eigen_plane(spectrum), resolution=3)
    >>> found.largest.round(3).tolist()[1], found.smallest.round(3).tolist()[1]
    ([100.0, 100.0, 100.0], [1.0, 1.0, 1.0])
    """

    schema: ClassVar[str] = "landscape/curvature-map"

    alpha: Float64[np.ndarray, " alpha"]
    beta: Float64[np.ndarray, " beta"]
    largest: Float64[np.ndarray, "beta alpha"]
    smallest: Float64[np.ndarray, "beta alpha"]
    largest_residual: Float64[np.ndarray, "beta alpha"]
    smallest_residual: Float64[np.ndarray, "beta alpha"]
    in_plane: Float64[np.ndarray, "entry beta alpha"]
    loss: Float64[np.ndarray, "beta alpha"]
    products: Float64[np.ndarray, "beta alpha"]
    computed: Bool[np.ndarray, "beta alpha"]
    gram: Float64[np.ndarray, "direction direction_2"]
    labels: Annotated[tuple[str, ...], "direction"]
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> np.ndarray:
        """|λmin / λmax|: 0 where the loss is convex (Li et al. 2018, section 6)."""
        return np.abs(self.smallest) / np.where(self.largest == 0, np.nan, np.abs(self.largest))

    @property
    def convex(self) -> np.ndarray:
        """Whether λmin is not negative, within its residual."""
        return self.smallest >= -self.smallest_residual

    @property
    def in_plane_eigenvalues(self) -> np.ndarray:
        """Both eigenvalues of the loss's Hessian within the plane, per unit of distance.

        Returns:
            Smaller and larger, shape (2, beta, alpha).
        """
        a, b, c = self.in_plane
        inverse = np.linalg.inv(np.linalg.cholesky(self.gram))
        matrix = np.stack([np.stack([a, b], -1), np.stack([b, c], -1)], -2)
        matrix = inverse @ np.nan_to_num(matrix) @ inverse.T
        found = np.moveaxis(np.linalg.eigvalsh(matrix), -1, 0)
        return np.where(np.isfinite(a + b + c), found, np.nan)
