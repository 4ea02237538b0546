"""Choose how to evaluate by timing the real work.

Every strategy must give the plain strategy's numbers on a few samples before it is timed, so a
choice can change the speed of a measurement, never its result beyond rounding. The search climbs:
plain first, the variants next, then batch sizes and chunks of the best one, while time allows.
The best few and the plain strategy are then timed in turns; in doubt the plain strategy stays.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from landscape.base.progress import Progress
from landscape.objective.data.held import HeldData
from landscape.objective.metrics import agree
from landscape.objective.strategies import remembered
from landscape.objective.strategies.choice import CHUNKED, SHARED, STRATEGIES, Choice
from landscape.objective.strategies.memory import out_of_memory, points_that_fit
from landscape.objective.strategies.sequential import sequential
from landscape.objective.strategies.sizes import COMPILED, alike, around
from landscape.objective.strategies.turns import fastest
from landscape.objective.strategies.work import Measure, UnsuitableError, Work

_LOOK = 4  # samples in each of two batches on which strategies must agree
_CHUNK = 32  # points that batched strategies start with
_TIMED = 512  # samples on which they are timed where that is quick
_BATCH = 0.03  # seconds of a batch on a CPU beyond which smaller ones are the place to start
_LARGE = 1024  # and with threads for batched linear layers
_LONG_ENOUGH = 0.01  # seconds that a trial lasts at least
_LONG = 0.03  # seconds of a pass over the timed samples that are too many
_WORTH_COMPILING = 300.0  # seconds of work left, of which compiling in vain costs a few percent
_SHARE = 0.04  # of the time of the plain strategy may be spent on choosing
_TURNS = 0.02  # and on turns between the best
_MOST = 60.0  # seconds of either at most, however much work there is and however slow it goes
_NEAR = 1.25  # times slower than the best in its trial: worth timing in turns with it
_RIVALS = 4  # of which at most so many
_DOUBT = 0.95  # of the time of the plain strategy: what has to be reached without turns
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
    trials = _Trials(work, data, coordinates, seconds, batch_size, progress)
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
    trials.limit = begin + min(_SHARE * whole, _MOST)
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
        trials.climb("batch_size", *around(trials.best.batch_size or start, most))
    if strategy is None and trials.best.seconds * len(coordinates) > _WORTH_COMPILING:
        trials.run(Choice("compiled", alike(data.size) if free else start, COMPILED[1]))
    return trials.in_turns(strategy or "sequential", min(_TURNS * whole, _MOST))


def recall(
    key: str, work: Work, data: HeldData, coordinates: np.ndarray, *, batch_size: int | None = None
) -> Choice | None:
    """What was chosen for the same work before, if it gives the plain strategy's numbers here."""
    known = remembered.recalled(key)
    if known is None or data.joined == (known.batch_size is None):
        return None
    trials = _Trials(work, data, coordinates, known.seconds, batch_size)
    return known if trials.agrees(known) else None


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


