"""The Hessian along a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float64, Int64

from landscape.base.result import Result


@dataclass(frozen=True, kw_only=True, eq=False)
class CurvaturePath(Result):
    """Sharpness and what goes with it at the states of a run.

    What it is not: a cause. Gradient and top eigenvectors align at the edge of stability because
    the steps oscillate along them; training along them alone does not work (Song et al. 2024,
    arXiv:2405.16002). And sharpness depends on the parametrisation (Dinh et al. 2017).

    Attributes:
        name: The run.
        optimizer: Its optimizer, for colours; may be empty.
        condition: The optimizer's condition for stability, in words; empty where none is known.
        step: Optimizer step of every state, shape (state,).
        value: The largest eigenvalues of the loss's Hessian, decreasing, shape (state, pair).
        residual: Their residuals.
        smallest: The smallest eigenvalue; NaN when not asked for.
        smallest_residual: Its residual.
        sharpness: What the condition is about: λ1 + weight decay or, for adaptive optimizers, the
            largest eigenvalue of the preconditioned Hessian; NaN without stored second moments.
        learning_rate: Of the update after the state.
        threshold: Above it the optimizer is not stable on a quadratic; NaN where unknown.
        loss: The loss at the state.
        gradient_norm: ‖g‖.
        gradient_share: ⟨u, g⟩² / ‖g‖² for each pair, shape (state, pair).
        gradient_curvature: gᵀHg / ‖g‖².
        update_steps: Optimizer steps of the update d to the next recorded state; 0 at the last.
        update_norm: ‖d‖.
        update_curvature: dᵀHd / ‖d‖².
        predicted: g·d + ½ dᵀHd.
        measured: L(θ + d) - L(θ), with the buffers of θ; it rounds like the loss.
        batch_sharpness: Mean of g_BᵀH_B g_B / ‖g_B‖² over random batches; NaN when not asked for.
        batch_sharpness_error: Its standard error.
        products: Products with the Hessian.
        computed: False where a state was not measured yet.
        settings: Run, data, tolerance.
        provenance: Software, command, time, cost.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> task = ls.load_task("function/quadratic")
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> path = ls.curvature_path(objective, run, every=4)
    >>> path.step.tolist(), path.sharpness.round(3).tolist(), path.threshold.tolist()
    ([0, 4, 8], [100.0, 100.0, 100.0], [200.0, 200.0, 200.0])
    """

    schema: ClassVar[str] = "landscape/curvature-path"

    name: str
    optimizer: str
    condition: str
    step: Int64[np.ndarray, " state"]
    value: Float64[np.ndarray, "state pair"]
    residual: Float64[np.ndarray, "state pair"]
    smallest: Float64[np.ndarray, " state"]
    smallest_residual: Float64[np.ndarray, " state"]
    sharpness: Float64[np.ndarray, " state"]
    learning_rate: Float64[np.ndarray, " state"]
    threshold: Float64[np.ndarray, " state"]
    loss: Float64[np.ndarray, " state"]
    gradient_norm: Float64[np.ndarray, " state"]
    gradient_share: Float64[np.ndarray, "state pair"]
    gradient_curvature: Float64[np.ndarray, " state"]
    update_steps: Int64[np.ndarray, " state"]
    update_norm: Float64[np.ndarray, " state"]
    update_curvature: Float64[np.ndarray, " state"]
    predicted: Float64[np.ndarray, " state"]
    measured: Float64[np.ndarray, " state"]
    batch_sharpness: Float64[np.ndarray, " state"]
    batch_sharpness_error: Float64[np.ndarray, " state"]
    products: Float64[np.ndarray, " state"]
    computed: Bool[np.ndarray, " state"]
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def relative_sharpness(self) -> np.ndarray:
        """Sharpness over its threshold: about 1 at the edge of stability, shape (state,)."""
        return self.sharpness / self.threshold

    @property
    def top_share(self) -> np.ndarray:
        """Share of the gradient in the span of the pairs, shape (state,)."""
        return self.gradient_share.sum(axis=1)
