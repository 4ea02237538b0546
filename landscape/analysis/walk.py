"""The walk: the loss on the straight segments between consecutive recorded states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from landscape.analysis.segment import describe_buffers, measured
from landscape.analysis.sparing.subset import sparing
from landscape.analysis.windows import Window, bounds_of, name_of, segments_in
from landscape.base.progress import Interrupted, Progress
from landscape.base.provenance import provenance
from landscape.results.walk import Walk

if TYPE_CHECKING:
    from landscape.base.runs.trajectory import Trajectory
    from landscape.objective.objective import Evaluation, Objective


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

    Returns:
        The walk over all windows, in order of steps, without repetition.

    Raises:
        ValueError: If no segment lies in the windows, or a name or the tolerance is none.
        Interrupted: On Ctrl-C; its `partial` is the walk over the segments finished until then.

    Source: Xing et al. 2018, "A Walk with SGD", arXiv:1802.08770.
    """
    if points < 2 or every < 1:
        raise ValueError(f"points must be at least 2 and every 1; got {points} and {every}.")
    bounds = bounds_of(trajectory.steps, windows, length)
    segments = segments_in(trajectory.steps, bounds)[::every]
    if not len(segments):
        raise ValueError(
            f"No recorded segment lies in {windows}; {trajectory.path} holds steps "
            f"{trajectory.steps[0]} to {trajectory.steps[-1]}."
        )
    alpha = np.linspace(0, 1, points + 1)
    recorded = len(trajectory.buffers_layout) > 0 and objective.batch_norm == "frozen"

    def measure(objective: Objective, s: int) -> Evaluation:
        here, there = trajectory.state(s), trajectory.state(s + 1)
        before, after = trajectory.buffers(s), trajectory.buffers(s + 1)
        ends = None if before is None or after is None else (before, after)
        return measured(
            objective, here, (there.astype(np.float64) - here)[None], alpha,
            buffers=ends if recorded else None, paired=True, progress=progress,
        )  # fmt: skip

    def result(found: list[Evaluation]) -> Walk:
        done = segments[: len(found)]
        return Walk(
            name=trajectory.name,
            optimizer=str(trajectory.run.get("optimizer", "")),
            step=trajectory.steps[done],
            next_step=trajectory.steps[done + 1],
            alpha=alpha,
            metrics=objective.names,
            values=np.stack([segment.mean for segment in found]),
            standard_error=np.stack([segment.standard_error for segment in found]),
            covariance=np.stack([s.covariance for s in found if s.covariance is not None]),
            windows=None if windows is None else tuple(name_of(w) for w in windows),
            bounds=None if windows is None else np.array(bounds),
            settings={
                **objective.settings,
                "buffers": describe_buffers(objective, recorded=recorded),
                **({} if tolerance is None else {"tolerance": tolerance, "order_seed": seed}),
            },
            provenance=provenance(evaluation=objective.evaluation, cost=progress.cost),
        )

    found: list[Evaluation] = []
    known: dict[int, Evaluation] = {}
    with Progress(f"walk {trajectory.name}", len(segments) * (points + 1)) as progress:
        try:
            if tolerance is not None:
                objective, known = sparing(
                    objective, segments.tolist(), measure,
                    tolerance=tolerance, seed=seed, progress=progress,
                )  # fmt: skip
            for s in segments.tolist():
                found.append(known[s] if s in known else measure(objective, s))
        except Interrupted:
            raise Interrupted(result(found) if found else None) from None
    return result(found)
