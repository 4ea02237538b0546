"""Rows of numbers measured point by point, in resumable units, here or by the workers of an engine.

`landscape.objective` measures metrics at points; this lets anything that gives a row of numbers
for a point use the same units and workers: killed ones are started again, finished units stay.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from landscape.base.progress import Interrupted, Progress
from landscape.objective.evaluation import Evaluation
from landscape.objective.workers.engine import Engine
from landscape.objective.workers.in_units import in_units, key_of


class PointByPoint(Protocol):
    """What gives a row of numbers for a point; pickled and sent to the workers."""

    names: tuple[str, ...]

    def begin(self) -> None:
        """Forget what was learned from points before: a unit starts."""
        ...

    def row(self, point: np.ndarray) -> Sequence[float]:
        """The numbers at one point."""
        ...


class Rows:
    """A `PointByPoint` in the shape that units and workers know: points -> means."""

    reduced: bool
    tuning: None
    measured: PointByPoint
    names: tuple[str, ...]

    tuning, reduced = None, False

    def __init__(self, measured: PointByPoint) -> None:
        self.measured, self.names = measured, measured.names

    def prepare(self, coordinates: np.ndarray, progress: Progress | None = None) -> None:
        """Nothing has to be chosen before the first point."""

    def __call__(
        self,
        coordinates: np.ndarray,
        samples: np.ndarray | None = None,
        *,
        progress: Progress | None = None,
        checks: int = 0,
    ) -> Evaluation:
        """Measure a unit, point after point, on all samples."""
        self.measured.begin()
        rows = np.full((len(self.measured.names), len(coordinates)), np.nan)
        for place, point in enumerate(coordinates):
            rows[:, place] = self.measured.row(point)
            if progress is not None:
                progress.advance()
        known = np.ones(len(coordinates), bool)
        return Evaluation(self.measured.names, rows, np.zeros_like(rows), known)


def measured_rows(
    measured: PointByPoint,
    coordinates: np.ndarray,
    *,
    what: str,
    name: str,
    folder: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
    shard: tuple[int, int] = (0, 1),
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Measure a row at every point.

    Args:
        measured: What gives a row.
        coordinates: Shape (points, K).
        what: Text that says what is measured; a folder is only continued under its own.
        name: What a progress bar calls it.
        folder: Where finished units are kept; None keeps them in memory.
        engine: Whose workers measure; None measures in this process.
        shard: (i, n): only every n-th unit, from the i-th (from 0).

    Returns:
        Rows, shape (names, points); which points were measured; and the cost.

    Raises:
        ValueError: If the folder belongs to another measurement.
        RuntimeError: If a unit failed three times.
        Interrupted: On Ctrl-C, with the first two of these.
    """
    with Progress(name, len(coordinates)) as progress:
        try:
            found = in_units(
                Rows(measured), coordinates, key=key_of(coordinates, what), folder=folder,
                engine=engine, shard=shard, progress=progress, always=True, check=False,
            )  # fmt: skip
        except Interrupted as stop:
            raise Interrupted((stop.partial.mean, stop.partial.computed)) from None
    return found.mean, found.computed, progress.cost
