"""The walk: the loss on the straight segments between consecutive recorded states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from landscape.analysis.fast.segments import sparing
from landscape.analysis.segment import describe_buffers, measured
from landscape.analysis.shape import (
    nonconvexity,
    parabola_minimum,
    parabola_minimum_error,
    rounding,
    uncertainty,
)
from landscape.analysis.windows import Window, bounds_of, name_of, segments_in
from landscape.progress import Interrupted, Progress
from landscape.provenance import provenance
from landscape.store import Result

if TYPE_CHECKING:
    from landscape.objective import Evaluation, Objective
    from landscape.trajectory import Trajectory


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
    settings: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)

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


def walk(
    objective: Objective,
    trajectory: Trajectory,
    *,
    windows: Sequence[Window] | None = None,
    length: int = 40,
    every: int = 1,
    points: int = 10,
    tolerance: float | None = None,
    seed: int = 0,
) -> Walk:
    """Measure the loss between consecutive recorded states.

    Where the run recorded its batch-norm statistics and the objective's policy is ``frozen``,
    each point uses the recorded statistics, interpolated like the weights. With the policy
    ``batch`` every point uses those of its batches, as the paper does; with ``recalibrated`` they
    are estimated anew at every point, on the objective's data.

    On a subset of the data all points see the same samples; how their errors go together is kept.

    Args:
        objective: What to measure, on which data.
        trajectory: A run recorded at every step; otherwise segments span several steps.
        windows: Ranges (first, last) of optimizer steps, or ``first``, ``middle``, ``last`` for
            `length` steps there; default: all.
        length: Steps in a named window.
        every: Measure every n-th segment of those in the windows.
        points: Intervals per segment; the segment is measured at points + 1 places, both ends
            included.
        tolerance: Measure on so few samples, the same everywhere, that differences of the loss
            along a segment are known to this share of its range (error of 95 %): on nine in ten
            of up to 16 segments. How well the others keep it is `Walk.uncertainty`.
        seed: Seed of the choice of samples, with a tolerance.

    Returns:
        The walk over all windows, in order of steps, without repetition.

    Raises:
        ValueError: If no segment lies in the windows, or a name or the tolerance is none.
        Interrupted: On Ctrl-C; its `partial` is the walk over the segments finished until then.

    Source: Xing et al. 2018, "A Walk with SGD", arXiv:1802.08770.
    """
    if points < 2 or every < 1:
        raise ValueError(f"points must be at least 2 and every 1; got {points} and {every}.")
    bounds = bounds_of(trajectory.steps, windows, length)
    segments = segments_in(trajectory.steps, bounds)[::every]
    if not len(segments):
        raise ValueError(
            f"No recorded segment lies in {windows}; {trajectory.path} holds steps "
            f"{trajectory.steps[0]} to {trajectory.steps[-1]}."
        )
    alpha = np.linspace(0, 1, points + 1)
    recorded = len(trajectory.buffers_layout) > 0 and objective.batch_norm == "frozen"

    def measure(objective: Objective, s: int) -> Evaluation:
        here, there = trajectory.state(s), trajectory.state(s + 1)
        before, after = trajectory.buffers(s), trajectory.buffers(s + 1)
        ends = None if before is None or after is None else (before, after)
        return measured(
            objective, here, (there.astype(np.float64) - here)[None], alpha,
            buffers=ends if recorded else None, paired=True, progress=progress,
        )  # fmt: skip

    def result(found: list[Evaluation]) -> Walk:
        done = segments[: len(found)]
        return Walk(
            name=trajectory.name,
            optimizer=str(trajectory.run.get("optimizer", "")),
            step=trajectory.steps[done],
            next_step=trajectory.steps[done + 1],
            alpha=alpha,
            metrics=objective.names,
            values=np.stack([segment.mean for segment in found]),
            standard_error=np.stack([segment.standard_error for segment in found]),
            covariance=np.stack([s.covariance for s in found if s.covariance is not None]),
            windows=None if windows is None else tuple(name_of(w) for w in windows),
            bounds=None if windows is None else np.array(bounds),
            settings={
                **objective.settings,
                "buffers": describe_buffers(objective, recorded=recorded),
                **({} if tolerance is None else {"tolerance": tolerance, "order_seed": seed}),
            },
            provenance=provenance(evaluation=objective.evaluation, cost=progress.cost),
        )

    found: list[Evaluation] = []
    known: dict[int, Evaluation] = {}
    with Progress(f"walk {trajectory.name}", len(segments) * (points + 1)) as progress:
        try:
            if tolerance is not None:
                objective, known = sparing(
                    objective, segments.tolist(), measure,
                    tolerance=tolerance, seed=seed, progress=progress,
                )  # fmt: skip
            for s in segments.tolist():
                found.append(known[s] if s in known else measure(objective, s))
        except Interrupted:
            raise Interrupted(result(found) if found else None) from None
    return result(found)


def _minus(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # ∞ - ∞ of a diverged run is NaN
        return a - b
