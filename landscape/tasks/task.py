"""Task: what is trained, on what, measured how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from landscape.base.shown import short
from landscape.objective.metrics import Metric


@dataclass(frozen=True)
class Data:
    """A classification data set in memory.

    Attributes:
        train: Inputs and labels, tensors that share their first dimension. Images have shape
            (samples, channels, height, width), texts and their labels (samples, tokens).
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
        loss: `loss(model, batch)`, see `landscape.objective.metrics`.
        train: Training data: a tuple or dict of tensors that share their first dimension.
        test: Test data of the same form, or None.
        metrics: Further metrics by name.

    >>> import torch
    >>> import landscape as ls
    >>> def loss(model, batch):
    ...     return (model(batch[0]) - batch[1]).square().mean(1)
    >>> ls.Task(model=torch.nn.Linear(3, 1), loss=loss, train=(torch.ones(8, 3), torch.ones(8, 1)))
    Task(Linear of 4 parameters, loss)
    """

    model: nn.Module
    loss: Metric
    train: Any
    test: Any = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    def __repr__(self) -> str:
        size = sum(p.numel() for p in self.model.parameters())
        model = f"{type(self.model).__name__} of {size:,} parameters"
        loss = getattr(self.loss, "__name__", "loss")
        return short("Task", model, loss, *self.metrics)


def cross_entropy(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Cross-entropy of each sample in nats, shape (samples,); a text's is the mean of its tokens.

    The model gives logits of shape (samples, ..., classes) for labels of shape (samples, ...).
    """
    inputs, labels = batch
    logits = model(inputs).movedim(-1, 1)
    return _per_sample(F.cross_entropy(logits, labels, reduction="none"))


def classification_error(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Share of each sample's labels that have not the largest logit, shape (samples,)."""
    inputs, labels = batch
    return _per_sample((model(inputs).argmax(dim=-1) != labels).float())


def _per_sample(values: Tensor) -> Tensor:
    return values.flatten(1).mean(1) if values.ndim > 1 else values
