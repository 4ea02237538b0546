"""Rows of numbers measured place after place, in the shape that units and workers know."""

from __future__ import annotations

import numpy as np

from landscape.base.progress import Interrupted, Progress
from landscape.objective.evaluation import Evaluation
from landscape.objective.tuning import Tuning


class Rows:
    """What gives a row of numbers, with their errors, for a place: a segment, a state.

    A subclass says what its numbers are (`names`) and measures a `row`.

    Attributes:
        names: What the numbers are.
        tuning: How points are evaluated, where all processes should do it alike.
        reduced: Whether the numbers are of a lower precision.
    """

    names: tuple[str, ...]
    tuning: Tuning | None = None
    reduced = False

    def row(self, place: np.ndarray, samples: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Numbers and their errors at one place, on some of the samples, by index, or on all."""
        raise NotImplementedError

    def prepare(self, coordinates: np.ndarray, progress: Progress | None = None) -> None:
        """Nothing is chosen before the first row."""

    def expected(self) -> float | None:
        """Seconds that a row should cost; None where nothing was timed."""
        return None

    def __call__(
        self,
        coordinates: np.ndarray,
        samples: np.ndarray | None = None,
        *,
        progress: Progress | None = None,
        checks: int = 8,
    ) -> Evaluation:
        """Measure rows at places of shape (n, K).

        Raises:
            Interrupted: On Ctrl-C, with the rows measured until then.
        """
        shape = len(self.names), len(coordinates)
        numbers, errors = np.full(shape, np.nan), np.full(shape, np.nan)
        known = np.zeros(len(coordinates), bool)
        found = Evaluation(self.names, numbers, errors, known)
        for number, place in enumerate(coordinates):
            try:
                numbers[:, number], errors[:, number] = self.row(place, samples)
            except KeyboardInterrupt:
                raise Interrupted(found) from None
            known[number] = True
            if progress is not None:
                if (each := self.expected()) is not None:
                    progress.expect(each)
                progress.advance()
        return found
