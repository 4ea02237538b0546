"""Segments between consecutive recorded states, measured one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from landscape.analysis.segment import along
from landscape.base.provenance import fingerprint
from landscape.base.runs.trajectory import Trajectory
from landscape.objective.evaluation import Evaluation
from landscape.objective.objective import Objective
from landscape.objective.workers.rows import Rows

State = tuple[np.ndarray, np.ndarray | None]


class Segments(Rows):
    """The loss on segments of a run, by the number of the state where each begins.

    Two states are held at a time, and what the model computes with between them.

    What errors at different places of a segment have in common stands among the errors.

    Args:
        objective: What to measure.
        trajectory: The run.
        alpha: Places on every segment, 0 to 1, shape (points,).

    Attributes:
        recorded: Whether recorded batch-norm statistics are used, interpolated like the weights.
    """

    alpha: np.ndarray
    objective: Objective

    def __init__(self, objective: Objective, trajectory: Trajectory, alpha: np.ndarray) -> None:
        self.objective, self.alpha = objective, alpha
        self._trajectory: Trajectory | None = trajectory
        self._path = Path(trajectory.path).absolute()
        # Of two vectors in single precision the difference, rounded once from double, is the same.
        self._precision = np.float64 if objective.problem.dtype == torch.float64 else np.float32
        self.recorded: bool = (
            len(trajectory.buffers_layout) > 0 and objective.batch_norm == "frozen"
        )
        places = range(len(alpha))
        self.names: tuple[str, ...] = (
            *(f"{name} {i}" for name in objective.names for i in places),
            *(f"covariance {i} {j}" for i in places for j in places),
        )
        self._read: tuple[int, State] | None = None
        self._part: tuple[np.ndarray | None, Objective] = None, objective

    def __getstate__(self) -> dict[str, Any]:
        """What workers are sent: not the open file; each reads for itself."""
        return {
            **self.__dict__,
            "_trajectory": None,
            "_read": None,
            "_part": (None, self.objective),
        }

    def row(self, place: np.ndarray, samples: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Means and zeros, standard errors and covariances of one segment."""
        number = int(place[0])
        (here, before), (there, after) = self._state(number), self._state(number + 1)
        ends = None if before is None or after is None else (before, after)
        direction = np.subtract(there, here, dtype=self._precision)[None]
        at, coordinates = along(self._on(samples), here, direction, ends)
        found = at.paired(coordinates(self.alpha))
        assert found.covariance is not None
        covariance = found.covariance.ravel()
        return (
            np.concatenate([found.mean.ravel(), np.zeros_like(covariance)]),
            np.concatenate([found.standard_error.ravel(), covariance]),
        )

    def expected(self) -> float | None:
        """Seconds that a segment should cost."""
        each = self.objective.seconds_per_point
        return None if each is None else each * len(self.alpha)

    def evaluations(self, which: Sequence[int], rows: Evaluation) -> dict[int, Evaluation]:
        """Those of some segments that were measured, from their rows."""
        places, names = len(self.alpha), self.objective.names
        size = len(names) * places
        found = {}
        for number in np.flatnonzero(rows.computed).tolist():
            mean, error = rows.mean[:, number], rows.standard_error[:, number]
            found[which[number]] = Evaluation(
                names,
                mean[:size].reshape(len(names), places),
                error[:size].reshape(len(names), places),
                np.ones(places, bool),
                covariance=error[size:].reshape(places, places),
            )
        return found

    def said(self, numbers: Sequence[int]) -> list[Any]:
        """What tells the segments of one measurement from those of another."""
        states = (fingerprint(self._state(numbers[i])[0]) for i in (0, len(numbers) // 2, -1))
        return ["segments", self.objective.settings, self.alpha.tolist(), *states]

    def _on(self, samples: np.ndarray | None) -> Objective:
        known = self._part[0]
        if samples is None:
            return self.objective
        if known is None or not np.array_equal(known, samples):
            self._part = samples, self.objective.on(samples)
        return self._part[1]

    def _state(self, number: int) -> State:
        """A state and its statistics; that in which the last segment ended is still known."""
        if self._read is None or self._read[0] != number:
            self._trajectory = self._trajectory or Trajectory(self._path)
            buffers = self._trajectory.buffers(number) if self.recorded else None
            self._read = number, (self._trajectory.state(number), buffers)
        return self._read[1]
