"""Restriction: a problem as a function of the coordinates of a family of points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from landscape.base.progress import Interrupted, Progress
from landscape.objective.covariance import covariance_of_means, measure_paired
from landscape.objective.evaluation import Evaluation
from landscape.objective.family import Family
from landscape.objective.gradient import gradient_of
from landscape.objective.lending.interrupt import held_back
from landscape.objective.lending.standing import Standing
from landscape.objective.measuring import Measuring, Points
from landscape.objective.metrics import Metric, check_weights, mean_and_error
from landscape.objective.policies.precision import REDUCED, arithmetic
from landscape.objective.problem import Problem
from landscape.objective.sharded import check_not_sharded, is_sharded, measure_sharded
from landscape.objective.strategies.choice import Choice
from landscape.objective.strategies.work import Work
from landscape.objective.tuning import Tuning
from landscape.objective.working import working

if TYPE_CHECKING:
    from landscape.objective.second_order.hessian import Hessian


class Restriction:
    """A problem at the points of a family; made by `Objective.restrict`.

    Args:
        problem: What is measured.
        family: Where.
        tuning: How, as far as that is known.
    """

    family: Family
    problem: Problem
    tuning: Tuning

    def __init__(self, problem: Problem, family: Family, tuning: Tuning) -> None:
        self.problem, self.family, self.tuning = problem, family, tuning

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is measured; the first is the loss."""
        return self.problem.names

    @property
    def reduced(self) -> bool:
        """Whether numbers are of a lower precision, whose error a few points tell."""
        return self.problem.precision in REDUCED

    def on(self, samples: np.ndarray | None) -> Restriction:
        """The same on some of the samples, by index; None: on all."""
        if samples is None:
            return self
        return Restriction(self.problem.on(samples), self.family, self.tuning)

    def measured_by(self, metrics: Mapping[str, Metric]) -> Restriction:
        """The same points with other metrics, without weight decay."""
        return Restriction(self.problem.measured_by(metrics), self.family, self.tuning)

    def prepare(self, coordinates: np.ndarray, progress: Progress | None = None) -> Choice:
        """Choose how to evaluate these points now, rather than when they are first measured."""
        coordinates = np.asarray(coordinates, np.float64)
        if is_sharded(self.problem.model):
            return self.tuning.plain
        self.tuning.recall(self.problem, self.family, len(coordinates))
        with self.lent() as work:
            choice = self.tuning.choice_for(self.problem, work, coordinates, progress)
            self.tuning.check_repeatable(self.problem, work)
            return choice

    def __call__(
        self,
        coordinates: np.ndarray,
        samples: np.ndarray | None = None,
        *,
        progress: Progress | None = None,
        checks: int = 8,
    ) -> Evaluation:
        """Measure every metric at the given points.

        Args:
            coordinates: Shape (points, coordinates of the family).
            samples: Measure on these samples only, by index; None: on all.
            progress: Told of each finished point.
            checks: With a lower precision, how many points are measured in single precision too.

        Returns:
            One value per metric and point.

        Raises:
            Interrupted: On Ctrl-C, with the points measured until then.
        """
        if samples is not None:
            return self.on(samples)(coordinates, progress=progress, checks=checks)
        problem, tuning = self.problem, self.tuning
        coordinates = np.asarray(coordinates, np.float64)
        if coordinates.ndim != 2 or coordinates.shape[1] != self.family.coordinates:
            raise ValueError(
                f"coordinates have shape {coordinates.shape}; expected (points, "
                f"{self.family.coordinates})."
            )
        points = Points.unmeasured(problem, coordinates)
        rounding: np.ndarray | None = None
        if is_sharded(problem.model):
            return self._sharded(points, progress)
        reached = problem.reached()
        error, again, standing = None, False, Standing(reached)
        later = tuning.recall(problem, self.family, len(coordinates))
        try:
            with (
                held_back() as check,
                working(
                    problem, self.family, tuning, check, reached, whole=False, later=later
                ) as work,
            ):
                measure = Measuring(problem, tuning, work, standing)
                with arithmetic(problem.precision, problem.device):
                    choice = tuning.choice_for(problem, work, coordinates, progress)
                    seconds = tuning.seconds_per_point(problem.data.size)
                    if progress is not None and seconds is not None:
                        progress.expect(seconds)
                    again = measure(choice, points, progress)
                    rounding = work.making.rounding(coordinates)
                if self.reduced and checks:
                    with arithmetic("single", problem.device):
                        error = measure.observed_error(points, checks)
        except KeyboardInterrupt:
            raise Interrupted(self._evaluation(points)) from None
        if again:
            return self(coordinates, checks=checks)
        check_weights(problem.names, points.totals, points.computed)
        found = self._evaluation(points)
        return replace(found, observed_error=error, shrunk=tuning.shrunk, rounding=rounding)

    def paired(
        self,
        coordinates: np.ndarray,
        samples: np.ndarray | None = None,
        *,
        progress: Progress | None = None,
    ) -> Evaluation:
        """Like a call, with the covariances of the loss that common samples make.

        On the whole data set they are zero. On a subset every point runs by the plain strategy.
        """
        if samples is not None:
            return self.on(samples).paired(coordinates, progress=progress)
        problem, data = self.problem, self.tuning.batched(self.problem)
        coordinates = np.asarray(coordinates, np.float64)
        if data.size >= data.population:
            found = self(coordinates, progress=progress)
            return replace(found, covariance=np.zeros([len(coordinates)] * 2))
        try:
            with self.lent() as work:
                self.tuning.check_repeatable(problem, work)
                totals, values = measure_paired(work, coordinates, data.batches())
        except KeyboardInterrupt:
            raise Interrupted from None
        if progress is not None:
            progress.advance(len(coordinates))
        points = Points(coordinates, totals, np.ones(len(coordinates), bool))
        check_weights(problem.names, totals, points.computed)
        each = values.numpy()
        covariance = covariance_of_means(each[0], population=data.population)
        found = self._evaluation(points)
        error = found.standard_error.copy()
        error[[0] if problem.weight_decay is None else [0, -1]] = np.sqrt(np.diag(covariance))
        return replace(found, standard_error=error, covariance=covariance, each=each)

    def gradient(self, point: np.ndarray) -> np.ndarray:
        """∂ loss / ∂ θ, over all parameters, at one point with coordinates of shape (K,)."""
        with self.lent(whole=True) as work:
            self.tuning.check_repeatable(self.problem, work)
            work.place(np.asarray(point, np.float64).tolist())
            return gradient_of(work, self.tuning.batched(self.problem).batches()).cpu().numpy()

    def hessian(
        self, point: np.ndarray, *, tensors: str | None = None
    ) -> AbstractContextManager[Hessian]:
        """∂² loss / ∂ θ² at one point with coordinates of shape (K,); see `Objective.hessian`."""
        from landscape.objective.second_order.hessian_at import hessian_of

        return hessian_of(self.problem, self.family, self.tuning, point, tensors=tensors)

    def decay(self, coordinates: np.ndarray) -> np.ndarray:
        """The metric ``weight decay`` = λ/2 ‖θ‖² at points, shape (points,); zero without any."""
        if self.problem.weight_decay is None:
            return np.zeros(len(coordinates))
        return self.problem.weight_decay / 2 * self.family.squared_norm(coordinates)

    @contextmanager
    def lent(self, *, whole: bool = False) -> Iterator[Work]:
        """Inside, the model is lent, in the problem's arithmetic; Ctrl-C waits for a safe place.

        Its parameters may come and go; `whole` asks for all of them at once.
        """
        problem = self.problem
        check_not_sharded(problem.model)
        with (
            held_back() as check,
            working(problem, self.family, self.tuning, check, whole=whole) as work,
            arithmetic(problem.precision, problem.device),
        ):
            yield work

    def _sharded(self, points: Points, progress: Progress | None) -> Evaluation:
        problem = self.problem
        data = self.tuning.batched(problem)
        try:
            with held_back() as check, arithmetic(problem.precision, problem.device):
                rounding = measure_sharded(
                    problem, self.family, data, points.coordinates, points.totals, points.computed,
                    check=check, progress=progress,
                )  # fmt: skip
        except KeyboardInterrupt:
            raise Interrupted(self._evaluation(points)) from None
        check_weights(problem.names, points.totals, points.computed)
        return replace(self._evaluation(points), rounding=rounding)

    def _evaluation(self, points: Points) -> Evaluation:
        data = self.problem.data
        mean, error = mean_and_error(
            points.totals.cpu().numpy(), size=data.size, population=data.population
        )
        if self.problem.weight_decay is not None:
            decay = self.decay(points.coordinates)
            mean = np.concatenate([mean, [decay, mean[0] + decay]])
            error = np.concatenate([error, [np.zeros_like(decay), error[0]]])
        mean[:, ~points.computed] = error[:, ~points.computed] = np.nan
        return Evaluation(self.names, mean, error, points.computed)
