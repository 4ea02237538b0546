"""Angles between updates, step lengths and distance from initialization along a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from landscape.progress import Progress
from landscape.provenance import provenance
from landscape.store import Result

if TYPE_CHECKING:
    from landscape.trajectory import Trajectory


@dataclass(frozen=True, kw_only=True, eq=False)
class PathMetrics(Result):
    """How a run moved, state by state, in the full parameter space.

    An update is u_s = θ_s - θ_{s-1} between consecutive *recorded* states; it is one optimizer
    step only when every step was recorded. What it is not: the angle between gradients, which
    momentum and adaptive rates turn away from the updates.

    Attributes:
        name: The run.
        optimizer: Its optimizer, for colours; may be empty.
        step: Optimizer step of every state, shape (state,).
        update_norm: ‖u_s‖; NaN at the first state.
        cosine: cos∠(u_{s-1}, u_s); NaN at the first two states and for zero updates.
        cosine_to_final: cos∠(u_s, θ_final - θ_0); NaN at the first state.
        distance: ‖θ_s - θ_0‖, Euclidean distance from initialization.
        path_length: Σ_{r ≤ s} ‖u_r‖.
        losses: Mini-batch loss recorded before the update into each state; NaN where absent.
        learning_rate: Recorded learning rate of that update; NaN where absent.
        settings: Which run.
        provenance: Software, command, time.
    """

    schema: ClassVar[str] = "landscape/path"

    name: str
    optimizer: str
    step: Int64[np.ndarray, " state"]
    update_norm: Float64[np.ndarray, " state"]
    cosine: Float64[np.ndarray, " state"]
    cosine_to_final: Float64[np.ndarray, " state"]
    distance: Float64[np.ndarray, " state"]
    path_length: Float64[np.ndarray, " state"]
    losses: Float64[np.ndarray, " state"]
    learning_rate: Float64[np.ndarray, " state"]
    settings: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)

    @property
    def angle(self) -> np.ndarray:
        """Angle between consecutive updates in degrees, 0 to 180."""
        return np.degrees(np.arccos(np.clip(self.cosine, -1, 1)))

    @property
    def straightness(self) -> float:
        """Distance from initialization over path length at the end: 1 for a straight line."""
        return float(self.distance[-1] / self.path_length[-1])


def path_metrics(trajectory: Trajectory) -> PathMetrics:
    """Measure how a run moved; reads one state at a time, computes in double precision.

    Args:
        trajectory: The run.

    Returns:
        One value per recorded state.

    Source: Xing et al. 2018, arXiv:1802.08770 (their figures use the cosine of consecutive
    gradients and the distance; the cosine of updates is the same for plain SGD).
    """
    count = len(trajectory)
    values = {name: np.full(count, np.nan) for name in ("update_norm", "cosine", "cosine_to_final")}
    distance = np.zeros(count)
    initial = trajectory.initial.astype(np.float64)
    whole = trajectory.final - initial
    before, update = initial, np.zeros_like(initial)
    with Progress(f"path {trajectory.name}", count, unit="state") as progress:
        for s in range(1, count):
            state = trajectory.state(s).astype(np.float64)
            previous, update = update, state - before
            values["update_norm"][s] = np.linalg.norm(update)
            values["cosine_to_final"][s] = _cosine(update, whole)
            if s > 1:
                values["cosine"][s] = _cosine(previous, update)
            distance[s] = np.linalg.norm(state - initial)
            before = state
            progress.advance()
    return PathMetrics(
        name=trajectory.name,
        optimizer=str(trajectory.run.get("optimizer", "")),
        step=trajectory.steps,
        distance=distance,
        path_length=np.concatenate([[0.0], np.cumsum(values["update_norm"][1:])]),
        losses=_scalar(trajectory, "loss"),
        learning_rate=_scalar(trajectory, "lr"),
        settings={"run": str(trajectory.path.name)},
        provenance=provenance(),
        **values,
    )


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norms) if norms > 0 else np.nan


def _scalar(trajectory: Trajectory, name: str) -> np.ndarray:
    """A recorded scalar at the update that led into each state."""
    found = np.full(len(trajectory), np.nan)
    column = trajectory.scalars.get(name, np.zeros(0))
    rows = trajectory.steps - trajectory.steps[0] - 1
    known = (rows >= 0) & (rows < len(column))
    found[known] = column[rows[known]]
    return found
