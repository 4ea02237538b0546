"""Restriction: an objective as a function of a few coordinates, measured at many points."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from landscape.base.progress import Interrupted, Progress
from landscape.objective.covariance import covariance_of_means, measure_paired
from landscape.objective.evaluation import Evaluation, spread_over
from landscape.objective.gradient import gradient_of
from landscape.objective.inspection.guarded import guard
from landscape.objective.lending.interrupt import held_back
from landscape.objective.lending.loan import Loan, borrowed
from landscape.objective.lending.reach import left_as_found
from landscape.objective.lending.standing import Standing
from landscape.objective.metrics import SUMS, Metric, check_weights, mean_and_error
from landscape.objective.policies.batchnorm import norms_of
from landscape.objective.policies.precision import REDUCED, arithmetic
from landscape.objective.second_order.hessian import Hessian
from landscape.objective.second_order.hessian_at import hessian_of
from landscape.objective.strategies.choice import Choice
from landscape.objective.strategies.chunks import measure_chunks
from landscape.objective.strategies.work import Work
from landscape.objective.workers.in_units import in_units

if TYPE_CHECKING:
    from landscape.objective.objective import Objective


class Restriction:
    """An objective as a function of a few coordinates; made by `Objective.restrict`."""

    def __init__(
        self,
        objective: Objective,
        origin: np.ndarray,
        directions: np.ndarray,
        buffers: np.ndarray | None = None,
        buffer_directions: np.ndarray | None = None,
    ) -> None:
        size = objective.layout.size
        if origin.shape != (size,) or directions.ndim != 2 or directions.shape[1] != size:
            raise ValueError(
                f"The model has {size} trainable parameters; the origin has shape {origin.shape} "
                f"and the directions {directions.shape}. They belong to another model."
            )
        if buffers is not None and buffers.shape != (objective.buffers_layout.size,):
            raise ValueError(
                f"The model has {objective.buffers_layout.size} buffer values; got {buffers.shape}."
            )
        moving = (len(directions), objective.buffers_layout.size)
        if buffer_directions is not None and buffer_directions.shape != moving:
            raise ValueError(
                f"buffer_directions have shape {buffer_directions.shape}; expected {moving}."
            )
        self.objective = objective
        self._origin = self._held(origin)
        self._directions = self._held(directions)
        self._buffers = None if buffers is None else self._held(buffers)
        self._moving = None if buffer_directions is None else self._held(buffer_directions)
        self._squares: np.ndarray | None = None
        if objective.weight_decay is not None:
            span = np.concatenate([origin[None], directions]).astype(np.float64)
            self._squares = span @ span.T

    def prepare(self, coordinates: np.ndarray) -> Choice:
        """Choose how to evaluate these points now, rather than when they are first measured."""
        kind = arithmetic(self.objective.precision, self.objective.device)
        with held_back() as check, self._work(check) as work, kind:
            return self.objective.choice_for(work, np.asarray(coordinates, np.float64))

    def __call__(
        self, coordinates: np.ndarray, *, progress: Progress | None = None, checks: int = 8
    ) -> Evaluation:
        """Measure every metric at the given points.

        Args:
            coordinates: Shape (points, K).
            progress: Told of each finished point.
            checks: With a lower precision, how many points are measured in single precision too.

        Returns:
            One value per metric and point.

        Raises:
            Interrupted: On Ctrl-C, with the points measured until then.
        """
        objective = self.objective
        coordinates = np.asarray(coordinates, np.float64)
        if coordinates.ndim != 2 or coordinates.shape[1] != len(self._directions):
            raise ValueError(
                f"coordinates have shape {coordinates.shape}; expected (points, "
                f"{len(self._directions)})."
            )
        shape = (len(objective.metrics), len(coordinates), SUMS)
        totals = torch.zeros(shape, dtype=torch.float64, device=objective.device)
        computed = np.zeros(len(coordinates), bool)
        error, again, standing = None, False, Standing(objective.metrics.values())
        try:
            with held_back() as check, self._work(check) as work:
                with arithmetic(objective.precision, objective.device):
                    choice = objective.choice_for(work, coordinates)
                    if progress is not None and objective.seconds_per_point is not None:
                        progress.expect(objective.seconds_per_point)
                    self._measure(work, choice, coordinates, totals, computed, progress)
                    work.place([0.0] * len(self._directions))
                    again = objective.draws_later(work.loan, standing)
                if objective.precision in REDUCED and checks:
                    with arithmetic("single", objective.device):
                        error = self._spot_check(work, coordinates, totals, checks)
        except KeyboardInterrupt:
            raise Interrupted(self._evaluation(coordinates, totals, computed)) from None
        if again:
            return self(coordinates, checks=checks)
        check_weights(objective.names, totals, computed)
        found = self._evaluation(coordinates, totals, computed)
        return replace(found, observed_error=error, shrunk=objective.shrunk)

    def paired(self, coordinates: np.ndarray, *, progress: Progress | None = None) -> Evaluation:
        """Like a call, with the covariances of the loss that common samples make.

        On the whole data set they are zero. On a subset every point runs by the plain strategy.
        """
        objective = self.objective
        coordinates = np.asarray(coordinates, np.float64)
        if objective.data.size >= objective.data.population:
            found = self(coordinates, progress=progress)
            return replace(found, covariance=np.zeros([len(coordinates)] * 2))
        try:
            with (
                held_back() as check,
                self._work(check) as work,
                arithmetic(objective.precision, objective.device),
            ):
                objective.check_repeatable(work)
                totals, values = measure_paired(work, coordinates, objective.data.batches())
        except KeyboardInterrupt:
            raise Interrupted from None
        if progress is not None:
            progress.advance(len(coordinates))
        check_weights(objective.names, totals, np.ones(len(coordinates), bool))
        covariance = covariance_of_means(values.numpy(), population=objective.data.population)
        found = self._evaluation(coordinates, totals, np.ones(len(coordinates), bool))
        error = found.standard_error.copy()
        error[[0] if objective.weight_decay is None else [0, -1]] = np.sqrt(np.diag(covariance))
        return replace(found, standard_error=error, covariance=covariance)

    in_units = in_units

    def told(self, mean: np.ndarray, standard_error: np.ndarray) -> Evaluation:
        """Numbers that were put together elsewhere, as a call would return them."""
        return Evaluation(self.objective.names, mean, standard_error, np.ones(mean.shape[1], bool))

    def gradient(self, point: np.ndarray) -> np.ndarray:
        """∂ loss / ∂ θ, over all parameters, at one point with coordinates of shape (K,)."""
        objective = self.objective
        with (
            held_back() as check,
            self._work(check) as work,
            arithmetic(objective.precision, objective.device),
        ):
            objective.check_repeatable(work)
            work.place(np.asarray(point, np.float64).tolist())
            return gradient_of(work, objective.data.batches()).cpu().numpy()

    def hessian(
        self, point: np.ndarray, *, tensors: str | None = None
    ) -> AbstractContextManager[Hessian]:
        """∂² loss / ∂ θ² at one point with coordinates of shape (K,); see `Objective.hessian`."""
        return hessian_of(self, point, tensors=tensors)

    def decay(self, coordinates: np.ndarray) -> np.ndarray:
        """The metric ``weight decay`` = λ/2 ‖θ‖² at points, shape (points,); zero without any."""
        if self._squares is None:
            return np.zeros(len(coordinates))
        c = np.insert(coordinates, 0, 1.0, axis=1)
        half = (self.objective.weight_decay or 0.0) / 2
        return half * np.einsum("pi,ij,pj->p", c, self._squares, c)

    def _measure(
        self,
        work: Work,
        choice: Choice,
        coordinates: np.ndarray,
        totals: Tensor,
        computed: np.ndarray,
        progress: Progress | None,
    ) -> None:
        """Fill in totals and the mask; the objective remembers which sizes fitted."""
        fitted = measure_chunks(
            work,
            self.objective.data,
            choice,
            coordinates,
            totals,
            computed,
            rebatch=self.objective.batch_norm == "frozen" and not work.nature.draws,
            progress=progress,
        )
        if (fitted.chunk, fitted.batch_size) != (choice.chunk, choice.batch_size):
            self.objective.fit(choice, fitted)

    def _spot_check(
        self, work: Work, coordinates: np.ndarray, totals: Tensor, checks: int
    ) -> np.ndarray:
        index = spread_over(len(coordinates), checks)
        exact = torch.zeros_like(totals[:, index])
        computed = np.zeros(len(index), bool)
        self._measure(work, self.objective.plain, coordinates[index], exact, computed, None)
        found = (totals[:, index, 0] / totals[:, index, 2] - exact[..., 0] / exact[..., 2]).abs()
        decay = np.zeros(len(self.objective.names) - len(found))
        if len(decay):
            decay[1] = float(found[0].max())
        return np.append(found.amax(dim=1).cpu().numpy(), decay)

    def _evaluation(
        self, coordinates: np.ndarray, totals: Tensor, computed: np.ndarray
    ) -> Evaluation:
        data = self.objective.data
        mean, error = mean_and_error(
            totals.cpu().numpy(), size=data.size, population=data.population
        )
        if self.objective.weight_decay is not None:
            decay = self.decay(coordinates)
            mean = np.concatenate([mean, [decay, mean[0] + decay]])
            error = np.concatenate([error, [np.zeros_like(decay), error[0]]])
        mean[:, ~computed] = error[:, ~computed] = np.nan
        return Evaluation(self.objective.names, mean, error, computed)

    @contextmanager
    def _work(self, check: Callable[[], None]) -> Iterator[Work]:
        objective = self.objective
        with (
            borrowed(
                objective.model,
                objective.layout,
                objective.buffers_layout,
                device=objective.device,
                dtype=objective.dtype,
                native=objective.precision == "native",
            ) as loan,
            left_as_found(objective.metrics.values()),
            self._guarded(loan) as (metrics, begin),
        ):
            yield Work(
                loan,
                metrics,
                self._origin,
                self._directions,
                buffers=loan.buffers.clone() if self._buffers is None else self._buffers,
                buffer_directions=self._moving,
                # A batch size that was asked for may be the only one that the loss can take.
                sample=objective.data.batches(objective._batch_size or 2, most=2),
                check=check,
                rounding=objective.rounding,
                programs=objective.programs,
                recalibration=(
                    objective.data.batches() if objective.batch_norm == "recalibrated" else None
                ),
                nature=objective.nature(loan),
                begin=begin,
            )

    @contextmanager
    def _guarded(self, loan: Loan) -> Iterator[tuple[Mapping[str, Metric], Callable[[int], None]]]:
        objective = self.objective
        if objective.batch_norm == "batch":
            for norm in norms_of(objective.model):
                norm.training = True
        nature, seed = objective.nature(loan), objective.common_random_numbers
        with guard(objective.model, objective.metrics, nature, seed=seed or 0) as guarded:
            yield guarded

    def _held(self, array: np.ndarray) -> Tensor:
        objective = self.objective
        return torch.as_tensor(np.array(array), dtype=objective.dtype, device=objective.device)
