"""The gradient of the loss over all the data, at one point."""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.objective.metrics import sum_and_weight
from landscape.objective.strategies.work import Batches, Work


def gradient_of(work: Work, batches: Batches) -> Tensor:
    """∂ loss / ∂ θ at the point where the model was placed.

    Args:
        work: The borrowed model; its first metric is the loss.
        batches: The samples.

    Returns:
        Gradient of the mean over all samples, summed in double precision, shape (P,).
    """
    model, layout = work.loan.model, work.loan.layout
    loss = next(iter(work.metrics.values()))
    named = dict(model.named_parameters())
    parameters = [named[entry.name] for entry in layout]
    gradient = torch.zeros_like(work.loan.flat, dtype=torch.float64)
    weights = torch.zeros((), dtype=torch.float64, device=gradient.device)
    for number, (batch, samples) in enumerate(batches):
        work.check()
        work.begin(number)
        with torch.enable_grad():
            total, weight = sum_and_weight(loss(model, batch), samples)
            parts = torch.autograd.grad(total, parameters, allow_unused=True)
        weights += weight
        for entry, part in zip(layout, parts, strict=True):
            if part is not None:
                gradient[entry.slice] += part.reshape(-1)
    return gradient / weights
