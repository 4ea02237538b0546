"""Metrics: what a model is measured by, and how batches are put together.

A metric is a function (model, batch) that returns one of

    a tensor with one value per sample     its mean is taken, with a standard error
    a scalar tensor, the mean of a batch   weighted by the number of samples in the batch
    a pair (sum, weight)                   for means over tokens: Σ sums / Σ weights

Sums run in double precision, on the device, without waiting for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Metric = Callable[[nn.Module, Any], "Tensor | tuple[Tensor, Tensor]"]


def mean_of(value: Any) -> Tensor:
    """The mean that a metric's return value stands for, for training on it."""
    if isinstance(value, tuple):
        total, weight = value
        return total.sum() / weight.sum()
    return value.mean()


class Totals:
    """Running sums of one metric over the batches of one point."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._sums: list[Tensor] = []
        self._spread = True

    def add(self, value: Any, samples: int) -> None:
        """Add a metric's return value for a batch of `samples` samples.

        Raises:
            ValueError: If the value has none of the three documented forms.
        """
        if isinstance(value, tuple) and len(value) == 2:
            total, weight = (torch.as_tensor(v).double().sum() for v in value)
            self._spread = False
            self._sums.append(torch.stack([total, total * math.nan, weight.to(total.device)]))
        elif isinstance(value, Tensor) and value.ndim == 0:
            total = value.double() * samples
            self._spread = False
            self._sums.append(
                torch.stack([total, total * math.nan, torch.full_like(total, samples)])
            )
        elif isinstance(value, Tensor) and value.ndim == 1 and len(value) == samples:
            each = value.double()
            count = torch.full_like(each[0], samples)
            self._sums.append(torch.stack([each.sum(), each.square().sum(), count]))
        else:
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"{self.name!r} returned {shape} for a batch of {samples} samples; it must return "
                "one value per sample, a scalar mean, or a pair (sum, weight)."
            )

    def total(self) -> Tensor:
        """Sum, sum of squares and weight, float64, shape (3,), on the device."""
        return torch.stack(self._sums).sum(0)


def mean_and_error(totals: np.ndarray, *, size: int, population: int) -> tuple[Any, Any]:
    """Means and standard errors from sums.

    Args:
        totals: Sums, sums of squares and weights along the last axis, shape (..., 3).
        size: Samples measured.
        population: Samples they were drawn from, without replacement.

    Returns:
        Mean and its standard error as an estimate of the mean over the population: zero when
        everything was measured, NaN when single samples are unknown.
    """
    with np.errstate(all="ignore"):
        mean = totals[..., 0] / totals[..., 2]
        if size >= population:
            return mean, np.zeros_like(mean)
        if size < 2:
            return mean, np.full_like(mean, math.nan)
        variance = (totals[..., 1] / size - mean**2).clip(min=0) * size / (size - 1)
        return mean, np.sqrt(variance / size * (1 - size / population))
