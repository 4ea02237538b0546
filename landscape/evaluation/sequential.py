"""Evaluate one point after another: the weights are views of one flat vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from landscape.evaluation.data import HeldData
from landscape.evaluation.metrics import Metric, Totals


class Points(Protocol):
    """What a strategy is given: how to write point `index` into the model's weights."""

    def __len__(self) -> int: ...

    def place(self, index: int) -> None:
        """Write point `index` into the weights and buffers that the model computes with."""
        ...


def sequential(
    model: nn.Module,
    metrics: Mapping[str, Metric],
    data: HeldData,
    points: Points,
    *,
    done: Callable[[int, Tensor], None],
    check: Callable[[], None],
) -> None:
    """Measure every metric at every point.

    Args:
        model: The borrowed model.
        metrics: Name to metric.
        data: The samples.
        points: Writes each point's weights in place.
        done: Called after each point with its index and its totals, shape (metrics, 3).
        check: Called between batches; may raise to stop.
    """
    batches = list(data)
    with torch.inference_mode():
        for index in range(len(points)):
            points.place(index)
            totals = [Totals(name) for name in metrics]
            for batch, samples in batches:
                check()
                for total, metric in zip(totals, metrics.values(), strict=True):
                    total.add(metric(model, batch), samples)
            done(index, torch.stack([total.total() for total in totals]))
