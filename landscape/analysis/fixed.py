"""What stays the model's at every point, though other networks may have their own of it."""

from __future__ import annotations

import warnings

import numpy as np

from landscape.base.runs.trajectory import Trajectory
from landscape.objective.objective import Objective
from landscape.objective.policies.batchnorm import norms_of


def uses_stored_statistics(objective: Objective) -> bool:
    """Whether batch norms use the same running statistics at every point."""
    norms = norms_of(objective.model)
    return objective.batch_norm == "frozen" and any(n.running_mean is not None for n in norms)


def warn_of_statistics(objective: Objective, networks: str) -> None:
    """Say that networks are measured with batch-norm statistics that are not their own."""
    if uses_stored_statistics(objective):
        warnings.warn(
            f"Batch norms use the running statistics of the objective's model for {networks}, also "
            "where those belong to other weights: give the buffers of each, runs that recorded "
            "them, or Objective(..., batch_norm='recalibrated').",
            stacklevel=3,
        )


def check_frozen(objective: Objective, run: Trajectory) -> None:
    """Refuse a run whose parameters that were not trained are other ones than the model's.

    Raises:
        ValueError: If there are such; it names the first.
    """
    values = run.frozen
    if values is None:
        return
    named = dict(objective.model.named_parameters())
    for entry in run.frozen_layout:
        own, its = named.get(entry.name), np.asarray(values)[entry.slice]
        if own is None or own.requires_grad or own.numel() != entry.size:
            continue
        mine = own.detach().cpu().double().numpy().reshape(-1)
        if not np.allclose(mine, its, rtol=1e-5, atol=1e-8, equal_nan=True):
            raise ValueError(
                f"{entry.name} was not trained in {run.name!r} and has other values in the "
                "objective's model, so that the model is not that run's whatever its other "
                "weights: call ls.restore(model, run) before, and compare runs that share them."
            )
