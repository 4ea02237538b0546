"""What is known of a loss before it is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Nature:
    """What a look at the metrics of an objective found.

    Attributes:
        gradients: They differ, or fail, without gradients.
        differentiates: They need them, or enable them themselves.
        draws: They draw random numbers from the global generators, or from the user's own.
        moves: They move the model's weights, and put them back.
        backward: They write into `.grad`.
        unknown: They could not be watched; nothing is taken for granted.
        leaves: Tensors besides the model's whose `.grad` they may write.
        written: Tensors besides the model's that they write into.
        modules: Other modules that they change, for example by running them in training mode.
        kept: Attributes of modules, the model's too, by which a call changes what others return.
        assigned: The same of cells of closures, and of dictionaries with names in them.
        generators: Generators of the user's that they draw from.
        others: The same of numpy's and Python's.
    """

    gradients: bool = False
    differentiates: bool = False
    draws: bool = False
    moves: bool = False
    backward: bool = False
    unknown: bool = False
    leaves: tuple[Tensor, ...] = ()
    written: tuple[Tensor, ...] = ()
    modules: tuple[nn.Module, ...] = ()
    kept: tuple[tuple[nn.Module, str], ...] = ()
    assigned: tuple[tuple[Any, str], ...] = ()
    generators: tuple[torch.Generator, ...] = ()
    others: tuple[Any, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether nothing needs care."""
        return not any(vars(self).values())

    @property
    def alone(self) -> str:
        """Why passes of different points or batches cannot run together; empty when they can."""
        reasons = {
            "the loss draws random numbers": self.draws,
            "the loss moves the weights": self.moves,
            "the loss writes into .grad": self.backward,
            "the loss changes tensors or modules besides the weights": bool(
                self.written or self.modules
            ),
            "the loss could not be watched": self.unknown,
        }
        return next((reason for reason, found in reasons.items() if found), "")
