"""The plain strategy's numbers at a few points on a few samples, which every way has to give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from landscape.objective.data.held import HeldData
from landscape.objective.metrics import agree
from landscape.objective.strategies.choice import STRATEGIES, Choice
from landscape.objective.strategies.sequential import sequential
from landscape.objective.strategies.work import Measure, UnsuitableError, Work

LOOK = 4  # samples in each of two batches
PROBLEMS = (  # that a model may have with what replaces its layers and batches
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Reference:
    """What ways are compared with before they are used.

    Args:
        work: The borrowed model and its points.
        data: The samples.
        points: Where, shape (points, K).
        batch_size: The size of batches that has to be used; None leaves it free.
    """

    def __init__(
        self, work: Work, data: HeldData, points: np.ndarray, batch_size: int | None
    ) -> None:
        self.work, self.points = work, points
        if batch_size is None and data.joined:
            some = torch.linspace(0, data.size - 1, min(2 * LOOK, data.size)).round().long()
            parts = some.to(work.origin.device).split(LOOK)
            self._look: Sequence[tuple[Any, int]] = [(data.take(p), len(p)) for p in parts]
        else:
            self._look = data.batches(batch_size, most=2 * LOOK)
        with sequential(work) as measure:
            self._wanted = measure(points, self._look)
        self._telling = bool(self._wanted[..., 0].isfinite().any(dim=1).all())

    def check(self, measure: Measure) -> None:
        """Refuse numbers that are not those of the plain strategy.

        Raises:
            UnsuitableError: If they differ beyond rounding.
        """
        found = measure(self.points, self._look)
        if not self._telling or not agree(found, self._wanted, self.work.rounding):
            raise UnsuitableError("its numbers differ from the plain strategy's")

    def agrees(self, way: Choice) -> bool:
        """Whether a way can be used here and gives the plain numbers."""
        try:
            with STRATEGIES[way.strategy](replace(self.work, threads=way.threads)) as measure:
                self.check(measure)
        except (UnsuitableError, *PROBLEMS):
            return False
        return True
