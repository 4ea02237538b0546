"""Batch-norm policies: which statistics a batch norm uses at a point.

frozen         the stored running statistics, the same at every point
interpolated   they move with the coordinates, between two recorded states
recalibrated   they are estimated anew at every point, on the objective's own data
batch          those of each batch ("A Walk with SGD", arXiv:1802.08770)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn

from landscape.objective.metrics import Metric

BatchNorm = Literal["frozen", "recalibrated", "batch"]
POLICIES = ("frozen", "recalibrated", "batch")


def norms_of(model: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """The model's batch norms."""
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


@torch.no_grad()
def recalibrate(
    model: nn.Module, loss: Metric, batches: list[Any], begin: Callable[[int], None]
) -> None:
    """Estimate the running statistics of a borrowed model at its present weights.

    They become the averages of the batches' means and variances, each batch weighing the same,
    as for averaged weights (Izmailov et al. 2018, arXiv:1803.05407, section 3.2). `begin` is told
    the number of every batch.
    """
    norms = [norm for norm in norms_of(model) if norm.running_mean is not None]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum, norm.training = None, True  # None: the cumulative average
    try:
        for number, (batch, _) in enumerate(batches):
            begin(number)
            loss(model, batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum, norm.training = momentum, False
