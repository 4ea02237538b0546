"""Rows of numbers measured point by point, in resumable units, here or by the workers of an engine.

`landscape.objective` measures metrics at points; this lets anything that gives a row of numbers
for a point use the same units and workers: killed ones are started again, finished units stay.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from landscape.base.progress import Interrupted, Progress
from landscape.base.provenance import fingerprint
from landscape.objective.evaluation import Evaluation
from landscape.objective.workers.engine import Engine, measure_units
from landscape.objective.workers.units import Units

if TYPE_CHECKING:
    from landscape.objective.objective import Objective


class PointByPoint(Protocol):
    """What gives a row of numbers for a point; pickled and sent to the workers."""

    names: tuple[str, ...]
    objective: Objective

    def begin(self) -> None:
        """Forget what was learned from points before: a unit starts."""
        ...

    def row(self, point: np.ndarray) -> Sequence[float]:
        """The numbers at one point."""
        ...


class Rows:
    """A `PointByPoint` in the shape that units and workers know: points -> means."""

    def __init__(self, measured: PointByPoint) -> None:
        self.measured, self.objective = measured, measured.objective

    def prepare(self, coordinates: np.ndarray) -> None:
        """Nothing has to be chosen before the first point."""

    def __call__(
        self, coordinates: np.ndarray, *, progress: Progress | None = None, checks: int = 0
    ) -> Evaluation:
        """Measure a unit, point after point."""
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
        folder: Where finished units are kept; None uses a temporary one.
        engine: Whose workers measure; None measures in this process.
        shard: (i, n): only every n-th unit, from the i-th (from 0).

    Returns:
        Rows, shape (names, points); which points were measured; and the cost.

    Raises:
        ValueError: If the folder belongs to another measurement.
        RuntimeError: If a unit failed three times.
        Interrupted: On Ctrl-C, with the first two of these.
    """
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(f"shard is (i, n) with 0 ≤ i < n; got {shard}.")
    key = fingerprint(coordinates, np.frombuffer(what.encode(), np.uint8))
    rows: Any = Rows(measured)
    with tempfile.TemporaryDirectory() if folder is None else nullcontext(folder) as place:
        units = Units(place, key=key, points=len(coordinates))
        with Progress(name, len(coordinates)) as progress:
            try:
                measure_units(
                    rows, coordinates, units, engine=engine, shard=shard, progress=progress
                )
            except KeyboardInterrupt:
                values, _, computed = units.collect(len(measured.names))
                raise Interrupted((values, computed)) from None
        values, _, computed = units.collect(len(measured.names))
    return values, computed, progress.cost
