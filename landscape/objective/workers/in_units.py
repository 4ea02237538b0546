"""Measure unit by unit, with what is finished kept in a folder."""

from __future__ import annotations

import os

import numpy as np

from landscape.base.progress import Interrupted, Progress
from landscape.base.provenance import fingerprint
from landscape.objective.evaluation import Evaluation
from landscape.objective.workers.engine import Engine, Measured, closeness, measure_units
from landscape.objective.workers.units import HeldUnits, Units


def in_units(
    measured: Measured,
    coordinates: np.ndarray,
    samples: np.ndarray | None = None,
    *,
    key: str,
    folder: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
    shard: tuple[int, int] = (0, 1),
    progress: Progress | None = None,
    always: bool = False,
    check: bool = True,
) -> Evaluation:
    """Measure unit by unit: kept in a folder, by several workers, or only a share of them.

    Args:
        measured: What to measure.
        coordinates: Shape (points, K).
        samples: On which samples, by index; None: on all.
        key: What is measured, see `key_of`; a folder is only continued under its own.
        folder: Where finished units are kept; None keeps them in memory.
        engine: Whose workers measure; None measures in this process.
        shard: (i, n): only every n-th unit, from the i-th (from 0).
        progress: Told of finished points.
        always: Unit by unit even in this process and in memory, where else all is one.
        check: Whether a point of a folder that is continued is measured again and compared.

    Returns:
        What is known at the end; `computed` is False where other shards are missing.

    Raises:
        ValueError: If the folder belongs to another measurement, `measured` cannot be sent to the
            workers, or the shard is none.
        RuntimeError: If a unit failed three times.
        Interrupted: On Ctrl-C, with the points measured until then.
    """
    check_shard(shard)
    if folder is None and engine is None and shard == (0, 1) and not always:
        return measured(coordinates, samples, progress=progress)
    names, points = measured.names, len(coordinates)
    units = HeldUnits(points) if folder is None else Units(folder, key=key, points=points)
    try:
        if check:
            _check_same(measured, units, coordinates, samples)
        measure_units(
            measured, coordinates, samples, units, engine=engine, shard=shard, progress=progress
        )
    except KeyboardInterrupt:
        raise Interrupted(Evaluation(names, *units.collect(len(names)))) from None
    shrunk = "" if measured.tuning is None else measured.tuning.shrunk
    return Evaluation(names, *units.collect(len(names)), shrunk=shrunk)


def key_of(coordinates: np.ndarray, what: str) -> str:
    """What units are of: points, and a text that says what is measured there."""
    return fingerprint(coordinates, np.frombuffer(what.encode(), np.uint8))


def check_shard(shard: tuple[int, int]) -> None:
    """Refuse a shard that is none.

    Raises:
        ValueError: If it is not (i, n) with 0 ≤ i < n.
    """
    if not 0 <= shard[0] < shard[1]:
        raise ValueError(f"shard is (i, n) with 0 ≤ i < n; got {shard}.")


def _check_same(
    measured: Measured,
    units: Units | HeldUnits,
    coordinates: np.ndarray,
    samples: np.ndarray | None,
) -> None:
    """Refuse units in which a point has another value than it has now."""
    before, _, computed = units.collect(len(measured.names))
    again = np.flatnonzero(computed)[:1]
    if not len(again):
        return
    # Ways of evaluating agree to 1e-4, reduced precisions to less; another loss does not.
    now = measured(coordinates[again], samples, checks=0).mean
    if not np.allclose(now, before[:, again], closeness(measured), equal_nan=True):
        raise ValueError(
            f"{units.folder} holds units of another loss or model: a point measured again has "
            "another value. Give an empty folder, or delete that one."
        )
