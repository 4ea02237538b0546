"""Barriers between several networks: every pair on the straight line between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from landscape.base.result import Result
from landscape.results.curves import Barrier, barrier_reference, rise


@dataclass(frozen=True, kw_only=True, eq=False)
class Barriers(Result):
    """Metrics on the straight lines between all pairs, L_ij(α) = loss((1-α) θ_i + α θ_j).

    What it is not: the lowest way between two networks. A barrier on the line does not exclude a
    curve without one (`find_curve`), nor a line after a permutation of units.

    Attributes:
        names: What the networks are called, shape (network,).
        pair: Numbers of the two networks of each line, shape (line, 2).
        alpha: Places from 0 to 1, shape (alpha,).
        metrics: Names of the metrics; the first is the loss.
        values: ``values[k, m, i]`` is metric m of line k at alpha[i]. The ends were measured once
            for all lines.
        covariance: Covariances of a metric between the places of a line, which the same samples
            make; 0 on the whole data set, NaN for a metric that does not tell samples apart.
        settings: Data, precision, batch-norm policy, whose buffers, alignment, repair.
        provenance: Software, command, time, number of evaluations.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> import numpy as np
    >>> ends = [np.full(10, -1.0, "float32"), np.full(10, 1.0, "float32")]
    >>> found = ls.barriers(objective, ends, names=["left", "right"], resolution=5)
    >>> found.height("entezari2022").tolist()
    [0.0]
    """

    schema: ClassVar[str] = "landscape/barriers"

    names: Annotated[tuple[str, ...], "network"]
    pair: Int64[np.ndarray, "line end"]
    alpha: Float64[np.ndarray, " alpha"]
    metrics: Annotated[tuple[str, ...], "metric"]
    values: Float64[np.ndarray, "line metric alpha"]
    covariance: Float64[np.ndarray, "line metric alpha alpha_2"]
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def height(self, definition: Barrier, *, metric: str | None = None) -> np.ndarray:
        """The largest measured rise of each line, shape (line,).

        Args:
            definition: ``frankle2020``: above the mean of the ends (Frankle et al. 2020,
                arXiv:1912.05671); ``entezari2022``: above the straight line between the values of
                the ends (Entezari et al. 2022, arXiv:2110.06296). See `Profile.barrier`.
            metric: Of which metric; default: the first, the loss.

        Raises:
            ValueError: If the definition or the metric is unknown.
        """
        return self._rise(definition, metric).max(axis=1)

    def refined(self, definition: Barrier, *, metric: str | None = None) -> np.ndarray:
        """`height` with the maximum refined between the measured places, shape (line,).

        The top of the parabola through the highest inner place and its neighbours, never below
        what was measured: exact for a quadratic. The largest of a grid underestimates, by up to an
        eighth of the second derivative times the squared spacing.
        """
        return self._top(definition, metric)[1]

    def place(self, definition: Barrier, *, metric: str | None = None) -> np.ndarray:
        """Where on its line the refined maximum lies, from 0 to 1, shape (line,)."""
        return self._top(definition, metric)[0]

    def error(self, definition: Barrier, *, metric: str | None = None) -> np.ndarray:
        """Standard error of `height` on a subset, shape (line,), at the place that is highest.

        Paired: all places see the same samples, so what is common to a line's values cancels. 0 on
        the whole data set, NaN where single samples are unknown.
        """
        m, found = self._metric(metric), self._rise(definition, metric)
        highest = found.argmax(axis=1)
        weights = np.eye(len(self.alpha))[highest]
        weights[:, [0, -1]] -= barrier_reference(self.alpha, definition)[:, highest].T
        variance = np.einsum("ki,kij,kj->k", weights, self.covariance[:, m], weights)
        return np.sqrt(variance.clip(min=0))

    def matrix(
        self, definition: Barrier, *, metric: str | None = None, refined: bool = True
    ) -> np.ndarray:
        """Barriers of all pairs, symmetric with a zero diagonal, shape (network, network).

        Args:
            definition: See `height`.
            metric: Of which metric; default: the loss.
            refined: Whether the maximum is refined between the measured places.
        """
        heights = (self.refined if refined else self.height)(definition, metric=metric)
        square = np.zeros((len(self.names), len(self.names)))
        first, second = self.pair.T
        square[first, second] = square[second, first] = heights
        return square

    def ends(self, *, metric: str | None = None) -> np.ndarray:
        """A metric at the networks themselves, shape (network,)."""
        found = np.full(len(self.names), np.nan)
        for end in (0, 1):
            found[self.pair[:, end]] = self.values[:, self._metric(metric), -end]
        return found

    def _metric(self, metric: str | None) -> int:
        if metric is not None and metric not in self.metrics:
            raise ValueError(f"metric must be one of {', '.join(self.metrics)}; not {metric!r}.")
        return 0 if metric is None else self.metrics.index(metric)

    def _rise(self, definition: str, metric: str | None) -> np.ndarray:
        return rise(self.alpha, self.values[:, self._metric(metric)], definition)

    def _top(self, definition: str, metric: str | None) -> tuple[np.ndarray, np.ndarray]:
        """Places and heights of the refined maxima."""
        found = self._rise(definition, metric)
        highest = found.argmax(axis=1)
        place, height = self.alpha[highest], found.max(axis=1)
        inner = (highest > 0) & (highest < len(self.alpha) - 1) & np.isfinite(found).all(axis=1)
        rows, at = np.flatnonzero(inner), highest[inner]
        left, here, right = (found[rows, at + i] for i in (-1, 0, 1))
        bend = left - 2 * here + right
        rows, left, here, right, bend = (v[bend < 0] for v in (rows, left, here, right, bend))
        spacing = self.alpha[1] - self.alpha[0]
        place[rows] += spacing * (left - right) / (2 * bend)
        height[rows] = here - (left - right) ** 2 / (8 * bend)
        return place, height
