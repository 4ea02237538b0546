"""The walk: the loss on the straight segments between consecutive recorded states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from landscape.progress import Progress
from landscape.provenance import provenance
from landscape.store import Result

if TYPE_CHECKING:
    from landscape.objective import Objective
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
        standard_error: Standard errors of `values`; 0 when the whole data set was used.
        settings: Batch-norm policy, data, precision.
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
    settings: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)

    @property
    def loss(self) -> np.ndarray:
        """The first metric, shape (segment, alpha)."""
        return self.values[:, 0]

    @property
    def height(self) -> np.ndarray:
        """Mean loss of a segment's two ends minus its smallest loss, shape (segment,)."""
        return (self.loss[:, 0] + self.loss[:, -1]) / 2 - self.loss.min(axis=1)

    @property
    def barrier(self) -> np.ndarray:
        """Whether an inner point lies above both ends of its segment (Xing et al.)."""
        return self.loss[:, 1:-1].max(axis=1) > np.maximum(self.loss[:, 0], self.loss[:, -1])

    @property
    def interior_minimum(self) -> np.ndarray:
        """Whether an inner point lies below both ends of its segment."""
        return self.loss[:, 1:-1].min(axis=1) < np.minimum(self.loss[:, 0], self.loss[:, -1])


def walk(
    objective: Objective,
    trajectory: Trajectory,
    *,
    windows: Sequence[tuple[int, int]] | None = None,
    points: int = 10,
) -> Walk:
    """Measure the loss between consecutive recorded states.

    Args:
        objective: What to measure, on which data.
        trajectory: A run recorded at every step (otherwise segments span several steps, which
            `step` and `next_step` tell).
        windows: Ranges (first, last) of optimizer steps; default: all.
        points: Intervals per segment; the segment is measured at points + 1 places, both ends
            included.

    Returns:
        The walk over all windows, in order of steps, without repetition.

    Raises:
        ValueError: If no segment lies in the windows.

    Source: Xing et al. 2018, "A Walk with SGD", arXiv:1802.08770.
    """
    if points < 2:
        raise ValueError(f"points must be at least 2; got {points}.")
    start, end = trajectory.steps[:-1], trajectory.steps[1:]
    chosen = np.ones(len(start), bool)
    if windows is not None:
        chosen = np.zeros(len(start), bool)
        for first, last in windows:
            chosen |= (start >= first) & (end <= last)
    segments = np.flatnonzero(chosen)
    if not len(segments):
        raise ValueError(
            f"No recorded segment lies in {windows}; {trajectory.path} holds steps "
            f"{trajectory.steps[0]} to {trajectory.steps[-1]}."
        )
    alpha = np.linspace(0, 1, points + 1)
    with Progress(f"walk {trajectory.name}", len(segments) * (points + 1)) as progress:
        found = []
        for s in map(int, segments):
            here, there = trajectory.state(s), trajectory.state(s + 1)
            direction = there.astype(np.float64) - here
            restriction = objective.restrict(here, direction[None])
            found.append(restriction(alpha[:, None], progress=progress))
    return Walk(
        name=trajectory.name,
        optimizer=str(trajectory.run.get("optimizer", "")),
        step=start[segments],
        next_step=end[segments],
        alpha=alpha,
        metrics=found[0].metrics,
        values=np.stack([f.mean for f in found]),
        standard_error=np.stack([f.standard_error for f in found]),
        settings=objective.settings,
        provenance=provenance(),
    )
