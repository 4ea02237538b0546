"""The loss along lines: a profile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Float64

from landscape.base.result import Result
from landscape.results.curves import Barrier, rise, rounding


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile(Result):
    """Metrics along one or several lines, L_k(α) = loss(origin_k + α d_k).

    What it is not: the loss the optimizer saw; no run walks a straight line.

    Attributes:
        alpha: Coordinate along the lines, shape (alpha,), increasing.
        metrics: Names of the metrics; the first is the loss.
        values: ``values[k, m, i]`` is metric m of line k at alpha[i]; NaN and ±inf are kept.
        standard_error: Standard errors of `values`; 0 when the whole data set was used.
        names: One name per line, for legends.
        label: What alpha is, for the axis.
        rounding: The share of the displacement from 0 that the parameters' own types rounded
            away; None where nothing was, or nobody counted.
        settings: How the lines were chosen, batch-norm policy, data, precision.
        provenance: Software, command, time.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> line = ls.line_between(objective.parameters(), 0 * objective.parameters())
    >>> profile = ls.loss_line(objective, line, extent=(0, 1), resolution=3)
    >>> profile.loss[0].round(3).tolist()  # ½ Σ h_i (1 - α)²
    [124.091, 31.023, 0.0]
    """

    schema: ClassVar[str] = "landscape/profile"

    alpha: Float64[np.ndarray, " alpha"]
    metrics: Annotated[tuple[str, ...], "metric"]
    values: Float64[np.ndarray, "line metric alpha"]
    standard_error: Float64[np.ndarray, "line metric alpha"]
    names: Annotated[tuple[str, ...], "line"]
    label: str
    rounding: Float64[np.ndarray, "line alpha"] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def loss(self) -> np.ndarray:
        """The first metric, shape (line, alpha)."""
        return self.values[:, 0]

    def band(
        self, *, share: float = 0.8, metric: str = "loss"
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Median over the lines, and the band that holds `share` of them at each place.

        Args:
            share: Between 0 and 1; 0.8 gives the quantiles 10 % and 90 %.
            metric: Of which metric.

        Returns:
            Median, lower and upper quantile, each of shape (alpha,).
        """
        levels = [0.5, (1 - share) / 2, (1 + share) / 2]
        values = self.values[:, self.metrics.index(metric)]
        with np.errstate(invalid="ignore"):  # ∞ - ∞ of diverged nets is NaN
            median, low, high = np.quantile(values, levels, axis=0)
        return median, low, high

    @property
    def largest_increase(self) -> np.ndarray:
        """Largest rise max_{α<β} L(β) - L(α) on the way from 0 to 1, shape (line,)."""
        between = self._between
        with np.errstate(invalid="ignore"):  # ∞ - ∞ of a diverged net is NaN
            return (between - np.minimum.accumulate(between, axis=1)).max(axis=1)

    @property
    def monotone(self) -> np.ndarray:
        """Whether the loss never rises from 0 to 1, but for rounding (Goodfellow et al. 2015).

        Points measured within a tolerance have samples of their own: a rise within two standard
        errors of a difference is none.
        """
        least = rounding(self._between, self.settings)
        if "tolerance" in self.settings:
            least = least + 2 * 2**0.5 * self.standard_error[:, 0].max(axis=-1)
        return self.largest_increase <= least

    def barrier(self, definition: Barrier) -> np.ndarray:
        """Height of the barrier between the ends 0 and 1, by one of two published definitions.

        Args:
            definition: ``frankle2020``: the largest value on the segment minus the mean of the
                two ends (Frankle et al., arXiv:1912.05671, section 2); not zero on a monotone
                segment. ``entezari2022``: the largest rise above the straight line between the
                values of the ends (Entezari et al., arXiv:2110.06296, definition 1); zero exactly
                on convex segments. They agree where the ends are equal.

        Returns:
            One height per line, shape (line,).

        Raises:
            ValueError: If the definition is unknown or 0 and 1 were not measured.
        """
        between = self._between
        alpha = self.alpha[self._inside].clip(0, 1)
        if not self.whole:
            raise ValueError(
                "A barrier needs the loss at 0 and at 1; measure with extent (0, 1), or a "
                f"resolution that holds them (measured: {self.alpha[0]:g} to {self.alpha[-1]:g}, "
                f"{len(self.alpha)} points)."
            )
        return rise(alpha, between, definition).max(axis=1)

    @property
    def whole(self) -> bool:
        """Whether the metrics were measured at 0 and at 1, the ends of the lines."""
        alpha = self.alpha[self._inside]
        return bool(len(alpha) and np.allclose(alpha[[0, -1]], [0, 1], rtol=0, atol=1e-12))

    @property
    def _inside(self) -> np.ndarray:
        return (self.alpha >= -1e-12) & (self.alpha <= 1 + 1e-12)

    @property
    def _between(self) -> np.ndarray:
        return self.loss[:, self._inside]
