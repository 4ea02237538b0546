"""Measure unit by unit, with what is finished kept in a folder."""

from __future__ import annotations

import os
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from landscape.base.progress import Interrupted, Progress
from landscape.base.provenance import fingerprint
from landscape.objective.evaluation import Evaluation, spread_over
from landscape.objective.policies.precision import REDUCED
from landscape.objective.workers.engine import Engine, measure_units
from landscape.objective.workers.units import Units

if TYPE_CHECKING:
    from landscape.objective.restriction import Restriction


def in_units(
    restriction: Restriction,
    coordinates: np.ndarray,
    *,
    what: str,
    folder: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
    shard: tuple[int, int] = (0, 1),
    progress: Progress | None = None,
) -> Evaluation:
    """Measure unit by unit: kept in a folder, by several workers, or only a share of them.

    Args:
        restriction: What to measure.
        coordinates: Shape (points, K).
        what: Text that says what is measured; a folder is only continued under its own.
        folder: Where finished units are kept; None uses a temporary one.
        engine: Whose workers measure; None measures in this process.
        shard: (i, n): only every n-th unit, from the i-th (from 0).
        progress: Told of finished points.

    Returns:
        What is in the folder at the end; `computed` is False where other shards are missing.

    Raises:
        ValueError: If the folder belongs to another measurement, or the objective cannot be
            sent to the workers.
        RuntimeError: If a unit failed three times.
        Interrupted: On Ctrl-C, with the points measured until then.
    """
    objective = restriction.objective
    names = objective.names
    key = fingerprint(coordinates, np.frombuffer(what.encode(), np.uint8))
    with tempfile.TemporaryDirectory() if folder is None else nullcontext(folder) as place:
        units = Units(place, key=key, points=len(coordinates))
        try:
            _check_same(restriction, units, coordinates)
            measure_units(
                restriction, coordinates, units, engine=engine, shard=shard, progress=progress
            )
        except KeyboardInterrupt:
            raise Interrupted(Evaluation(names, *units.collect(len(names)))) from None
        found = Evaluation(names, *units.collect(len(names)), shrunk=objective.shrunk)
    if objective.precision not in REDUCED:
        return found
    checked = restriction(coordinates[spread_over(len(coordinates), 8)])
    return replace(found, observed_error=checked.observed_error)


def _check_same(restriction: Restriction, units: Units, coordinates: np.ndarray) -> None:
    """Refuse units in which a point has another value than it has now."""
    objective = restriction.objective
    before, _, computed = units.collect(len(objective.names))
    again = np.flatnonzero(computed)[:1]
    if not len(again):
        return
    # Ways of evaluating agree to 1e-4, reduced precisions to less; another loss does not.
    close = 0.2 if objective.precision in REDUCED else 1e-3
    now = restriction(coordinates[again]).mean
    if not np.allclose(now, before[:, again], close, equal_nan=True):
        raise ValueError(
            f"{units.folder} holds units of another loss or model: a point measured again has "
            "another value. Give an empty folder, or delete that one."
        )