class _Trials:
    """What was timed so far, and the best of it."""

    def __init__(
        self,
        work: Work,
        data: HeldData,
        coordinates: np.ndarray,
        seconds: float,
        batch_size: int | None,
        progress: Progress | None = None,
    ) -> None:
        self.work, self.data, self.coordinates = work, data, coordinates
        self.progress = progress
        if batch_size is None and data.joined:
            some = torch.linspace(0, data.size - 1, min(2 * _LOOK, data.size)).round().long()
            parts = some.to(work.origin.device).split(_LOOK)
            self.look = [(data.take(part), len(part)) for part in parts]
        else:
            self.look = data.batches(batch_size, most=2 * _LOOK)
        self.looked_at = np.concatenate([self._points(2), np.zeros_like(coordinates[:1])])
        self.tried: dict[str, float] = {}
        self.ways: list[Choice] = []
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
        self._say(f"trying {trial.strategy}, batches of {size:,}")
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
        self.ways.append(trial)
        if not self.best.seconds <= trial.seconds:
            self.best = trial
        self.best = replace(self.best, tried=self.tried)
        return ""

    def _seconds(self, trial: Choice, size: int) -> float:
        """Time per point of one candidate, once it has given the plain strategy's numbers."""
        with STRATEGIES[trial.strategy](replace(self.work, threads=trial.threads)) as measure:
            if (trial.strategy, trial.threads) not in self._agreed and trial.strategy != "compiled":
                self._check(measure)
                self._agreed.add((trial.strategy, trial.threads))
            return self._timed(measure, trial, size, enough=1.3 * self.best.seconds)

    def _say(self, what: str) -> None:
        if self.progress is not None:
            self.progress.say(what)

    def _check(self, measure: Measure) -> None:
        """Refuse numbers that are not those of the plain strategy."""
        found = measure(self.looked_at, self.look)
        if not self._telling or not agree(found, self._wanted, self.work.rounding):
            raise UnsuitableError("its numbers differ from the plain strategy's")

    def agrees(self, known: Choice) -> bool:
        """Whether a way that was chosen before can be used and gives the plain numbers."""
        if self.data.joined == (known.batch_size is None):
            return False
        try:
            with STRATEGIES[known.strategy](replace(self.work, threads=known.threads)) as measure:
                if known.strategy != "sequential" or known.threads > 1:
                    self._check(measure)
        except (UnsuitableError, *_PROBLEMS):
            return False
        return True

    def _timed(self, measure: Measure, trial: Choice, size: int, *, enough: float) -> float:
        """Time per point of what is open; slower ones than `enough` are timed once."""
        least = size * trial.threads
        all_of_them = trial.strategy == "compiled"  # so that it is compiled for every size now
        most = self.data.size if all_of_them else least if self.slow else max(_TIMED, least)
        batches = self.data.batches(size, most=most)
        samples = sum(count for _, count in batches)
        points = self._points(trial.chunk)
        whole = self.data.size / samples / trial.chunk  # a trial's time to that of a point
        best = spent = 0.0
        passes = 0
        while passes < 2 or spent < _LONG_ENOUGH:
            begin = time.perf_counter()
            measure(points, batches)[0, 0, 0].item()  # waits for the device
            seconds = time.perf_counter() - begin
            passes, spent = passes + 1, spent + seconds
            if passes == 1 and (all_of_them or seconds < 10 * _LONG):
                continue  # it waited for memory and for what is kept between passes
            best = min(best or seconds, seconds)
            if best * whole > enough or seconds > 10 * _LONG:
                break
        return best * whole

    def in_turns(self, first: str, budget: float) -> Choice:
        """The best of what was close in its trial, in turns; in doubt the strategy `first`."""
        plain = min((w for w in self.ways if w.strategy == first), key=lambda way: way.seconds)
        others = self._rivals(plain)
        self._say("timing the best in turns")

        def seconds_of(way: Choice) -> float:
            size = way.batch_size or self.data.batch_size
            try:
                with STRATEGIES[way.strategy](replace(self.work, threads=way.threads)) as measure:
                    return self._timed(measure, way, size, enough=np.inf)
            except (UnsuitableError, *_PROBLEMS):
                if way is plain:
                    raise
                return np.inf

        found = None
        if others and self.best.strategy != "compiled":
            found = fastest(plain, others, seconds_of, until=time.perf_counter() + budget)
        if found is None:
            good = self.best.seconds < _DOUBT * plain.seconds
            return replace(self.best if good else plain, tried=self.tried)
        return replace(found[0], seconds=found[1] * plain.seconds, tried=self.tried)

    def _rivals(self, plain: Choice) -> list[Choice]:
        """What was close to the best in its trial: first one of every strategy, then sizes."""
        order = sorted(self.ways, key=lambda way: way.seconds)
        near = [w for w in order if w.seconds < _NEAR * self.best.seconds and w != plain]
        firsts = list({w.strategy: w for w in reversed(near)}.values())
        near.sort(key=lambda way: (way not in firsts, way.seconds))
        return near[:_RIVALS]

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
