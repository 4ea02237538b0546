"""What stays the model's at every point, though other networks may have their own of it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from landscape.base.runs.trajectory import Trajectory
from landscape.base.statistics import KEY, recorded_with
from landscape.objective.objective import Objective
from landscape.objective.policies.batchnorm import norms_of
from landscape.objective.statistics import ANOTHER, whose


def uses_stored_statistics(objective: Objective) -> bool:
    """Whether batch norms use the same running statistics at every point."""
    norms = norms_of(objective.model)
    return objective.batch_norm == "frozen" and any(n.running_mean is not None for n in norms)


def warn_of_statistics(
    objective: Objective,
    networks: str,
    vectors: Sequence[Any] | None = None,
    *,
    stacklevel: int = 3,
) -> None:
    """Say that networks are measured with batch-norm statistics that are not their own.

    Args:
        objective: What measures.
        networks: What it measures, in words.
        vectors: The networks: recorded states know their statistics, and nothing is said of those
            that are the model's. None: nothing is known.
        stacklevel: As for `warnings.warn`.
    """
    if not uses_stored_statistics(objective):
        return
    told = [recorded_with(vector) for vector in vectors or [None]]
    if all(told):
        told = [one for one in told if whose(objective.problem, one).get(KEY) == ANOTHER]
        if not told:
            return
        networks += f" ({'; '.join(str(one[KEY][0]['of']) for one in told[:3])} had others)"
    warnings.warn(
        f"Batch norms use the running statistics of the objective's model for {networks}, also "
        "where those belong to other weights: pass the runs themselves, which recorded them, give "
        "buffers= of each, or make the objective with batch_norm='recalibrated'.",
        stacklevel=stacklevel,
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
