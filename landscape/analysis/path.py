"""Angles between updates, step lengths and distance from initialization along a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from landscape.analysis.moments import moments
from landscape.provenance import provenance
from landscape.store import Result

if TYPE_CHECKING:
    from landscape.trajectory import Trajectory


_ONLINE = ("update_norm", "update_cosine", "distance")


@dataclass(frozen=True, kw_only=True, eq=False)
class PathMetrics(Result):
    """How a run moved, state by state, in the full parameter space.

    An update is u_s = θ_s - θ_{s-1} between consecutive *recorded* states; it is one optimizer
    step only when every step was recorded. What `cosine` is not: the angle between gradients,
    which momentum and adaptive rates turn away from the updates; that is `gradient_cosine`.

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
        gradient_norm: Norm of the mini-batch gradient of that update, where it was recorded.
        gradient_cosine: Cosine between that gradient and the one of the step before, likewise.
        layers: Names of the tensors, for the following; None in results without them.
        layer_update_norm: ‖u_s‖ of each tensor, shape (layer, state).
        layer_cosine: cos∠(u_{s-1}, u_s) within each tensor.
        layer_cosine_to_final: cos∠(u_s, θ_final - θ_0) within each tensor.
        layer_distance: ‖θ_s - θ_0‖ of each tensor.
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
    gradient_norm: Float64[np.ndarray, " state"] | None = None
    gradient_cosine: Float64[np.ndarray, " state"] | None = None
    layers: Annotated[tuple[str, ...], "layer"] | None = None
    layer_update_norm: Float64[np.ndarray, "layer state"] | None = None
    layer_cosine: Float64[np.ndarray, "layer state"] | None = None
    layer_cosine_to_final: Float64[np.ndarray, "layer state"] | None = None
    layer_distance: Float64[np.ndarray, "layer state"] | None = None
    settings: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)

    @property
    def angle(self) -> np.ndarray:
        """Angle between consecutive updates in degrees, 0 to 180."""
        return np.degrees(np.arccos(np.clip(self.cosine, -1, 1)))

    @property
    def gradient_angle(self) -> np.ndarray | None:
        """Angle between consecutive gradients in degrees; None where they were not recorded."""
        if self.gradient_cosine is None:
            return None
        return np.degrees(np.arccos(np.clip(self.gradient_cosine, -1, 1)))

    @property
    def squared_distance(self) -> np.ndarray:
        """‖θ_s - θ_0‖²; what grows linearly for a random walk."""
        return self.distance**2

    @property
    def displacement(self) -> float:
        """Distance from initialization at the end, ‖θ_final - θ_0‖."""
        return float(self.distance[-1])

    @property
    def straightness(self) -> float:
        """Distance from initialization over path length at the end; 1 for a straight line."""
        length = float(self.path_length[-1])
        return self.displacement / length if length > 0 else np.nan


def path_metrics(trajectory: Trajectory, *, device: str | None = None) -> PathMetrics:
    """Measure how a run moved, as a whole and tensor by tensor.

    Reads the file once, block by block, and computes in double precision; the memory needed
    depends on neither the number of states nor the number of parameters.

    Args:
        trajectory: The run.
        device: A torch device, such as ``cuda``, to add up on; None does it with numpy.

    Returns:
        One value per recorded state.

    Source: Xing et al. 2018, arXiv:1802.08770 (their figures use the cosine of consecutive
    gradients and the distance; the cosine of updates is the same for plain SGD).
    """
    sums = moments(trajectory, device=device)
    updates, distances = np.sqrt(sums.update), np.sqrt(sums.distance)
    update = np.sqrt(sums.update.sum(axis=0))
    whole = np.sqrt(sums.whole)
    return PathMetrics(
        name=trajectory.name,
        optimizer=str(trajectory.run.get("optimizer", "")),
        step=trajectory.steps,
        update_norm=update,
        cosine=_ratio(sums.turn.sum(axis=0), _previous(update) * update),
        cosine_to_final=_ratio(sums.along.sum(axis=0), update * np.sqrt(sums.whole.sum())),
        distance=np.sqrt(sums.distance.sum(axis=0)),
        path_length=np.concatenate([[0.0], np.cumsum(update[1:])]),
        losses=recorded_scalar(trajectory, "loss"),
        learning_rate=recorded_scalar(trajectory, "lr"),
        **{
            name: recorded_scalar(trajectory, name)
            for name in ("gradient_norm", "gradient_cosine")
            if name in trajectory.scalars
        },
        layers=sums.names,
        layer_update_norm=updates,
        layer_cosine=_ratio(sums.turn, _previous(updates) * updates),
        layer_cosine_to_final=_ratio(sums.along, updates * whole[:, None]),
        layer_distance=distances,
        settings={"run": str(trajectory.path.name)},
        provenance=provenance(),
    )


