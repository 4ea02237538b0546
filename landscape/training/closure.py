"""The gradient of one batch, in one pass or, when the batch is large, in several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from landscape.objective.metrics import Metric, mean_of, sum_and_weight
from landscape.objective.returned import in_canonical_form

PASS = 10_000  # samples per forward pass


def gradient_closure(
    loss: Metric,
    model: nn.Module,
    take: Callable[[Tensor], Any],
    index: Tensor,
    optimizer: torch.optim.Optimizer,
) -> Callable[[], Any]:
    """A closure that leaves the gradient of the mean loss in ``p.grad`` and returns the loss.

    Batches of more than `PASS` samples are cut into parts whose gradients are summed; only batch
    norm in training mode notices (its statistics are those of each part).

    Args:
        loss: A metric, see `landscape.objective.metrics`.
        model: The model.
        take: From indices to a batch.
        index: Which samples.
        optimizer: Whose gradients are cleared first.
    """
    loss = in_canonical_form({"loss": loss})["loss"]

    def whole() -> Tensor:
        optimizer.zero_grad()
        value = mean_of(loss(model, take(index)))
        value.backward()
        return value.detach()

    def in_parts() -> Tensor:
        optimizer.zero_grad()
        parts = []
        for part in index.split(PASS):
            total, weight = sum_and_weight(loss(model, take(part)), len(part))
            total.backward()
            parts.append(torch.stack([total.detach(), weight.to(total)]))
        total, weight = torch.stack(parts).sum(0)
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.div_(weight)
        return total / weight

    return whole if len(index) <= PASS else in_parts
