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

_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 0.2}

Metric = Callable[[nn.Module, Any], "Tensor | tuple[Tensor, Tensor]"]


def mean_of(value: Any) -> Tensor:
    """The mean that a metric's return value stands for, for training on it."""
    if isinstance(value, tuple):
        total, weight = value
        return total.sum() / weight.sum()
    if not isinstance(value, Tensor):
        raise ValueError(
            f"The loss returned a {type(value).__name__}; it must return a tensor (one value per "
            "sample, or their mean) or a pair (sum, weight)."
        )
    return value.mean()


def sum_and_weight(value: Any, samples: int) -> tuple[Tensor, Tensor]:
    """A metric's return value on a batch as a sum and what to divide it by."""
    if isinstance(value, tuple):
        total, weight = value
        return total.sum(), torch.as_tensor(weight).sum()
    if value.ndim == 0:
        return value * samples, torch.tensor(samples)
    return value.sum(), torch.tensor(len(value))


def sums(name: str, value: Any, samples: int) -> Tensor:
    """Sum, sum of squares and weight of a metric on one batch.

    Args:
        name: The metric's name, for messages.
        value: What it returned.
        samples: Samples in the batch.

    Returns:
        Float64, shape (3,), on the device; the sum of squares is NaN where single samples are
        unknown.

    Raises:
        ValueError: If the value has none of the three documented forms.
    """
    if isinstance(value, tuple) and len(value) == 2:
        total, weight = (torch.as_tensor(v).double().sum() for v in value)
        return torch.stack([total, total * math.nan, weight.to(total.device)])
    if isinstance(value, Tensor) and value.ndim == 0:
        total = value.double() * samples
        return torch.stack([total, total * math.nan, torch.full_like(total, samples)])
    if isinstance(value, Tensor) and value.ndim == 1 and len(value) == samples:
        each = value.double()
        total = each.sum()
        return torch.stack([total, each @ each, torch.full_like(total, samples)])
    shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
    raise ValueError(
        f"{name!r} returned {shape} for a batch of {samples} samples; it must return one value "
        "per sample, a scalar mean, or a pair (sum, weight)."
    )


def agree(a: Tensor, b: Tensor, dtype: torch.dtype) -> bool:
    """Whether two sets of totals have the same means, up to the rounding of `dtype`."""
    first, second = a[..., 0] / a[..., 2], b[..., 0] / b[..., 2]
    scale = first.abs().nan_to_num(0, 0, 0).amax(dim=-1, keepdim=True)
    return torch.allclose(
        first / scale, second / scale, rtol=_ROUNDING[dtype], atol=_ROUNDING[dtype] * 1e-2,
        equal_nan=True,
    )  # fmt: skip


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
