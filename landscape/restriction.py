"""Restriction: an objective as a function of a few coordinates, measured at many points."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from landscape.evaluation.batchnorm import norms_of
from landscape.evaluation.borrow import borrowed
from landscape.evaluation.choice import STRATEGIES, Choice
from landscape.evaluation.interrupt import held_back
from landscape.evaluation.metrics import mean_and_error
from landscape.evaluation.processes import measure_units
from landscape.evaluation.units import Units
from landscape.evaluation.work import Work
from landscape.progress import Interrupted, Progress
from landscape.provenance import fingerprint

if TYPE_CHECKING:
    from landscape.objective import Objective

_SPOT_CHECKS = 8  # points measured again in single precision


@dataclass(frozen=True)
class Evaluation:
    """Metrics at some points.

    Attributes:
        metrics: Names; the first is the loss.
        mean: Means over the data, float64, shape (metrics, points). NaN and infinities are
            what the model gave.
        standard_error: Standard errors of the means as estimates over the whole data set, same
            shape; zero when the whole set was used, NaN when unknown.
        computed: Which points were measured, shape (points,); all of them unless interrupted.
        observed_error: Largest difference to single precision at a few of the points, shape
            (metrics,); None unless the precision is lower.
    """

    metrics: tuple[str, ...]
    mean: np.ndarray
    standard_error: np.ndarray
    computed: np.ndarray
    observed_error: np.ndarray | None = None


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
        with held_back() as check, self._work(check) as work, self._arithmetic():
            return self.objective.choice_for(work, np.asarray(coordinates, np.float64))

    def __call__(self, coordinates: np.ndarray, *, progress: Progress | None = None) -> Evaluation:
        """Measure every metric at the given points.

        Args:
            coordinates: Shape (points, K).
            progress: Told of each finished point.

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
        shape = (len(objective.metrics), len(coordinates), 3)
        totals = torch.zeros(shape, dtype=torch.float64, device=objective.device)
        computed = np.zeros(len(coordinates), bool)
        error = None
        try:
            with held_back() as check, self._work(check) as work:
                with self._arithmetic():
                    choice = objective.choice_for(work, coordinates)
                    self._measure(work, choice, coordinates, totals, computed, progress)
                if objective.precision == "bfloat16":
                    error = self._spot_check(work, coordinates, totals)
        except KeyboardInterrupt:
            raise Interrupted(self._evaluation(coordinates, totals, computed)) from None
        return replace(self._evaluation(coordinates, totals, computed), observed_error=error)

    def decay(self, coordinates: np.ndarray) -> np.ndarray:
        """The metric ``weight decay`` = λ/2 ‖θ‖² at points, shape (points,); zero without any."""
        if self._squares is None:
            return np.zeros(len(coordinates))
        c = np.insert(coordinates, 0, 1.0, axis=1)
        half = (self.objective.weight_decay or 0.0) / 2
        return half * np.einsum("pi,ij,pj->p", c, self._squares, c)

    def in_units(
        self,
        coordinates: np.ndarray,
        *,
        what: str,
        folder: str | os.PathLike[str] | None = None,
        processes: int = 1,
        shard: tuple[int, int] = (0, 1),
        progress: Progress | None = None,
    ) -> Evaluation:
        """Measure unit by unit: kept in a folder, in several processes, or only a share of them.

        Args:
            coordinates: Shape (points, K).
            what: Text that says what is measured; a folder is only continued under its own.
            folder: Where finished units are kept; None uses a temporary one.
            processes: How many processes work.
            shard: (i, n): only every n-th unit, from the i-th (from 0).
            progress: Told of finished points.

        Returns:
            What is in the folder at the end; `computed` is False where other shards are missing.

        Raises:
            ValueError: If the folder belongs to another measurement, or the objective cannot be
                sent to other processes.
            RuntimeError: If a unit failed three times.
            Interrupted: On Ctrl-C, with the points measured until then.
        """
        names = self.objective.names
        key = fingerprint(coordinates, np.frombuffer(what.encode(), np.uint8))
        with tempfile.TemporaryDirectory() if folder is None else nullcontext(folder) as place:
            units = Units(place, key=key, points=len(coordinates))
            try:
                measure_units(
                    self, coordinates, units, processes=processes, shard=shard, progress=progress
                )
            except KeyboardInterrupt:
                raise Interrupted(Evaluation(names, *units.collect(len(names)))) from None
            return Evaluation(names, *units.collect(len(names)))

    def _measure(
        self,
        work: Work,
        choice: Choice,
        coordinates: np.ndarray,
        totals: Tensor,
        computed: np.ndarray,
        progress: Progress | None,
    ) -> None:
        """Fill in totals and the mask, a chunk at a time; out of memory halves what is tried."""
        chunk, batch_size = choice.chunk, choice.batch_size
        work = replace(work, threads=choice.threads)
        start = 0
        while start < len(coordinates):
            try:
                batches = self.objective.data.batches(batch_size)
                with STRATEGIES[choice.strategy](work) as measure:
                    while start < len(coordinates):
                        part = slice(start, start + chunk)
                        totals[:, part] = measure(coordinates[part], batches)
                        computed[part] = True
                        start += len(coordinates[part])
                        if progress is not None:
                            progress.advance(len(coordinates[part]))
            except torch.OutOfMemoryError:
                if chunk > 1:
                    chunk //= 2
                elif self.objective.batch_norm == "frozen" and (batch_size or 0) > 1:
                    batch_size = (batch_size or 0) // 2
                else:
                    raise

    def _arithmetic(self) -> AbstractContextManager[Any]:
        if self.objective.precision == "bfloat16":
            kind = self.objective.device.type
            return torch.autocast(kind, dtype=torch.bfloat16, cache_enabled=False)
        return nullcontext()

    def _spot_check(self, work: Work, coordinates: np.ndarray, totals: Tensor) -> np.ndarray:
        among = np.linspace(0, len(coordinates) - 1, min(_SPOT_CHECKS, len(coordinates)))
        index = np.unique(among.round().astype(int))
        exact = torch.zeros_like(totals[:, index])
        computed = np.zeros(len(index), bool)
        self._measure(work, self.objective._plain, coordinates[index], exact, computed, None)
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
        with borrowed(
            objective.model,
            objective.layout,
            objective.buffers_layout,
            device=objective.device,
            dtype=objective.dtype,
        ) as loan:
            if objective.batch_norm == "batch":
                for norm in norms_of(objective.model):
                    norm.training = True
            yield Work(
                loan,
                objective.metrics,
                self._origin,
                self._directions,
                buffers=loan.buffers.clone() if self._buffers is None else self._buffers,
                buffer_directions=self._moving,
                sample=objective.data.batches(2, most=2),
                check=check,
                rounding=torch.bfloat16 if objective.precision == "bfloat16" else objective.dtype,
                recalibration=(
                    objective.data.batches() if objective.batch_norm == "recalibrated" else None
                ),
            )

    def _held(self, array: np.ndarray) -> Tensor:
        objective = self.objective
        return torch.as_tensor(np.array(array), dtype=objective.dtype, device=objective.device)