def recorded_path(trajectory: Trajectory) -> PathMetrics:
    """How a run moved at *every* optimizer step, from what the recorder measured online.

    For runs whose states were stored every n-th step only: their `path_metrics` join states that
    are n steps apart. `cosine_to_final` is NaN, the way to the end being unknown while it lasts.

    Args:
        trajectory: A run recorded with ``motion=True``.

    Returns:
        One value per optimizer step, and one for the start.

    Raises:
        ValueError: If the recorder measured no updates.
    """
    missing = [name for name in _ONLINE if name not in trajectory.scalars]
    if missing:
        raise ValueError(
            f"{trajectory.path} holds no {', '.join(missing)}; record with motion=True, or use "
            "path_metrics, which needs states only."
        )
    start = int(trajectory.steps[0])
    columns = {name: _after_start(trajectory.scalars[name]) for name in trajectory.scalars}
    count = len(columns["update_norm"])
    nothing = np.full(count, np.nan)
    # A run that was resumed may lack the numbers of a step; its length then counts as zero.
    lengths = np.nan_to_num(columns["update_norm"])
    columns["distance"][0] = 0
    return PathMetrics(
        name=trajectory.name,
        optimizer=str(trajectory.run.get("optimizer", "")),
        step=np.arange(start, start + count),
        update_norm=columns["update_norm"],
        cosine=columns["update_cosine"],
        cosine_to_final=nothing,
        distance=columns["distance"],
        path_length=np.cumsum(lengths),
        losses=columns.get("loss", nothing),
        learning_rate=columns.get("lr", nothing),
        gradient_norm=columns.get("gradient_norm"),
        gradient_cosine=columns.get("gradient_cosine"),
        settings={"run": str(trajectory.path.name), "source": "recorder"},
        provenance=provenance(),
    )


def _after_start(updates: np.ndarray) -> np.ndarray:
    return np.concatenate([[np.nan], updates])


def _previous(values: np.ndarray) -> np.ndarray:
    """Each state's value at the state before."""
    return np.concatenate([np.full_like(values[..., :1], np.nan), values[..., :-1]], axis=-1)


def _ratio(products: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Cosines; NaN where a vector is zero."""
    with np.errstate(invalid="ignore"):  # ∞ / ∞ of a diverged run is NaN
        return np.divide(products, norms, out=np.full_like(products, np.nan), where=norms > 0)


def recorded_scalar(trajectory: Trajectory, name: str) -> np.ndarray:
    """A recorded scalar at the update that led into each state; NaN where absent."""
    return at_states(trajectory, trajectory.scalars.get(name, np.zeros(0)))


def at_states(trajectory: Trajectory, updates: np.ndarray) -> np.ndarray:
    """Of numbers per update, those of the updates that led into the recorded states."""
    found = np.full((len(trajectory), *updates.shape[1:]), np.nan)
    rows = trajectory.steps - trajectory.steps[0] - 1
    known = (rows >= 0) & (rows < len(updates))
    found[known] = updates[rows[known]]
    return found
