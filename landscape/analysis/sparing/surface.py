"""A surface within a tolerance, or for a budget: what `landscape.loss_surface` does for either.

What is stated, and how it is known (kept as `Surface.accuracy`):

    tolerance, seed   what was asked; the tolerance is None for a budget, and holds for the first
                      metric
    span              range of every metric: 5 to 95 % of its values
    stated            for every metric, the error that 95 % of the points keep, relative to its
                      range: the larger of what was estimated everywhere and of what was observed
    scouts            samples that every point was looked at with, to find what lies between
                      measured points; 0 where data is small or batches cannot be cut
    check             the error observed at random points on all samples, which nothing was fitted
                      to or chosen by: how many, where (index in the flat surface), their values
                      (None: not finite), and the median, 95 % and largest error of every metric;
                      `beyond`, the share of the points that can be off by more than the largest,
                      with 95 % confidence: 1 - (0.05/2^k)^(1/n) for n points none of which is,
                      in the k-th check
    attempts          how many checks there were; after each that failed, two thirds of the error
                      were allowed, other points drawn, and from the second on everything begun
                      with more samples and a finer grid
    reached           whether the last check kept the tolerance
    decay             how large the interpolation's error is relative to what it is told from:
                      the scouts' own, or that of the level before
    passes, full      passes over all samples that were measured (the checks' included), and those
                      of the full surface
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from landscape.analysis.sparing.observed_error import POINTS, Check, check
from landscape.analysis.sparing.refinement import Filled, Refinement
from landscape.analysis.sparing.rounds import Rounds
from landscape.analysis.sparing.samples import Samples
from landscape.base.progress import Interrupted, Progress
from landscape.objective.restriction import Restriction
from landscape.objective.workers.engine import Engine
from landscape.results.curves import Z
from landscape.results.surface import Surface

_ATTEMPTS = 12
_COARSEST = 0.16  # the tolerance with which a budget begins
_STRICTER = 1.5  # after every check that failed
_UNTRUSTED = 3.0  # times the tolerance


def measure_sparingly(
    at: Restriction,
    blank: Surface,
    grid: np.ndarray,
    *,
    tolerance: float | None,
    budget: float | None,
    seed: int,
    shard: tuple[int, int] = (0, 1),
    resume: Surface | None = None,
    units: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
) -> Surface:
    """Fill in a blank surface within a tolerance or a budget; arguments as for `loss_surface`.

    A shard's surface is unfinished. It holds its share of the points that are sure to be needed;
    what else is needed, and the check, are measured when the merged shards are resumed.

    Raises:
        ValueError: If both or neither of the two are given, or they make no sense.
        Interrupted: On Ctrl-C; `partial` is the unfinished surface.
    """
    if (tolerance is None) == (budget is None):
        raise ValueError("Give a tolerance or a budget, not both.")
    if tolerance is not None and not 0 < tolerance < 1:
        raise ValueError(f"tolerance must be between 0 and 1, a share; got {tolerance}.")
    if budget is not None and shard != (0, 1):
        raise ValueError("A budget is for the whole surface: give shards a tolerance.")
    if budget is not None and budget < 2 * POINTS:
        raise ValueError(f"budget must be at least {2 * POINTS} passes; got {budget}.")
    asked = {"tolerance": tolerance} if budget is None else {"budget": budget}
    blank = replace(blank, settings={**blank.settings, **asked, "order_seed": seed})
    shape = blank.computed.shape
    with Progress("surface", blank.computed.size, unit="pass") as progress:
        samples = Samples(
            at, grid, seed=seed, what=blank.measurement, units=units, engine=engine,
            progress=progress,
        )  # fmt: skip
        limit = None if budget is None else int((budget - POINTS) * samples.size)
        rounds = Rounds(samples, len(grid), limit=limit)
        refinement = Refinement(rounds, shape, metrics=len(blank.metrics))
        try:
            if resume is not None and resume.moments is not None and not resume.differences(blank):
                rounds.restore(np.array(resume.samples).ravel(), resume.moments)
            if tolerance is not None and shard != (0, 1):
                refinement.part(tolerance, shard)
                return _unfinished(blank, rounds)
            filled, found, attempts = _measure(refinement, rounds, tolerance, seed)
        except Interrupted:
            raise Interrupted(_unfinished(blank, rounds)) from None
        finally:
            samples.close()
    return _finished(blank, samples, rounds, filled, found, tolerance, attempts, at)


def _measure(
    refinement: Refinement, rounds: Rounds, tolerance: float | None, seed: int
) -> tuple[Filled, Check, int]:
    rng = np.random.default_rng([seed, 1])
    if tolerance is None:
        allowed = _COARSEST
        filled = refinement.fill(allowed)
        while not rounds.short and rounds.count.min() < rounds.size:
            allowed /= 2
            filled = refinement.fill(allowed)
        rounds.limit = None
        return filled, check(filled, rounds, tolerance=math.inf, rng=rng), 1
    allowed, attempt = tolerance, 1
    while True:
        filled = refinement.fill(allowed)
        left = np.flatnonzero(rounds.count < rounds.size)
        if len(left) <= 2 * POINTS:  # to measure them all is hardly more than to check
            rounds.finish(left)
            filled = refinement.fill(allowed)
        found = check(filled, rounds, tolerance=tolerance, rng=rng)
        if found.passed or attempt == _ATTEMPTS:
            return filled, found, attempt
        rounds.adopt(found.points, *found.moments)
        if attempt > 1:  # the estimates that a stricter tolerance goes by are themselves wrong
            rounds.deepen()
            refinement.full += 1
        allowed, attempt = allowed / _STRICTER, attempt + 1


def _told(found: Check, checks: Sequence[Any], attempts: int) -> dict[str, Any]:
    """What comparing with all samples at random points found."""
    names = ("median", "95 %", "largest")
    return {
        "points": len(found.points),
        "at": found.points.tolist(),
        "values": [[_number(v) for v in row] for row in found.values],
        "beyond": found.beyond(attempts),
        **{
            name: [_number(v) for v in column]
            for name, column in zip(names, zip(*checks, strict=True), strict=True)
        },
    }


def _finished(
    blank: Surface,
    samples: Samples,
    rounds: Rounds,
    filled: Filled,
    found: Check,
    tolerance: float | None,
    attempts: int,
    at: Restriction,
) -> Surface:
    points = np.arange(rounds.count.size)
    _, deviation = samples.metrics(points, rounds.mean, rounds.m2, rounds.count)
    # All samples may be a part of more: that part's error is on top.
    held = samples.standard_error(deviation, np.full(len(points), samples.size))
    held = held.reshape(filled.doubt.shape)
    for row in held:  # what is interpolated is no better known than what it rests on
        row[~filled.measured] = np.median(row[filled.measured]) if filled.measured.any() else 0
    known = np.hypot(filled.doubt / Z, held)
    estimated = ~filled.measured & ~np.isfinite(filled.values[0])
    checks = [found.quantiles(m) for m in range(len(blank.metrics))]
    inexact = (rounds.count < rounds.size).reshape(filled.measured.shape)
    error = filled.error.copy()
    for row, (_, high, _), span in zip(error, checks, filled.span, strict=True):
        row[inexact] = np.maximum(row[inexact], high * span)  # as was observed
    relative = error[0] / filled.scale[0]
    with np.errstate(invalid="ignore"):
        stated = [
            float(max(np.quantile(row, 0.95) / span, high))
            for row, (_, high, _), span in zip(error, checks, filled.span, strict=True)
        ]
    allowed = tolerance or max(stated[0], 1e-3)
    reached = bool(found.passed) and not rounds.short
    trusted = ~estimated & (relative <= _UNTRUSTED * allowed)
    if tolerance is not None and not reached:
        trusted &= ~inexact
    accuracy: dict[str, Any] = {
        "tolerance": tolerance,
        "seed": blank.settings["order_seed"],
        "span": [float(v) for v in filled.span],
        "stated": [_number(v) for v in stated],
        "check": _told(found, checks, attempts),
        "attempts": attempts,
        "reached": reached,
        "decay": filled.decay,
        "scouts": rounds.scouts,
        "passes": rounds.passes,
        "full": int(rounds.count.size),
    }
    return replace(
        blank,
        values=filled.values,
        standard_error=known,
        computed=filled.measured | ~np.isnan(filled.values[0]),
        measured=filled.measured,
        samples=np.where(filled.measured, rounds.count.reshape(filled.measured.shape), 0),
        error=error,
        trusted=trusted,
        accuracy=accuracy,
        provenance={**blank.provenance, "evaluation": at.tuning.evaluation},
    )


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _unfinished(blank: Surface, rounds: Rounds) -> Surface:
    shape = blank.computed.shape
    known = rounds.measured
    values = np.full((len(blank.metrics), known.size), np.nan)
    values[:, known] = rounds.known(np.flatnonzero(known))[0]
    return replace(
        blank,
        values=values.reshape(blank.values.shape),
        computed=known.reshape(shape),
        measured=known.reshape(shape),
        samples=rounds.count.reshape(shape),
        moments=rounds.state.reshape(*rounds.state.shape[:2], *shape),
    )
