"""Updates against weights, tensor by tensor: what layer-wise adaptive rates act on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landscape.analysis.motion.moments import moments
from landscape.analysis.motion.path import at_states, recorded_scalar
from landscape.base.provenance import provenance
from landscape.results.layers import LayerMetrics

if TYPE_CHECKING:
    from landscape.base.runs.trajectory import Trajectory


def layer_metrics(trajectory: Trajectory, *, device: str | None = None) -> LayerMetrics:
    """Measure weights and updates tensor by tensor, in one streamed pass over the file.

    Args:
        trajectory: The run. Updates are between consecutive *recorded* states, one optimizer step
            only when every step was recorded.
        device: A torch device, such as ``cuda``, to add up on; None does it with numpy.

    Returns:
        One value per tensor and state.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> layers = ls.layer_metrics(run)
    >>> layers.layers, layers.weight_norm.shape
    (('x',), (1, 9))
    """
    sums = moments(trajectory, device=device)
    gradient = None
    if "gradient_norm" in trajectory.layer_scalars:
        filled = [entry.size > 0 for entry in trajectory.layout]
        gradient = at_states(trajectory, trajectory.layers("gradient_norm")).T[filled]
    return LayerMetrics(
        name=trajectory.name,
        optimizer=str(trajectory.run.get("optimizer", "")),
        step=trajectory.steps,
        layers=sums.names,
        weight_norm=np.sqrt(sums.weight),
        update_norm=np.sqrt(sums.update),
        learning_rate=recorded_scalar(trajectory, "lr"),
        gradient_norm=gradient,
        settings={"run": str(trajectory.path.name)},
        provenance=provenance(),
    )
