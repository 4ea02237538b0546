"""Task: what is trained, on what, measured how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from landscape.evaluation.metrics import Metric


@dataclass(frozen=True)
class Data:
    """A classification data set in memory.

    Attributes:
        train: Inputs and labels, tensors that share their first dimension.
        test: The same for testing.
        classes: Number of classes.
    """

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    classes: int


@dataclass(frozen=True)
class Task:
    """A model with its loss and data.

    Attributes:
        model: A freshly initialised model.
        loss: `loss(model, batch)`, see `landscape.evaluation.metrics`.
        train: Training data: a tuple or dict of tensors that share their first dimension.
        test: Test data of the same form, or None.
        metrics: Further metrics by name.
    """

    model: nn.Module
    loss: Metric
    train: Any
    test: Any = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Cross-entropy of each sample in nats, shape (samples,)."""
    inputs, labels = batch
    return F.cross_entropy(model(inputs), labels, reduction="none")


def classification_error(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """1 where the largest logit is not the label's, else 0, shape (samples,)."""
    inputs, labels = batch
    return (model(inputs).argmax(dim=-1) != labels).float()
