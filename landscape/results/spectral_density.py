"""How the Hessian's eigenvalues are distributed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64

from landscape.base.result import Result


@dataclass(frozen=True, kw_only=True, eq=False)
class SpectralDensity(Result):
    """Quadrature nodes of the bulk, from several random runs, and the eigenvalues known by name.

    A node is no eigenvalue: it stands for the share of the spectrum around it that its weight says.
    Nothing is smoothed here. The weights of a run and the known eigenvalues' shares, 1/n each, add
    up to one.

    Attributes:
        node: Shape (run, node).
        weight: Share of all eigenvalues, shape (run, place).
        known: Eigenvalues that were taken out first, each 1/n of the spectrum.
        known_residual: Their residuals.
        size: n, the number of eigenvalues.
        settings: Seed, block, data, precision.
        provenance: Software, command, time.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> density = ls.spectral_density(objective, runs=2, steps=10)
    >>> density.weight.sum(axis=1).round(6).tolist(), density.size
    ([1.0, 1.0], 10)
    """

    schema: ClassVar[str] = "landscape/spectral-density"

    node: Float64[np.ndarray, "run place"]
    weight: Float64[np.ndarray, "run place"]
    known: Float64[np.ndarray, " pair"]
    known_residual: Float64[np.ndarray, " pair"]
    size: int
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def moment(self, power: int) -> tuple[float, float]:
        """Tr H^power as an estimate and its standard error over the runs."""
        each = self.size * (self.weight * self.node**power).sum(axis=1)
        error = each.std(ddof=1) / np.sqrt(len(each)) if len(each) > 1 else np.nan
        return float(each.mean() + (self.known**power).sum()), float(error)

    def share_below(self, value: np.ndarray) -> np.ndarray:
        """Share of eigenvalues ≤ each of these, the mean of the runs."""
        value = np.asarray(value, np.float64)
        bulk = (self.weight[..., None] * (self.node[..., None] <= value)).sum(axis=1).mean(axis=0)
        return bulk + (self.known[:, None] <= value).sum(axis=0) / self.size

    def smoothed(self, grid: np.ndarray, width: float) -> np.ndarray:
        """Density of the bulk on a grid, each node a normal curve of this width, (run, grid)."""
        z = (grid - self.node[..., None]) / width
        bells = np.exp(-0.5 * z**2) / (width * np.sqrt(2 * np.pi))
        return (self.weight[..., None] * bells).sum(axis=1)
