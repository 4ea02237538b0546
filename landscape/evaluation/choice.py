"""Choose how to evaluate by timing the real work.

Every strategy must give the plain strategy's numbers on a few samples before it is timed, so a
choice can change the speed of a measurement, never its result beyond rounding. The search climbs:
plain first, the variants next, then batch sizes and chunks of the best one, while time allows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from landscape.evaluation.compiled import compiled
from landscape.evaluation.convolution import channels_last, folded
from landscape.evaluation.data import HeldData
from landscape.evaluation.graphed import graphed
from landscape.evaluation.linear import batched_linear
from landscape.evaluation.memory import out_of_memory
from landscape.evaluation.metrics import agree
from landscape.evaluation.onednn import through_onednn
from landscape.evaluation.sequential import sequential
from landscape.evaluation.stacked import stacked
from landscape.evaluation.work import Strategy, UnsuitableError, Work

STRATEGIES: dict[str, Strategy] = {
    "sequential": sequential,
    "channels last": channels_last,
    "folded": folded,
    "linear": batched_linear,
    "onednn": through_onednn,
    "stacked": stacked,
    "compiled": compiled,
    "graphed": graphed,
}
CHUNKED = ("linear", "stacked", "compiled")
SHARED = (
    "sequential",
    "channels last",
    "folded",
    "linear",
    "onednn",
)  # threads can share their batches

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
_CALL_BOUND = 3e-3  # seconds per batch below which stacking on a CPU can pay


@dataclass(frozen=True)
class Choice:
    """How points are evaluated.

    Attributes:
        strategy: A name in `STRATEGIES`.
        batch_size: Samples per forward pass; None for batches as given.
        chunk: Points evaluated together.
        threads: Threads that share the batches of a point, each computing on one core; 1 leaves
            the cores to torch.
        seconds: Time per point when it was tried; NaN when it was not.
        tried: What was timed: "strategy, batch size, chunk, threads" to seconds per point.
    """

    strategy: str
    batch_size: int | None
    chunk: int = 1
    threads: int = 1
    seconds: float = float("nan")
    tried: Mapping[str, float] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """For provenance."""
        return {
            "strategy": self.strategy,
            "batch_size": self.batch_size,
            "chunk": self.chunk,
            "threads": self.threads,
            "seconds_per_point": self.seconds if np.isfinite(self.seconds) else None,
            "tried": {name: float(f"{seconds:.4g}") for name, seconds in self.tried.items()},
        }


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
    trials = _Trials(work, data, coordinates, seconds)
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
            if name not in ("sequential", "compiled", "graphed") and not hopeless and trials.more:
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

    def __init__(self, work: Work, data: HeldData, coordinates: np.ndarray, seconds: float) -> None:
        self.work, self.data, self.coordinates = work, data, coordinates
        self.look = data.batches(_LOOK, most=2 * _LOOK)
        self.tried: dict[str, float] = {}
        self.best = Choice("sequential", None)
        self.limit = np.inf
        self._agreed = {("sequential", 1)}
        self.slow = seconds * min(1, _TIMED / data.size) > _LONG
        with sequential(work) as measure:
            self._wanted = measure(self._points(2), self.look)

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
        least = size * trial.threads
        all_of_them = trial.strategy == "compiled"  # so that it is compiled for every size now
        most = self.data.size if all_of_them else least if self.slow else max(_TIMED, least)
        batches = self.data.batches(size, most=most)
        samples = sum(count for _, count in batches)
        points = self._points(trial.chunk)
        whole = self.data.size / samples / trial.chunk  # a trial's time to that of a point
        best = spent = 0.0
        try:
            with STRATEGIES[trial.strategy](replace(self.work, threads=trial.threads)) as measure:
                if (trial.strategy, trial.threads) not in self._agreed and not all_of_them:
                    found = measure(self._points(2), self.look)
                    if not agree(found, self._wanted, self.work.rounding):
                        return "its numbers differ from the plain strategy's"
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
        except UnsuitableError as error:
            return str(error)
        except (RuntimeError, MemoryError) as problem:
            if not (self.tried and out_of_memory(problem)):
                raise  # the first trial is on batches that have to fit
            return "out of memory"
        trial = replace(trial, batch_size=size if self.data.joined else None, seconds=best * whole)
        name = (trial.strategy, trial.batch_size, trial.chunk, trial.threads)
        self.tried[", ".join(map(str, name))] = trial.seconds
        if not self.best.seconds <= trial.seconds:
            self.best = trial
        self.best = replace(self.best, tried=self.tried)
        return ""

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
