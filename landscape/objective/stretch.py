"""A restriction whose points say on which samples they are measured."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from landscape.base.progress import Progress
from landscape.objective.evaluation import Evaluation
from landscape.objective.restriction import Restriction
from landscape.objective.strategies.choice import Choice


class StretchRestriction(Restriction):
    """A restriction on stretches of an order of the samples; made by `Objective.stretches`.

    The last two coordinates are where the stretch begins and ends, the same for all points of a
    call. Workers that hold it can so measure any stretch, without being started again.

    Args:
        order: All samples in some order.
        arguments: As for `Restriction`.
    """

    def __init__(self, order: np.ndarray, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._order = order

    def prepare(self, coordinates: np.ndarray) -> Choice:
        """Choose how to evaluate these points, on all samples."""
        return super().prepare(coordinates[:, :-2])

    def __call__(
        self, coordinates: np.ndarray, *, progress: Progress | None = None, checks: int = 8
    ) -> Evaluation:
        """Measure every metric at points of shape (points, K + 2)."""
        start, stop = coordinates[0, -2:].astype(int)
        index = None if stop - start == len(self._order) else np.sort(self._order[start:stop])
        whole, part = self.objective, copy.copy(self)
        part.objective = whole.part(index, metrics=whole.metrics)
        found = super(StretchRestriction, part).__call__(
            coordinates[:, :-2], progress=progress, checks=checks
        )
        whole.choice = whole.choice or part.objective.choice
        return found
