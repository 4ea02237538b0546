"""Measuring points as a tuning chose: by a way that is confirmed, and that keeps its promise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from landscape.base.progress import Progress
from landscape.objective.evaluation import spread_over
from landscape.objective.lending.standing import Standing
from landscape.objective.metrics import SUMS
from landscape.objective.problem import Problem
from landscape.objective.strategies.choice import Choice
from landscape.objective.strategies.chunks import measure_chunks
from landscape.objective.strategies.confirmed import confirms, telling
from landscape.objective.strategies.work import Work
from landscape.objective.tuning import Tuning


@dataclass(frozen=True, eq=False)
class Points:
    """Points, and what is known of them; filled in while they are measured.

    Attributes:
        coordinates: Shape (points, K).
        totals: Sums of every metric, shape (metrics, points, 6).
        computed: Which points were measured, shape (points,).
    """

    coordinates: np.ndarray
    totals: Tensor
    computed: np.ndarray

    @classmethod
    def unmeasured(cls, problem: Problem, coordinates: np.ndarray) -> Points:
        """Points of which nothing is known yet."""
        shape = (len(problem.metrics), len(coordinates), SUMS)
        totals = torch.zeros(shape, dtype=torch.float64, device=problem.device)
        return cls(coordinates, totals, np.zeros(len(coordinates), bool))

    def __len__(self) -> int:
        return len(self.coordinates)

    def part(self, begin: int, end: int | None = None) -> Points:
        """Some of them; what is filled in there is filled in here."""
        part = slice(begin, end)
        return Points(self.coordinates[part], self.totals[:, part], self.computed[part])


@dataclass(frozen=True, eq=False)
class Measuring:
    """Points of a problem are measured with the model that is lent.

    Attributes:
        problem: What is measured.
        tuning: How; which sizes fitted is kept there.
        work: The lent model and the family of points.
        standing: Where generators of random numbers stood before.
    """

    problem: Problem
    tuning: Tuning
    work: Work
    standing: Standing

    def __call__(self, choice: Choice, points: Points, progress: Progress | None = None) -> bool:
        """Measure points, by another way where the chosen one turns out wrong or slow.

        Returns:
            Whether it was found that the metrics draw random numbers: begin again.
        """
        begin, tuning = 0, self.tuning
        confirming = tuning.to_confirm(self.problem, choice)
        if confirming or tuning.unchecked:
            begin = min(choice.chunk, len(points))
            if self._first(choice, points.part(0, begin), progress):
                return True
        if confirming:
            agreed = self._agrees(points.part(0, begin))
            choice = tuning.confirmed(self.problem, choice, agreed=agreed)
            begin = begin if agreed else 0
        promise = tuning.promise
        if promise is not None and promise.chosen is choice:
            left = points.part(begin)
            begin += promise.check(
                lambda way, part: self._by(way, left.part(part.start, part.stop), progress),
                len(left),
            )
            if tuning.promise is not promise:  # memory was short
                choice = tuning.choice or choice
            elif promise.checked:
                choice = tuning.proven()
        if begin < len(points):
            self._by(choice, points.part(begin), progress)
        return self._draws()

    def _first(self, choice: Choice, points: Points, progress: Progress | None) -> bool:
        """Measure the first points, and look at what is still to be looked at."""
        try:
            self._by(choice, points, progress)
        except (RuntimeError, TypeError, ValueError):
            self.tuning.check_repeatable(self.problem, self.work)  # says more, if it is that
            raise
        if self._draws():
            return True
        self.tuning.check_repeatable(self.problem, self.work)
        return False

    def _draws(self) -> bool:
        self.work.rest()
        return self.tuning.draws_later(self.problem, self.work.loan, self.standing)

    def observed_error(self, points: Points, checks: int) -> np.ndarray:
        """Largest difference of every metric to the plain way, at a few of the points."""
        index = spread_over(len(points), checks)
        exact = Points.unmeasured(self.problem, points.coordinates[index])
        self._by(self.tuning.plain, exact)
        one, other = points.totals[:, index], exact.totals
        found = (one[..., 0] / one[..., 2] - other[..., 0] / other[..., 2]).abs()
        decay = np.zeros(len(self.problem.names) - len(found))
        if len(decay):
            decay[1] = float(found[0].max())
        return np.append(found.amax(dim=1).cpu().numpy(), decay)

    def _by(self, way: Choice, points: Points, progress: Progress | None = None) -> None:
        draws = self.work.nature.draws
        fitted = measure_chunks(
            self.work,
            self.tuning.batched(self.problem),
            way,
            points.coordinates,
            points.totals,
            points.computed,
            rebatch=self.problem.batch_norm == "frozen" and not draws,
            progress=progress,
        )
        if (fitted.chunk, fitted.batch_size) != (way.chunk, way.batch_size):
            self.tuning.fit(way, fitted)
        if points.totals.is_cuda:
            torch.cuda.synchronize(points.totals.device)  # the time that it took may be asked for

    def _agrees(self, points: Points) -> bool:
        """Whether the plain strategy gives the same totals at one of these points."""
        if (index := telling(points.coordinates, points.totals)) is None:
            return True
        one = points.part(index, index + 1)
        exact = Points.unmeasured(self.problem, one.coordinates)
        self._by(self.tuning.plain, exact)
        return confirms(one.totals, exact.totals, self.work.rounding)
