"""Updates against weights, tensor by tensor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from landscape.base.result import Result


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerMetrics(Result):
    """Norms of the weights and of the updates of every tensor along a run.

    Norms and ratios come from the recorded states, so they hold for any optimizer. What they are
    not: gradients, which are beside them where the recorder measured them; for plain SGD the
    update over the learning rate is the mini-batch gradient.

    Attributes:
        name: The run.
        optimizer: Its optimizer; may be empty.
        step: Optimizer step of every state, shape (state,).
        layers: Names of the tensors.
        weight_norm: ‖w_s‖ of each tensor at each state, shape (layer, state).
        update_norm: ‖w_s - w_{s-1}‖; NaN at the first state.
        learning_rate: Recorded learning rate of the update into each state; NaN where absent.
        gradient_norm: Norm of the mini-batch gradient of that update; None where not recorded.
        settings: Which run.
        provenance: Software, command, time.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> layers = ls.layer_metrics(run)
    >>> layers.layers, layers.weight_norm.shape
    (('x',), (1, 9))
    """

    schema: ClassVar[str] = "landscape/layers"

    name: str
    optimizer: str
    step: Int64[np.ndarray, " state"]
    layers: Annotated[tuple[str, ...], "layer"]
    weight_norm: Float64[np.ndarray, "layer state"]
    update_norm: Float64[np.ndarray, "layer state"]
    learning_rate: Float64[np.ndarray, " state"]
    gradient_norm: Float64[np.ndarray, "layer state"] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def update_to_weight(self) -> np.ndarray:
        """‖w_s - w_{s-1}‖ / ‖w_{s-1}‖, shape (layer, state); NaN for a tensor that is zero."""
        found = np.full_like(self.update_norm, np.nan)
        before = self.weight_norm[:, :-1]
        np.divide(self.update_norm[:, 1:], before, out=found[:, 1:], where=before > 0)
        return found

    @property
    def trust_ratio(self) -> np.ndarray:
        """‖w‖ / ‖r‖ with r the update per unit of learning rate, shape (layer, state).

        For plain SGD r is the gradient and this is the local rate of LARS (You et al. 2017,
        arXiv:1708.03888) before its coefficient; for Adam it is the ratio that LAMB multiplies
        the update with (You et al. 2020, arXiv:1904.00962). NaN where no rate was recorded.
        """
        ratio = self.update_to_weight
        return np.divide(
            np.broadcast_to(self.learning_rate, ratio.shape),
            ratio,
            out=np.full_like(ratio, np.nan),
            where=ratio > 0,
        )
