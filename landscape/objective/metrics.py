"""Sums and means of metrics; what a metric may return is told in `landscape.objective.returned`.

Sums run in double precision, on the device, without waiting for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.objective.data.batches import Uncounted
from landscape.objective.returned import REMEDY, Metric, canonical, loss_of, said

__all__ = [
    "SUMS",
    "Metric",
    "agree",
    "check_weights",
    "mean_and_error",
    "mean_of",
    "sum_and_weight",
    "sums",
]

SUMS = 6  # of a metric, see `sums`
_ROUNDING = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 0.2}


def mean_of(value: Any) -> Tensor:
    """The mean that a metric's return value stands for, for training on it."""
    loss = loss_of(value)
    if not isinstance(value if loss is None else loss, Tensor | tuple):
        raise ValueError(f"The loss returned {said(value)}; {REMEDY}, as tensors.")
    found = canonical("loss", value if loss is None else loss)
    if isinstance(found, tuple):
        total, weight = found
        return total.sum() / weight.to(total.device).sum()
    return found.mean()


def sum_and_weight(value: Any, samples: int) -> tuple[Tensor, Tensor]:
    """A metric's return value on a batch as a sum and what to divide it by."""
    value = canonical("loss", value)
    if isinstance(value, tuple):
        total, weight = value
        return total.sum(), weight.sum()
    if _single(value, samples):
        return value.reshape(()) * samples, torch.tensor(int(samples))
    return value.sum(), torch.tensor(len(value))


def sums(name: str, value: Any, samples: int) -> Tensor:
    """Sums of a metric on one batch, of which means and their errors are made.

    Args:
        name: The metric's name, for messages.
        value: What it returned, in canonical form.
        samples: Samples in the batch.

    Returns:
        Float64, shape (6,), on the device: Σ s, Σ s², Σ w, Σ s w, Σ w² over what is known of the
        batch (its samples; of a pair of scalars the batch itself), and how many these are. The
        products are NaN where there is nothing but a mean.

    Raises:
        ValueError: If there is not one value per sample.
    """
    if isinstance(value, tuple):
        total, weight = (part.double().reshape(-1) for part in value)
        weight = weight.to(total.device)
        if total.shape != weight.shape:
            return _six(total.sum(), math.nan, weight.sum(), math.nan, math.nan, samples)
        products = total @ total, weight.sum(), total @ weight, weight @ weight
        return _six(total.sum(), *products, len(total))
    if _single(value, samples):
        total = value.reshape(()).double() * samples
        return _six(total, math.nan, samples, math.nan, math.nan, samples)
    if value.shape[0] == samples or isinstance(samples, Uncounted):
        each = value.double()
        total = each.sum()
        count = torch.full_like(total, value.shape[0])
        return torch.stack([total, each @ each, count, total, count, count])
    raise ValueError(f"{name!r} returned {said(value)} for a batch of {samples} samples; {REMEDY}.")


def _six(total: Tensor, *others: Tensor | float) -> Tensor:
    numbers = [o if isinstance(o, Tensor) else torch.full_like(total, float(o)) for o in others]
    return torch.stack([total, *numbers])


def _single(value: Tensor, samples: int) -> bool:
    """Whether a value is the mean of a batch rather than one value per sample."""
    unknown = isinstance(samples, Uncounted) and not samples.known
    return value.ndim == 0 or (value.numel() == 1 and samples != 1 and not unknown)


def check_weights(names: Sequence[str], totals: Tensor, computed: np.ndarray) -> None:
    """Refuse weights that differ between points: they are no property of the data.

    Args:
        names: Of the metrics.
        totals: Shape (metrics, points, 6).
        computed: Which points were measured.

    Raises:
        ValueError: If those of a metric differ; it names the metric.
    """
    if computed.sum() < 2:
        return
    weights = totals[:, torch.from_numpy(computed).to(totals.device), 2].cpu()
    for name, row in zip(names, weights, strict=False):
        if not torch.allclose(row, row[:1], rtol=1e-5, equal_nan=True):
            raise ValueError(
                f"The second part of what {name!r} returns is {row.min():.6g} at one point and "
                f"{row.max():.6g} at another: it is no weight, which depends on the data only. "
                "Return the loss alone, and pass what else is of interest in metrics=."
            )


def agree(a: Tensor, b: Tensor, dtype: torch.dtype) -> bool:
    """Whether two sets of totals have the same means, up to the rounding of `dtype`."""
    first, second = a[..., 0] / a[..., 2], b[..., 0] / b[..., 2]
    scale = first.abs().nan_to_num(0, 0, 0).amax(dim=-1, keepdim=True)
    return torch.allclose(
        first / scale, second / scale, rtol=_ROUNDING[dtype], atol=_ROUNDING[dtype] * 1e-2,
        equal_nan=True,
    )  # fmt: skip


def mean_and_error(totals: np.ndarray, *, size: int, population: float) -> tuple[Any, Any]:
    """Means and standard errors from sums.

    Args:
        totals: Sums as `sums` makes them along the last axis, shape (..., 6).
        size: Samples measured.
        population: Samples they were drawn from, without replacement; infinite for a stream.

    Returns:
        Mean R = Σ s / Σ w and its standard error as an estimate of that over the population: zero
        when everything was measured, NaN when neither single samples nor several sums of batches
        are known. For n of them it is √(n / (n - 1) Σ (s - R w)²) / Σ w, to first order (ratio
        estimator; Cochran 1977, Sampling Techniques, section 6.4); for w = 1 that is the usual one.
    """
    with np.errstate(all="ignore"):
        total, squares, weight, products, weights, n = np.moveaxis(totals, -1, 0)
        mean = total / weight
        if size >= population:
            return mean, np.zeros_like(mean)
        left = (squares - 2 * mean * products + mean**2 * weights).clip(min=0)
        error = np.sqrt(left * n / (n - 1) * (1 - size / population)) / weight
        return mean, np.where(n > 1, error, math.nan)
