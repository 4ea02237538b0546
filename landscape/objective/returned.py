"""What a loss or metric may return, and the one place where it is understood.

    a tensor with one value per sample, (B,) or (B, 1)    its mean is taken, with a standard error
    a scalar, the mean of the batch                       weighted by the samples of the batch
    a pair (sum, weight), additive over samples           Σ sums / Σ weights: means over tokens
    `SumAndWeight(sum, weight)`                           the same where batches cannot be halved
    an object with a ``.loss``, a mapping with "loss"     its loss: a mean over samples, or over
                                                          the counted labels of a language model

A scalar may be a number of Python or numpy where nothing is differentiated. A scalar that is no
mean over samples (a contrastive loss, a mean over tokens) needs a fixed ``batch_size``; its mean
over batches, weighted by their samples, is then taken. A pair is trusted only once it was seen to
be one, see `landscape.objective.strategies.repeatable`: a loss beside an accuracy, the logits or a
count of correct answers is refused. So is everything else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from landscape.objective.data.structure import renewed, tensors_of

Metric = Callable[[nn.Module, Any], Any]

IGNORED = -100  # a label that no loss counts, in torch and in Hugging Face models
REMEDY = (
    "return one value per sample, the mean of the batch, or a pair (sum, weight) that adds up over "
    "samples"
)


class SumAndWeight(NamedTuple):
    """What a loss over tokens, pixels or nodes returns: Σ totals / Σ weights is its mean.

    A plain tuple does as well where batches can be halved to see that both parts add up.

    Attributes:
        total: Sum over the batch, or one sum per sample.
        weight: What to divide by, zero or positive; it depends on the data only.

    >>> SumAndWeight(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 3.0])).weight.sum().item()
    4.0
    """

    total: Any
    weight: Any


@dataclass(frozen=True)
class Canonical:
    """A metric whose values are a tensor (scalar or one value per sample) or a pair of such.

    Attributes:
        name: For messages.
        metric: The user's.
    """

    name: str
    metric: Metric

    def __call__(self, model: nn.Module, batch: Any) -> Tensor | tuple[Tensor, Tensor]:
        """The value of a batch."""
        value = canonical(self.name, self.metric(model, renewed(batch)), batch)
        if not _accelerated() or isinstance(value, tuple) or value.device.type != "cpu":
            return value
        return value.to(next(model.parameters()).device)  # a number has no device


@functools.cache
def _accelerated() -> bool:
    """Whether a model may be elsewhere than in the memory of the processor."""
    return torch.accelerator.is_available()


def in_canonical_form(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """Metrics whose values all strategies understand.

    >>> half = in_canonical_form({"loss": lambda model, batch: 0.5})["loss"]
    >>> half(nn.Linear(1, 1), None).item()
    0.5
    """
    return {
        name: metric if isinstance(metric, Canonical) else Canonical(name, metric)
        for name, metric in metrics.items()
    }


def canonical(name: str, value: Any, batch: Any = None) -> Tensor | tuple[Tensor, Tensor]:
    """A returned value as a tensor (scalar or one value per sample) or a pair of such.

    Args:
        name: The metric's name, for messages.
        value: What it returned.
        batch: What it returned that for; the labels of a language model are counted in it.

    Raises:
        ValueError: If the value has none of the documented forms.
    """
    if type(value) is Tensor and value.ndim == 1 and value.dtype.is_floating_point:
        return value
    if isinstance(value, SumAndWeight):
        return SumAndWeight(*_pair(name, value))
    if (loss := loss_of(value)) is not None:
        loss = _numbers(name, loss, value)
        weight = None if loss.numel() > 1 else _counted_labels(value, batch)
        if weight is None:
            return loss
        loss, weight = loss.reshape(()), weight.to(loss.device)
        # The mean over no label is NaN; it counts for nothing.
        return torch.where(weight > 0, loss * weight, torch.zeros_like(loss)), weight
    if isinstance(value, tuple) and len(value) == 2:
        return _pair(name, value)
    return _numbers(name, value, value)


def loss_of(value: Any) -> Any:
    """The loss in an output that holds more than it; None where there is none."""
    if isinstance(value, Tensor | np.ndarray | np.generic | int | float):
        return None
    if isinstance(value, Mapping):
        return value.get("loss")
    return getattr(value, "loss", None)


def said(value: Any) -> str:
    """What a value is, in a few words."""
    if isinstance(value, Tensor | np.ndarray):
        kind = "complex tensor" if _is_complex(value) else "tensor"
        return f"a {kind} of shape {tuple(value.shape)}" if value.ndim else f"a scalar {kind}"
    if isinstance(value, tuple) and type(value) is tuple:
        return f"({', '.join(map(said, value))})"
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} with {', '.join(map(repr, list(value)[:6]))}"
    return f"a {type(value).__name__}"


def _pair(name: str, value: tuple[Any, Any]) -> tuple[Tensor, Tensor]:
    """Sum and weight, of every sample or of the batch."""
    total, weight = value
    both = isinstance(total, Tensor) and isinstance(weight, Tensor)
    if both and total.shape == weight.shape and total.ndim > 1 and not total.is_complex():
        return total.sum(), weight.sum()  # of every token, say
    total, weight = (_numbers(name, part, value) for part in value)
    if total.ndim and weight.ndim and total.shape != weight.shape:
        raise ValueError(
            f"{name!r} returned {said(value)}; in a pair (sum, weight) both have one value per "
            f"sample, or are scalars: {REMEDY}."
        )
    return total, weight


def _numbers(name: str, part: Any, whole: Any) -> Tensor:
    """A tensor of shape (), (1,) or (B,)."""
    if isinstance(part, np.ndarray | np.generic | int | float) and not _is_complex(part):
        part = torch.as_tensor(np.asarray(part, np.float64))
    if not isinstance(part, Tensor):
        raise ValueError(f"{name!r} returned {said(whole)}; {REMEDY}.")
    if part.is_complex():
        raise ValueError(f"{name!r} returned {said(whole)}; {REMEDY}, as real numbers.")
    if part.ndim > 1 and part.numel() != part.shape[0]:
        raise ValueError(
            f"{name!r} returned {said(whole)}; {REMEDY}. What is beyond the first dimension has "
            "to be summed or averaged."
        )
    return part.reshape(-1) if part.ndim > 1 else part


def _is_complex(value: Any) -> bool:
    return value.is_complex() if isinstance(value, Tensor) else np.iscomplexobj(value)


def _counted_labels(output: Any, batch: Any) -> Tensor | None:
    """How many labels the mean in a Hugging Face output is over; None: it is over samples."""
    kind = type(output).__name__
    causal = "CausalLM" in kind
    if not causal and not any(word in kind for word in ("MaskedLM", "Seq2SeqLM", "TokenClass")):
        return None
    labels = _labels(batch)
    if labels is None:
        return None
    return ((labels[:, 1:] if causal else labels) != IGNORED).sum()


def _labels(batch: Any) -> Tensor | None:
    """The labels in a batch: those of that name, else the integers among which some are ignored."""
    named = batch.get("labels") if isinstance(batch, Mapping) else getattr(batch, "labels", None)
    if isinstance(named, Tensor) and named.ndim > 1:
        return named
    whole = [t for t in tensors_of(batch) if t.dtype == torch.int64 and t.ndim > 1]
    some = [t for t in whole if (t == IGNORED).any()]
    return next(iter(some or whole), None)
