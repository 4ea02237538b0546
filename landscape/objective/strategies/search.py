"""Choose how to evaluate by timing the real work.

Every strategy must give the plain strategy's numbers on a few samples before it is timed, so a
choice can change the speed of a measurement, never its result beyond rounding. The search climbs:
plain first, the variants next, then batch sizes and chunks of the best one, while time allows.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from landscape.objective.data.held import HeldData
from landscape.objective.metrics import agree
from landscape.objective.strategies.choice import CHUNKED, SHARED, STRATEGIES, Choice
from landscape.objective.strategies.memory import out_of_memory, points_that_fit
from landscape.objective.strategies.sequential import sequential
from landscape.objective.strategies.work import UnsuitableError, Work

_LOOK = 4  # samples in each of two batches on which strategies must agree
_CHUNK = 32  # points that batched strategies start with
_TIMED = 512  # samples on which they are timed where that is quick
_BATCH = 0.03  # seconds of a batch on a CPU beyond which smaller ones are the place to start
_LARGE = 1024  # and with threads for batched linear layers
_LONG_ENOUGH = 0.01  # seconds that a trial lasts at least
_LONG = 0.03  # seconds of a pass over the timed samples that are too many
_COMPILED = (64, 8)  # samples and points of the compiled program that is tried
_WORTH_COMPILING = 300.0  # seconds of work left, of which compiling in vain costs a few percent
_SHARE = 0.04  # of the time of the plain strategy may be spent on choosing
_CLIMB = 0.035  # of the passes to come may be spent on trying another size
_PROBLEMS = (  # that a model may have with what replaces its layers and batches
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
_CALL_BOUND = 3e-3  # seconds per batch below which stacking on a CPU can pay


def choose(
    work: Work,
    data: HeldData,
    coordinates: np.ndarray,
    *,
    seconds: float,
    strategy: str | None = None,
    batch_size: int | None = None,
) -> Choice:
    """The fastest way to measure these points.

    Args:
        work: The borrowed model and its points.
        data: The samples.
        coordinates: The points to come, shape (points, K); a few serve to try.
        seconds: Roughly what a point costs the plain strategy; see `plain_seconds`.
        strategy: Use this one and search only for its sizes; None tries all.
        batch_size: Use this one; None searches. With `strategy` given too, nothing is searched.

    Returns:
        The choice with everything that was timed.

    Raises:
        ValueError: If the strategy is unknown, or asked for and unsuitable.
    """
    if strategy is not None and strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}; not {strategy!r}.")
    begin = time.perf_counter()
    trials = _Trials(work, data, coordinates, seconds, batch_size)
    start, free = batch_size or data.batch_size, batch_size is None and data.joined
    if free and not work.loan.flat.is_cuda:
        least = max(16, int(_BATCH * data.size / seconds))  # samples that take so long
        start = min(start, 1 << least.bit_length() - 1)
    first = strategy or "sequential"
    chunk = _COMPILED[1] if first == "compiled" else _CHUNK if first in CHUNKED else 1
    if first == "compiled" and free:
        start = _alike(data.size)
    if problem := trials.run(Choice(first, start, chunk)):
        raise ValueError(f"strategy {strategy!r} cannot be used here: {problem}.")
    if strategy is not None and batch_size is not None:
        return trials.best
    trials.limit = begin + _SHARE * trials.best.seconds * len(coordinates)
    if strategy is None:
        per_batch = trials.best.seconds * min(start, data.size) / data.size
        for name in STRATEGIES:
            slow = per_batch > _CALL_BOUND and not work.loan.flat.is_cuda
            hopeless = (name == "stacked" and slow) or trials.best.strategy == "linear"
            if (
                name not in ("sequential", "compiled", "graphed", "streamed")
                and not hopeless
                and trials.more
            ):
                trials.run(Choice(name, start, _CHUNK if name in CHUNKED else 1))
    trials.share(free=free)
    if trials.best.strategy in CHUNKED and trials.best.strategy != "compiled":
        trials.climb("chunk", [2 * trials.best.chunk], [trials.best.chunk // 2])
    if free and trials.best.strategy != "compiled":
        most = -(-data.size // trials.best.threads)
        trials.climb("batch_size", *_around(trials.best.batch_size or start, most))
    if strategy is None and trials.best.seconds * len(coordinates) > _WORTH_COMPILING:
        trials.run(Choice("compiled", _alike(data.size) if free else start, _COMPILED[1]))
    return trials.best


def plain_seconds(work: Work, data: HeldData, coordinates: np.ndarray) -> float:
    """Roughly what a point costs the plain strategy, from a pass over some of the samples."""
    with sequential(work) as measure:
        for most in (2 * _LOOK, _TIMED):  # the first also waits for memory
            batches = data.batches(most=most)
            begin = time.perf_counter()
            measure(coordinates[:1], batches)[0, 0, 0].item()
            share = sum(count for _, count in batches) / data.size
            seconds = (time.perf_counter() - begin) / share
            if time.perf_counter() - begin > _CALL_BOUND:
                break  # it computes rather than calls: more samples tell nothing new
    return seconds


def _alike(samples: int) -> int:
    """A size of batch near that of compiled programs, of which nearly all batches are."""
    counts = [-(-samples // size) for size in range(_COMPILED[0] // 2, _COMPILED[0] + 1)]
    count = min(counts, key=lambda n: (min(samples % n, n - samples % n) / n, n))
    return -(-samples // count)


def _around(start: int, most: int) -> tuple[list[int], list[int]]:
    """Sizes above and below a start, in order of distance."""
    upper = [start << k for k in (1, 2, 3, 4) if start << k < most]
    lower = [start >> k for k in (1, 2, 3, 4, 5) if 8 <= start >> k < most]
    return [*upper, most] if start < most else upper, lower


class _Trials:
    """What was timed so far, and the best of it."""

    def __init__(
        self,
        work: Work,
        data: HeldData,
        coordinates: np.ndarray,
        seconds: float,
        batch_size: int | None,
    ) -> None:
        self.work, self.data, self.coordinates = work, data, coordinates
        if batch_size is None and data.joined:
            some = torch.linspace(0, data.size - 1, min(2 * _LOOK, data.size)).round().long()
            parts = some.to(work.origin.device).split(_LOOK)
            self.look = [(data.take(part), len(part)) for part in parts]
        else:
            self.look = data.batches(batch_size, most=2 * _LOOK)
        self.looked_at = np.concatenate([self._points(2), np.zeros_like(coordinates[:1])])
        self.tried: dict[str, float] = {}
        self.best = Choice("sequential", None)
        self.limit = np.inf
        self._agreed = {("sequential", 1)}
        self.slow = seconds * min(1, _TIMED / data.size) > _LONG
        with sequential(work) as measure:
            self._wanted = measure(self.looked_at, self.look)
        self._telling = bool(self._wanted[..., 0].isfinite().any(dim=1).all())

    @property
    def more(self) -> bool:
        """Whether there is time for another trial."""
        passed = self.best.seconds * (min(1, _TIMED / self.data.size) if not self.slow else 0)
        return time.perf_counter() + 1.5 * passed < self.limit

    def _passes(self, trial: Choice) -> float:
        """Passes over the data that a trial takes."""
        samples = max(_TIMED, (trial.batch_size or 1) * trial.threads)
        return 3 * trial.chunk * min(1, samples / self.data.size)

    def _points(self, count: int) -> np.ndarray:
        """Some of the points, spread over all."""
        among = np.linspace(0, len(self.coordinates) - 1, min(8, len(self.coordinates)))
        return self.coordinates[np.resize(among.round().astype(int), count)]

    def run(self, trial: Choice) -> str:
        """Time one candidate; says why when it cannot be used."""
        size = trial.batch_size or self.data.batch_size
        if trial.chunk > 1:
            trial = replace(trial, chunk=min(trial.chunk, points_that_fit(self.work, size)))
        try:
            seconds = self._seconds(trial, size)
        except UnsuitableError as error:
            return str(error)
        except _PROBLEMS as problem:
            if out_of_memory(problem) and trial.chunk > 1:
                return self.run(replace(trial, chunk=trial.chunk // 2))
            if not self.tried and (trial.strategy == "sequential" or out_of_memory(problem)):
                raise  # it is the model's own, or the batches have to be smaller
            return f"{type(problem).__name__}: {problem}"
        trial = replace(trial, batch_size=size if self.data.joined else None, seconds=seconds)
        name = (trial.strategy, trial.batch_size, trial.chunk, trial.threads)
        self.tried[", ".join(map(str, name))] = trial.seconds
        if not self.best.seconds <= trial.seconds:
            self.best = trial
        self.best = replace(self.best, tried=self.tried)
        return ""

    def _seconds(self, trial: Choice, size: int) -> float:
        """Time per point of one candidate, once it has given the plain strategy's numbers."""
        least = size * trial.threads
        all_of_them = trial.strategy == "compiled"  # so that it is compiled for every size now
        most = self.data.size if all_of_them else least if self.slow else max(_TIMED, least)
        batches = self.data.batches(size, most=most)
        samples = sum(count for _, count in batches)
        points = self._points(trial.chunk)
        whole = self.data.size / samples / trial.chunk  # a trial's time to that of a point
        best = spent = 0.0
        with STRATEGIES[trial.strategy](replace(self.work, threads=trial.threads)) as measure:
            if (trial.strategy, trial.threads) not in self._agreed and not all_of_them:
                found = measure(self.looked_at, self.look)
                if not self._telling or not agree(found, self._wanted, self.work.rounding):
                    raise UnsuitableError("its numbers differ from the plain strategy's")
                self._agreed.add((trial.strategy, trial.threads))
            passes = 0
            while passes < 2 or spent < _LONG_ENOUGH:
                begin = time.perf_counter()
                measure(points, batches)[0, 0, 0].item()  # waits for the device
                seconds = time.perf_counter() - begin
                passes, spent = passes + 1, spent + seconds
                if passes == 1 and (all_of_them or seconds < 10 * _LONG):
                    continue  # it waited for memory and for what is kept between passes
                best = min(best or seconds, seconds)
                if best * whole > 1.3 * self.best.seconds or seconds > 10 * _LONG:
                    break
        return best * whole

    def share(self, *, free: bool) -> None:
        """Try the best so far with a thread for every core."""
        cores = torch.get_num_threads()
        if self.best.strategy in SHARED and cores > 1 and self.more:
            size = self.best.batch_size
            if free and size is not None:
                size = min(max(size, _LARGE * (self.best.chunk > 1)), -(-self.data.size // cores))
            self.run(replace(self.best, batch_size=size, threads=cores))

    def climb(self, field: str, *directions: list[int]) -> None:
        """Try other values of one field, outwards from the present one, while they help."""
        start = self.best.seconds
        for values in directions:
            for value in values:
                before, trial = self.best.seconds, replace(self.best, **{field: value})
                if not self.more or not 0 < self._passes(trial) <= _CLIMB * len(self.coordinates):
                    return
                self.run(trial)
                if self.best.seconds == before:
                    break
            if self.best.seconds != start:
                return
