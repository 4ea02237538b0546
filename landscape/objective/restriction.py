"""Restriction: a problem as a function of the coordinates of a family of points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from landscape.base.progress import Interrupted, Progress
from landscape.objective.covariance import covariance_of_means, measure_paired
from landscape.objective.evaluation import Evaluation, spread_over
from landscape.objective.family import Family
from landscape.objective.gradient import gradient_of
from landscape.objective.lending.interrupt import held_back
from landscape.objective.lending.standing import Standing
from landscape.objective.metrics import SUMS, Metric, check_weights, mean_and_error
from landscape.objective.policies.precision import REDUCED, arithmetic
from landscape.objective.problem import Problem
from landscape.objective.sharded import check_not_sharded, is_sharded, measure_sharded
from landscape.objective.strategies.choice import Choice
from landscape.objective.strategies.chunks import measure_chunks
from landscape.objective.strategies.confirmed import confirms, telling
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
        with self.lent() as work:
            return self.tuning.choice_for(self.problem, work, coordinates, progress)

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
        shape = (len(problem.metrics), len(coordinates), SUMS)
        totals = torch.zeros(shape, dtype=torch.float64, device=problem.device)
        computed = np.zeros(len(coordinates), bool)
        rounding: np.ndarray | None = None
        if is_sharded(problem.model):
            return self._sharded(coordinates, totals, computed, progress)
        error, again, standing = None, False, Standing(problem.metrics.values())
        try:
            with (
                held_back() as check,
                working(problem, self.family, tuning, check, whole=False) as work,
            ):
                with arithmetic(problem.precision, problem.device):
                    choice = tuning.choice_for(problem, work, coordinates, progress)
                    seconds = tuning.seconds_per_point(problem.data.size)
                    if progress is not None and seconds is not None:
                        progress.expect(seconds)
                    self._measure(work, choice, coordinates, totals, computed, progress)
                    rounding = work.making.rounding(coordinates)
                    work.rest()
                    again = tuning.draws_later(problem, work.loan, standing)
                if self.reduced and checks:
                    with arithmetic("single", problem.device):
                        error = self._spot_check(work, coordinates, totals, checks)
        except KeyboardInterrupt:
            raise Interrupted(self._evaluation(coordinates, totals, computed)) from None
        if again:
            return self(coordinates, checks=checks)
        check_weights(problem.names, totals, computed)
        found = self._evaluation(coordinates, totals, computed)
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
        check_weights(problem.names, totals, np.ones(len(coordinates), bool))
        each = values.numpy()
        covariance = covariance_of_means(each[0], population=data.population)
        found = self._evaluation(coordinates, totals, np.ones(len(coordinates), bool))
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

    def _sharded(
        self,
        coordinates: np.ndarray,
        totals: Tensor,
        computed: np.ndarray,
        progress: Progress | None,
    ) -> Evaluation:
        problem = self.problem
        data = self.tuning.batched(problem)
        try:
            with held_back() as check, arithmetic(problem.precision, problem.device):
                rounding = measure_sharded(
                    problem, self.family, data, coordinates, totals, computed,
                    check=check, progress=progress,
                )  # fmt: skip
        except KeyboardInterrupt:
            raise Interrupted(self._evaluation(coordinates, totals, computed)) from None
        check_weights(problem.names, totals, computed)
        return replace(self._evaluation(coordinates, totals, computed), rounding=rounding)

    def _measure(
        self,
        work: Work,
        choice: Choice,
        coordinates: np.ndarray,
        totals: Tensor,
        computed: np.ndarray,
        progress: Progress | None,
    ) -> None:
        """Fill in totals and the mask; which sizes fitted is remembered."""
        data = self.tuning.batched(self.problem)
        rebatch = self.problem.batch_norm == "frozen" and not work.nature.draws

        def measure(way: Choice, part: slice) -> None:
            fitted = measure_chunks(
                work,
                data,
                way,
                coordinates[part],
                totals[:, part],
                computed[part],
                rebatch=rebatch,
                progress=progress,
            )
            if (fitted.chunk, fitted.batch_size) != (way.chunk, way.batch_size):
                self.tuning.fit(way, fitted)
            if totals.is_cuda:
                torch.cuda.synchronize(totals.device)  # the time that it took may be asked for

        begin = 0
        if self.tuning.to_confirm(self.problem, choice):
            begin = min(choice.chunk, len(coordinates))
            measure(choice, slice(0, begin))
            agreed = self._agrees(work, coordinates[:begin], totals[:, :begin])
            choice = self.tuning.confirmed(self.problem, choice, agreed=agreed)
            begin = begin if agreed else 0
        promise = self.tuning.promise
        if promise is not None and promise.chosen is choice:
            first = begin

            def later(way: Choice, part: slice) -> None:
                measure(way, slice(first + part.start, first + part.stop))

            begin += promise.check(later, len(coordinates) - begin)
            if self.tuning.promise is not promise:  # memory was short
                choice = self.tuning.choice or choice
            elif promise.checked:
                choice = self.tuning.proven()
        if begin < len(coordinates):
            measure(choice, slice(begin, None))

    def _agrees(self, work: Work, coordinates: np.ndarray, totals: Tensor) -> bool:
        """Whether the plain strategy gives the same totals at one of these points."""
        if (index := telling(coordinates, totals)) is None:
            return True
        place = slice(index, index + 1)
        exact, computed = torch.zeros_like(totals[:, place]), np.zeros(1, bool)
        self._measure(work, self.tuning.plain, coordinates[place], exact, computed, None)
        return confirms(totals[:, place], exact, work.rounding)

    def _spot_check(
        self, work: Work, coordinates: np.ndarray, totals: Tensor, checks: int
    ) -> np.ndarray:
        index = spread_over(len(coordinates), checks)
        exact = torch.zeros_like(totals[:, index])
        computed = np.zeros(len(index), bool)
        self._measure(work, self.tuning.plain, coordinates[index], exact, computed, None)
        found = (totals[:, index, 0] / totals[:, index, 2] - exact[..., 0] / exact[..., 2]).abs()
        decay = np.zeros(len(self.names) - len(found))
        if len(decay):
            decay[1] = float(found[0].max())
        return np.append(found.amax(dim=1).cpu().numpy(), decay)

    def _evaluation(
        self, coordinates: np.ndarray, totals: Tensor, computed: np.ndarray
    ) -> Evaluation:
        data = self.problem.data
        mean, error = mean_and_error(
            totals.cpu().numpy(), size=data.size, population=data.population
        )
        if self.problem.weight_decay is not None:
            decay = self.decay(coordinates)
            mean = np.concatenate([mean, [decay, mean[0] + decay]])
            error = np.concatenate([error, [np.zeros_like(decay), error[0]]])
        mean[:, ~computed] = error[:, ~computed] = np.nan
        return Evaluation(self.names, mean, error, computed)
