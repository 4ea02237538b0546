"""The walk: the loss on the straight segments between consecutive recorded states."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from landscape.analysis.segment import describe_buffers
from landscape.analysis.segments import Segments
from landscape.analysis.sparing.subset import sparing
from landscape.analysis.windows import Window, bounds_of, name_of, segments_in
from landscape.base.progress import Interrupted, Progress
from landscape.base.provenance import fingerprint, provenance
from landscape.base.runs.trajectory import Trajectory
from landscape.objective.evaluation import Evaluation
from landscape.objective.objective import Objective
from landscape.objective.workers.engine import Engine, Session
from landscape.objective.workers.in_units import in_units, key_of
from landscape.results.walk import Walk

Found = dict[int, Evaluation]  # by the state in which a segment begins


def walk(
    objective: Objective,
    trajectory: Trajectory,
    *,
    windows: Sequence[Window] | None = None,
    length: int = 40,
    every: int = 1,
    points: int = 10,
    tolerance: float | None = None,
    seed: int = 0,
    units: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
    shard: tuple[int, int] = (0, 1),
) -> Walk:
    """Measure the loss between consecutive recorded states.

    Where the run recorded its batch-norm statistics and the objective's policy is ``frozen``,
    each point uses the recorded statistics, interpolated like the weights. With the policy
    ``batch`` every point uses those of its batches, as the paper does; with ``recalibrated`` they
    are estimated anew at every point, on the objective's data.

    On a subset of the data all points see the same samples; how their errors go together is kept.

    Args:
        objective: What to measure, on which data.
        trajectory: A run recorded at every step; otherwise segments span several steps.
        windows: Ranges (first, last) of optimizer steps, or ``first``, ``middle``, ``last`` for
            `length` steps there; default: all.
        length: Steps in a named window.
        every: Measure every n-th segment of those in the windows.
        points: Intervals per segment; the segment is measured at points + 1 places, both ends
            included.
        tolerance: Measure on so few samples, the same everywhere, that differences of the loss
            along a segment are known to this share of its range (error of 95 %): on nine in ten
            of up to 16 segments. How well the others keep it is `Walk.uncertainty`.
        seed: Seed of the choice of samples, with a tolerance.
        units: A folder that keeps what has been measured, unit by unit; after a crash the same
            call goes on where it stopped. Several machines may share it.
        engine: Whose workers measure, such as ``Processes(("cuda:0", "cuda:1"))``, each of which
            reads the run; None measures in this process.
        shard: (i, n): measure only the i-th of n parts (from 0). The walk then lacks the segments
            of the others, unless they are in the same `units`.

    Returns:
        The walk over all windows, in order of steps, without repetition.

    Raises:
        ValueError: If no segment lies in the windows or in the shard, a name or the tolerance is
            none, or the folder of units is of another measurement.
        RuntimeError: If workers failed three times at the same segments.
        Interrupted: On Ctrl-C; its `partial` is the walk over the segments finished until then,
            None before the first.

    Source: Xing et al. 2018, "A Walk with SGD", arXiv:1802.08770.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> task = ls.load_task("function/quadratic")
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> walk = ls.walk(objective, run, points=3)
    >>> walk.loss.shape, walk.height.shape
    ((8, 4), (8,))
    """
    if points < 2 or every < 1:
        raise ValueError(f"points must be at least 2 and every 1; got {points} and {every}.")
    bounds = bounds_of(trajectory.steps, windows, length)
    segments = _segments(trajectory, windows, bounds, every)
    measured = Segments(objective, trajectory, np.linspace(0, 1, points + 1))
    session = None if engine is None else Session(engine)
    folder = None if units is None else Path(units)
    samples: np.ndarray | None = None
    told = {} if tolerance is None else {"tolerance": tolerance, "order_seed": seed}
    told["buffers"] = describe_buffers(objective, recorded=measured.recorded)

    def measure(which: Sequence[int], some: np.ndarray | None, name: str = "") -> Found:
        """A search is quick: every part makes it for itself, and says nothing."""
        about: dict[str, Any] = {"shard": shard, "progress": progress}
        if name:
            about = {"shard": (0, 1), "progress": None}
        place = None if folder is None else folder / name
        try:
            return _evaluations(measured, which, some, told, place, engine=session, **about)
        except Interrupted as stop:
            raise Interrupted({} if name else stop.partial) from None

    def look(which: Sequence[int], some: np.ndarray | None) -> Found:
        return measure(which, some, "search-all" if some is None else f"search-{len(some)}")

    def result(found: Found) -> Walk:
        done = np.array(sorted(found))
        return _walk(
            trajectory,
            done,
            [found[segment] for segment in done.tolist()],
            alpha=measured.alpha,
            metrics=objective.names,
            windows=None if windows is None else tuple(name_of(w) for w in windows),
            bounds=None if windows is None else np.array(bounds),
            settings={**objective.on(samples).settings, **told},
            provenance=provenance(evaluation=objective.evaluation, cost=progress.cost),
        )

    found: Found = {}
    left = segments.tolist()
    with Progress(f"walk {trajectory.name}", len(left), unit="segment") as progress:
        try:
            if tolerance is not None:
                samples, found = sparing(objective, left, look, tolerance=tolerance, seed=seed)
                left = [s for s in left if s not in found]
                progress.only(len(left))
            if left:
                found |= measure(left, samples)
        except Interrupted as stop:
            found |= stop.partial
            raise Interrupted(result(found) if found else None) from None
        finally:
            if session is not None:
                session.close()
    if not found:
        raise ValueError(f"There are fewer units than shards: none is in {shard}; ask for fewer.")
    return result(found)


def _segments(
    trajectory: Trajectory,
    windows: Sequence[Window] | None,
    bounds: list[tuple[int, int]],
    every: int,
) -> np.ndarray:
    found = segments_in(trajectory.steps, bounds)[::every]
    if not len(found):
        raise ValueError(
            f"No recorded segment lies in {windows}; {trajectory.path} holds steps "
            f"{trajectory.steps[0]} to {trajectory.steps[-1]}."
        )
    return found


def _evaluations(
    measured: Segments,
    which: Sequence[int],
    some: np.ndarray | None,
    told: dict[str, Any],
    folder: Path | None,
    **about: Any,
) -> Found:
    """Segments by number, on some samples; of an interruption, those that were finished."""
    where, what = np.array(which, np.float64)[:, None], ""
    if folder is not None:
        hashed = None if some is None else fingerprint(some)
        what = json.dumps([*measured.said(which), told, hashed])
    try:
        rows = in_units(measured, where, some, key=key_of(where, what), folder=folder, **about)
    except Interrupted as stop:
        raise Interrupted(measured.evaluations(which, stop.partial)) from None
    return measured.evaluations(which, rows)


def _walk(
    trajectory: Trajectory, done: np.ndarray, parts: Sequence[Evaluation], **fields: Any
) -> Walk:
    """The walk over segments that begin in the states `done`."""
    return Walk(
        name=trajectory.name,
        optimizer=str(trajectory.run.get("optimizer", "")),
        step=trajectory.steps[done],
        next_step=trajectory.steps[done + 1],
        values=np.stack([segment.mean for segment in parts]),
        standard_error=np.stack([segment.standard_error for segment in parts]),
        covariance=np.stack([s.covariance for s in parts if s.covariance is not None]),
        **fields,
    )
