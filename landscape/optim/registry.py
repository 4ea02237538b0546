"""Every optimizer that has a name here: what it is, where it comes from, how it is drawn.

This file is a table without torch, so that plots can read colours from it; `build` imports the
optimizer when a run needs it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class OptimizerEntry:
    """One named optimizer.

    Attributes:
        name: What the command line and the files call it.
        title: What legends call it.
        target: ``module:Class`` that implements it.
        lr: A learning rate that works on the shipped tasks.
        source: The paper.
        color: Its colour in every figure (Okabe & Ito).
        dash: Its dash, as a matplotlib line style.
        options: Fixed arguments besides the learning rate.
        full_batch: Whether it sees the whole data set at every step.
    """

    name: str
    title: str
    target: str
    lr: float
    source: str
    color: str
    dash: str
    options: Mapping[str, Any] = field(default_factory=dict)
    full_batch: bool = False


OPTIMIZERS: dict[str, OptimizerEntry] = {
    entry.name: entry
    for entry in (
        OptimizerEntry(
            "gd", "GD (full batch)", "torch.optim:SGD", 0.2, "Cauchy 1847", "#000000", "-",
            full_batch=True,
        ),
        OptimizerEntry(
            "sgd", "SGD", "torch.optim:SGD", 0.1, "Robbins & Monro 1951", "#0072B2", "-"
        ),
        OptimizerEntry(
            "momentum", "SGD + momentum", "torch.optim:SGD", 0.02, "Polyak 1964", "#56B4E9", "--",
            {"momentum": 0.9},
        ),
        OptimizerEntry(
            "adagrad", "Adagrad", "torch.optim:Adagrad", 0.02, "Duchi et al., JMLR 2011",
            "#009E73", "-.",
        ),
        OptimizerEntry(
            "adam", "Adam", "torch.optim:Adam", 0.002, "arXiv:1412.6980", "#D55E00", "-"
        ),
        OptimizerEntry(
            "radam", "RAdam", "torch.optim:RAdam", 0.002, "arXiv:1908.03265", "#CC79A7", "--"
        ),
    )
}  # fmt: skip


def find(name: str) -> OptimizerEntry:
    """The entry called `name`.

    Raises:
        ValueError: If there is none; the message lists the allowed names.
    """
    try:
        return OPTIMIZERS[name]
    except KeyError:
        raise ValueError(
            f"optimizer must be one of {', '.join(OPTIMIZERS)}; not {name!r}."
        ) from None


def build(
    name: str, parameters: Iterable[torch.nn.Parameter], *, lr: float | None = None
) -> torch.optim.Optimizer:
    """Make the optimizer called `name`.

    Args:
        name: A key of `OPTIMIZERS`.
        parameters: What it optimizes.
        lr: Learning rate; default: the entry's.

    Raises:
        ValueError: If the name is unknown.
    """
    entry = find(name)
    module, _, attribute = entry.target.partition(":")
    cls = getattr(importlib.import_module(module), attribute)
    return cls(parameters, lr=entry.lr if lr is None else lr, **entry.options)
