"""How a run moved: norms, angles and distances of its steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from landscape.base.result import Result


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

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> path = ls.path_metrics(run)
    >>> path.step.tolist(), path.distance.shape, path.distance[0].item()
    ([0, 1, 2, 3, 4, 5, 6, 7, 8], (9,), 0.0)
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
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

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
