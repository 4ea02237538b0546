"""Choose how to evaluate by timing the real work.

Every strategy must give the plain strategy's numbers on a few samples before it is timed, so a
choice can change the speed of a measurement, never its result beyond rounding. The search climbs:
plain first, alone and with a thread for every core, the variants next, then batch sizes and chunks
of the best one, while time allows. The best few and the plain strategy are then timed in turns; in
doubt the plain strategy stays.
"""

from __future__ import annotations

import time

import numpy as np

from landscape.base.progress import Progress
from landscape.objective.data.held import HeldData
from landscape.objective.strategies.choice import CHUNKED, SHARED, STRATEGIES, Choice
from landscape.objective.strategies.confirmed import to_confirm
from landscape.objective.strategies.reference import LOOK, Reference
from landscape.objective.strategies.sequential import sequential
from landscape.objective.strategies.sizes import COMPILED, alike, around, exchanged
from landscape.objective.strategies.trials import TIMED, Trials
from landscape.objective.strategies.work import Work

_CHUNK = 32  # points that batched strategies start with
_BATCH = 0.03  # seconds of a batch on a CPU beyond which smaller ones are the place to start
_WORTH_COMPILING = 300.0  # seconds of work left, of which compiling in vain costs a few percent
_SHARE = 0.03  # of the time of the best strategy so far may be spent on choosing
_TURNS = 0.015  # and on turns between the best
_GAINED = 5.0  # times more of what is gained already, up to half of that time
_MOST = 60.0  # seconds of either at most, however much work there is and however slow it goes
_CALL_BOUND = 3e-3  # seconds per batch below which stacking on a CPU can pay


def choose(
    work: Work,
    data: HeldData,
    coordinates: np.ndarray,
    *,
    seconds: float,
    strategy: str | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Choice:
    """The fastest way to measure these points.

    Args:
        work: The borrowed model and its points.
        data: The samples.
        coordinates: The points to come, shape (points, K); a few serve to try.
        seconds: Roughly what a point costs the plain strategy; see `plain_seconds`.
        strategy: Use this one and search only for its sizes; None tries all.
        batch_size: Use this one; None searches. With `strategy` given too, nothing is searched.
        progress: Told what is being tried.

    Returns:
        The choice with everything that was timed.

    Raises:
        ValueError: If the strategy is unknown, or asked for and unsuitable.
    """
    if strategy is not None and strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}; not {strategy!r}.")
    begin = time.perf_counter()
    trials = Trials(work, data, coordinates, seconds, batch_size, progress)
    start, free = batch_size or data.batch_size, batch_size is None and data.joined
    if free and not work.loan.flat.is_cuda:
        least = max(16, int(_BATCH * data.size / seconds))  # samples that take so long
        start = min(start, 1 << least.bit_length() - 1)
    first = strategy or "sequential"
    chunk = COMPILED[1] if first == "compiled" else _CHUNK if first in CHUNKED else 1
    if first == "compiled" and free:
        start = alike(data.size)
    if problem := trials.run(Choice(first, start, chunk)):
        raise ValueError(f"strategy {strategy!r} cannot be used here: {problem}.")
    if strategy is not None and batch_size is not None:
        return trials.best
    whole = trials.best.seconds * len(coordinates)

    def allowed(share: float) -> float:
        best = trials.best.seconds * len(coordinates)
        return min(share * (best + _GAINED * min(whole - best, best / 2)), _MOST)

    trials.limit = lambda: begin + allowed(_SHARE)
    if strategy is None:
        trials.share(free=free)
        size, threads = trials.best.batch_size, trials.best.threads
        per_batch = trials.best.seconds * min(start, data.size) / data.size
        for name in STRATEGIES:
            slow = per_batch > _CALL_BOUND and not work.loan.flat.is_cuda
            hopeless = (name == "stacked" and slow) or trials.best.strategy == "linear"
            if (
                name not in ("sequential", "compiled", "graphed", "streamed")
                and not hopeless
                and trials.more
            ):
                if name in CHUNKED:
                    way = trials.affordable(Choice(name, start, _CHUNK))
                else:
                    way = Choice(name, size, 1, threads if name in SHARED else 1)
                trials.run(way)
    trials.share(free=free)
    best, most = trials.best, -(-data.size // trials.best.threads)
    if best.strategy in CHUNKED and best.strategy != "compiled":
        if free and best.batch_size is not None:
            trials.climb(*exchanged(best.chunk, best.batch_size, most))
        trials.climb(
            [{"chunk": 2 * trials.best.chunk}], [{"chunk": max(1, trials.best.chunk // 2)}]
        )
    if free and best.strategy != "compiled":
        trials.climb(*around(trials.best.batch_size or start, most))
    if strategy is None and trials.best.seconds * len(coordinates) > _WORTH_COMPILING:
        trials.run(Choice("compiled", alike(data.size) if free else start, COMPILED[1]))
    return trials.in_turns(strategy or "sequential", allowed(_TURNS))


def recall(
    known: Choice,
    work: Work,
    data: HeldData,
    coordinates: np.ndarray,
    *,
    strategy: str | None = None,
    batch_size: int | None = None,
) -> Choice | None:
    """What was chosen for such work before, if it gives the plain strategy's numbers here.

    One point is looked at: once the first points are measured, one is compared on all samples. A
    file that says another strategy or batch size than the one that was asked for is not believed.
    """
    if data.joined == (known.batch_size is None):
        return None
    if strategy not in (None, known.strategy) or batch_size not in (None, known.batch_size):
        return None
    if not to_confirm(known):
        return known
    far = np.linalg.norm(coordinates, axis=1).argmax()
    return known if Reference(work, data, coordinates[[far]], batch_size).agrees(known) else None


def plain_seconds(work: Work, data: HeldData, coordinates: np.ndarray) -> float:
    """Roughly what a point costs the plain strategy, from a pass over some of the samples."""
    with sequential(work) as measure:
        for most in (2 * LOOK, TIMED):  # the first also waits for memory
            batches = data.batches(most=most)
            begin = time.perf_counter()
            measure(coordinates[:1], batches)[0, 0, 0].item()
            share = sum(count for _, count in batches) / data.size
            seconds = (time.perf_counter() - begin) / share
            if time.perf_counter() - begin > _CALL_BOUND:
                break  # it computes rather than calls: more samples tell nothing new
    return seconds
