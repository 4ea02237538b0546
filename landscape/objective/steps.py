"""Steps: the loss of a batch and its gradient, at weights that the caller writes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape.objective.lending.interrupt import held_back
from landscape.objective.metrics import mean_of
from landscape.objective.policies.batchnorm import norms_of
from landscape.objective.policies.precision import arithmetic
from landscape.objective.strategies.work import Work
from landscape.objective.working import working

if TYPE_CHECKING:
    from landscape.objective.objective import Objective


class Steps:
    """A borrowed model whose weights a training loop writes; made by `steps_of`.

    Attributes:
        weights: Flat parameters, shape (P,); write a point into it before every gradient.
    """

    def __init__(self, work: Work) -> None:
        self.weights: Tensor = work.loan.flat
        self._work = work
        self._loss = next(iter(work.metrics.values()))
        named = dict(work.loan.model.named_parameters())
        self._parameters = [named[entry.name] for entry in work.loan.layout]

    def gradient(self, batch: Any, number: int) -> tuple[Tensor, Tensor]:
        """The mean loss of a batch at `weights`, and its gradient, shape (P,).

        Args:
            batch: What the loss takes.
            number: Of the batch, for losses that draw random numbers.
        """
        self._work.check()
        self._work.begin(number)
        self._work.loan.round()
        with torch.enable_grad():
            loss = mean_of(self._loss(self._work.loan.model, batch))
            parts = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        flat = [
            torch.zeros_like(p).reshape(-1) if part is None else part.reshape(-1)
            for p, part in zip(self._parameters, parts, strict=True)
        ]
        return loss.detach(), torch.cat(flat).to(self.weights)


@contextlib.contextmanager
def steps_of(objective: Objective) -> Iterator[Steps]:
    """Lend an objective's model to a training loop, and give it back as it was.

    Batch norms use the statistics of each batch, dropout is off: points between networks have no
    running statistics.
    """
    origin = np.asarray(objective.parameters())
    restriction = objective.restrict(origin, np.zeros((0, origin.size)))
    with (
        held_back() as check,
        working(restriction.problem, restriction.family, restriction.tuning, check) as work,
        arithmetic(objective.precision, objective.device),
    ):
        for norm in norms_of(objective.model):
            norm.training, norm.track_running_stats = True, False
        yield Steps(work)
