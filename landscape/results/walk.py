"""The loss between consecutive recorded steps: a walk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from landscape.base.result import Result
from landscape.results.curves import (
    nonconvexity,
    parabola_minimum,
    parabola_minimum_error,
    rounding,
    uncertainty,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Walk(Result):
    """Metrics between consecutive recorded states, L_t(α) = loss((1-α) θ_t + α θ_{t+1}).

    What it is not: a valley in the plane of a surface. The floor is read on another line at each
    step, so bumps of the floor over steps are weak evidence of barriers.

    Attributes:
        name: The run.
        optimizer: Its optimizer, for colours; may be empty.
        step: Optimizer step of the segment's start, shape (segment,).
        next_step: Optimizer step of its end.
        alpha: Places on the segment, from 0 to 1, shape (alpha,).
        metrics: Names of the metrics; the first is the loss.
        values: ``values[s, m, i]``: metric m of segment s at alpha[i]; NaN and ±inf are kept.
        standard_error: Standard errors of `values`; 0 when the whole data set was used. All points
            see the same samples, so they are no errors of differences: `covariance` gives those.
        covariance: Covariances of the loss between the points of a segment; 0 on the whole data
            set, NaN when the loss does not tell samples apart, None in files without it.
        windows: Names of the windows that were measured; None for the whole run.
        bounds: First and last optimizer step of every window; windows may overlap.
        settings: Batch-norm policy, data, precision, whose batch-norm statistics.
        provenance: Software, command, time.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> task = ls.load_task("function/quadratic")
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> walk = ls.walk(objective, run, points=3)
    >>> walk.loss.shape, walk.height.shape
    ((8, 4), (8,))
    """

    schema: ClassVar[str] = "landscape/walk"

    name: str
    optimizer: str
    step: Int64[np.ndarray, " segment"]
    next_step: Int64[np.ndarray, " segment"]
    alpha: Float64[np.ndarray, " alpha"]
    metrics: Annotated[tuple[str, ...], "metric"]
    values: Float64[np.ndarray, "segment metric alpha"]
    standard_error: Float64[np.ndarray, "segment metric alpha"]
    covariance: Float64[np.ndarray, "segment alpha alpha_2"] | None = None
    windows: Annotated[tuple[str, ...], "window"] | None = None
    bounds: Int64[np.ndarray, "window bound"] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def loss(self) -> np.ndarray:
        """The first metric, shape (segment, alpha)."""
        return self.values[:, 0]

    @property
    def floor(self) -> np.ndarray:
        """Smallest measured loss of each segment, shape (segment,): the valley floor."""
        return self.loss.min(axis=1)

    @property
    def height(self) -> np.ndarray:
        """Mean loss of a segment's two ends minus its smallest loss, shape (segment,)."""
        return _minus((self.loss[:, 0] + self.loss[:, -1]) / 2, self.floor)

    @property
    def height_error(self) -> np.ndarray:
        """Standard error of `height` on a subset, for the point that is lowest there."""
        ends = np.zeros_like(self.loss)
        ends[:, [0, -1]] = 0.5
        return self._error_of(ends - self._at(self.loss.argmin(axis=1)))

    @property
    def floor_error(self) -> np.ndarray:
        """Standard error of `floor` on a subset; most of it is common to all segments."""
        return self._error_of(self._at(self.loss.argmin(axis=1)))

    @property
    def uncertainty(self) -> np.ndarray:
        """Largest error (of 95 %) of a difference of two losses on each segment, over its range.

        0 on the whole data set and where it is within rounding; NaN where it is unknown.
        """
        return uncertainty(self.loss, self._covariance, self.settings)

    @property
    def minimum_at(self) -> np.ndarray:
        """Where on its segment the loss is smallest, from 0 to 1, shape (segment,).

        The vertex of the parabola through the lowest inner point and its neighbours: exact for a
        quadratic, off by less than the distance of two points for any convex profile.
        """
        return parabola_minimum(self.alpha, self.loss)

    @property
    def minimum_at_error(self) -> np.ndarray:
        """Standard error of `minimum_at` on a subset; NaN where the minimum is an end."""
        return parabola_minimum_error(self.alpha, self.loss, self._covariance)

    @property
    def barrier_height(self) -> np.ndarray:
        """Largest inner loss minus the larger end, at least 0, shape (segment,)."""
        return np.maximum(_minus(self._inner.max(axis=1), self._ends.max(axis=1)), 0)

    @property
    def barrier_height_error(self) -> np.ndarray:
        """Standard error, on a subset, of the largest inner loss minus the larger end."""
        highest = self._inner.argmax(axis=1) + 1
        end = np.where(self.loss[:, 0] >= self.loss[:, -1], 0, len(self.alpha) - 1)
        return self._error_of(self._at(highest) - self._at(end))

    @property
    def barrier(self) -> np.ndarray:
        """Whether an inner point lies above both ends of its segment (Xing et al.).

        By more than rounding: a few units in the last place of the precision of measurement.
        """
        return self.barrier_height > self._rounding

    @property
    def interior_minimum(self) -> np.ndarray:
        """Whether an inner point lies below both ends of its segment, by more than rounding."""
        return _minus(self._ends.min(axis=1), self._inner.min(axis=1)) > self._rounding

    @property
    def nonconvexity(self) -> np.ndarray:
        """How far each profile rises above its own lower convex envelope, shape (segment,)."""
        return nonconvexity(self.alpha, self.loss)

    def convex(self, *, tolerance: float = 0.01) -> np.ndarray:
        """Which segments are convex.

        Args:
            tolerance: How far a profile may rise above its lower convex envelope, as a share of
                the profile's range; rounding is always allowed.

        Returns:
            Booleans, shape (segment,); False where a loss is not finite.
        """
        span = _minus(self.loss.max(axis=1), self.floor)
        return self.nonconvexity <= tolerance * span + self._rounding

    def inside(self, window: int) -> np.ndarray:
        """Which segments lie in window number `window`, shape (segment,)."""
        if self.bounds is None:
            return np.ones(len(self.step), bool)
        first, last = self.bounds[window]
        return (self.step >= first) & (self.next_step <= last)

    def _at(self, points: np.ndarray) -> np.ndarray:
        return np.eye(len(self.alpha))[points]

    def _error_of(self, weights: np.ndarray) -> np.ndarray:
        """Standard error of Σ_i weights[s, i] · loss[s, i]; common samples are accounted for."""
        variance = np.einsum("si,sij,sj->s", weights, self._covariance, weights)
        return np.sqrt(variance.clip(min=0))

    @property
    def _covariance(self) -> np.ndarray:
        """`covariance`, NaN where it is unknown."""
        unknown = np.full((*self.loss.shape, len(self.alpha)), np.nan)
        return unknown if self.covariance is None else self.covariance

    @property
    def _ends(self) -> np.ndarray:
        return self.loss[:, [0, -1]]

    @property
    def _inner(self) -> np.ndarray:
        return self.loss[:, 1:-1]

    @property
    def _rounding(self) -> np.ndarray:
        return rounding(self.loss, self.settings)


def _minus(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # ∞ - ∞ of a diverged run is NaN
        return a - b
