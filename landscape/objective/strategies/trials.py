"""What was timed of the ways to evaluate, and the best of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from landscape.base.progress import Progress
from landscape.objective.data.held import HeldData
from landscape.objective.strategies.choice import SHARED, STRATEGIES, Choice
from landscape.objective.strategies.memory import out_of_memory, points_that_fit
from landscape.objective.strategies.race import ROUNDS, fastest
from landscape.objective.strategies.reference import PROBLEMS, Reference
from landscape.objective.strategies.sizes import FEWEST, Sizes
from landscape.objective.strategies.work import Measure, UnsuitableError, Work

TIMED = 512  # samples on which they are timed where that is quick
_LONG_ENOUGH = 0.01  # seconds that a trial lasts at least
_LONG = 0.03  # seconds of a pass over the timed samples that are too many
_NEAR = 1.25  # times slower than the best in its trial: worth timing in turns with it
_RIVALS = 4  # of which at most so many
_DOUBT = 0.95  # of the time of the plain strategy: what has to be reached without turns
_CLIMB = 0.035  # of the passes to come may be spent on trying another size


class Trials:
    """What was timed so far, and the best of it."""

    coordinates: np.ndarray
    data: HeldData
    work: Work

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
        self.reference = Reference(
            work,
            data,
            np.concatenate([self._points(2), np.zeros_like(coordinates[:1])]),
            batch_size,
        )
        self.tried: dict[str, float] = {}
        self.ways: list[Choice] = []
        self.best = Choice("sequential", None)
        self.limit: Callable[[], float] = lambda: np.inf
        self._took: list[float] = []  # seconds of every trial
        self._agreed = {("sequential", 1)}
        self.slow: bool = seconds * min(1, TIMED / data.size) > _LONG

    @property
    def more(self) -> bool:
        """Whether there is time for another trial."""
        passed = self.best.seconds * (min(1, TIMED / self.data.size) if not self.slow else 0)
        return time.perf_counter() + 1.5 * passed < self.limit()

    def _passes(self, trial: Choice) -> float:
        """Passes over the data that a trial takes."""
        least = (trial.batch_size or 1) * trial.threads
        samples = least if self.slow else max(TIMED, least)
        return 3 * trial.chunk * min(1, samples / self.data.size)

    def _dear(self, trial: Choice) -> bool:
        return self._passes(trial) > _CLIMB * len(self.coordinates)

    def affordable(self, trial: Choice) -> Choice:
        """The same with fewer points at once, where trying that many would take too long."""
        while trial.chunk > FEWEST and self._dear(trial):
            trial = replace(trial, chunk=trial.chunk // 2)
        return trial

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
        begin = time.perf_counter()
        try:
            seconds = self._seconds(trial, size)
        except UnsuitableError as error:
            return str(error)
        except PROBLEMS as problem:
            if out_of_memory(problem) and trial.chunk > 1:
                return self.run(replace(trial, chunk=trial.chunk // 2))
            if not self.tried and (trial.strategy == "sequential" or out_of_memory(problem)):
                raise  # it is the model's own, or the batches have to be smaller
            return f"{type(problem).__name__}: {problem}"
        trial = replace(trial, batch_size=size if self.data.joined else None, seconds=seconds)
        self.tried[_told(trial)] = trial.seconds
        self.ways.append(trial)
        self._took.append(time.perf_counter() - begin)
        if not self.best.seconds <= trial.seconds:
            self.best = trial
        self.best: Choice = replace(self.best, tried=self.tried)
        return ""

    def _seconds(self, trial: Choice, size: int) -> float:
        """Time per point of one candidate, once it has given the plain strategy's numbers."""
        with STRATEGIES[trial.strategy](replace(self.work, threads=trial.threads)) as measure:
            if (trial.strategy, trial.threads) not in self._agreed and trial.strategy != "compiled":
                self.reference.check(measure)
                self._agreed.add((trial.strategy, trial.threads))
            return self._timed(measure, trial, size, enough=1.3 * self.best.seconds)

    def _say(self, what: str) -> None:
        if self.progress is not None:
            self.progress.say(what)

    def _timed(self, measure: Measure, trial: Choice, size: int, *, enough: float) -> float:
        """Time per point of what is open; slower ones than `enough` are timed once."""
        least = size * trial.threads
        all_of_them = trial.strategy == "compiled"  # so that it is compiled for every size now
        most = self.data.size if all_of_them else least if self.slow else max(TIMED, least)
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
        fitting = budget / (ROUNDS * statistics.median(self._took)) - 1
        others = self._rivals(plain)[: max(1, int(fitting))]
        self._say("timing the best in turns")
        seen = {_told(way): [way.seconds] for way in self.ways}

        def seconds_of(way: Choice) -> float:
            size = way.batch_size or self.data.batch_size
            try:
                with STRATEGIES[way.strategy](replace(self.work, threads=way.threads)) as measure:
                    seconds = self._timed(measure, way, size, enough=np.inf)
                seen[_told(way)].append(seconds)
                return seconds
            except (UnsuitableError, *PROBLEMS):
                if way is plain:
                    raise
                return np.inf

        found = None
        if others and self.best.strategy != "compiled":
            found = fastest(plain, others, seconds_of, until=time.perf_counter() + budget)
        if found is None:  # no time for a verdict: what was seen so far has to be clear
            middle = {name: statistics.median(seconds) for name, seconds in seen.items()}
            best = min([self.best, *others], key=lambda way: middle[_told(way)])
            good = middle[_told(best)] < _DOUBT * middle[_told(plain)]
            return replace(best if good else plain, tried=self.tried)
        return replace(found[0], seconds=found[1] * plain.seconds, tried=self.tried)

    def _rivals(self, plain: Choice) -> list[Choice]:
        """What was close to the best in its trial: first one of every strategy, then sizes."""
        order = sorted(self.ways, key=lambda way: way.seconds)
        near = [w for w in order if w.seconds < _NEAR * self.best.seconds and w != plain]
        firsts = list({w.strategy: w for w in reversed(near)}.values())
        near.sort(key=lambda way: (way not in firsts, way.seconds))
        return near[:_RIVALS]

    def share(self, *, free: bool) -> None:
        """Try the best so far with a thread for every core, or without."""
        cores = torch.get_num_threads()
        if self.best.strategy not in SHARED or cores == 1 or not self.more:
            return
        if self.best.threads > 1:
            alone = replace(self.best, threads=1)
            if _told(alone) not in self.tried:
                self.run(alone)
            return
        size = self.best.batch_size
        if free and size is not None:
            size = min(size, -(-self.data.size // cores))
        self.run(replace(self.best, batch_size=size, threads=cores))

    def climb(self, *directions: list[Sizes]) -> None:
        """Try other sizes, outwards from the present ones, while they help."""
        start = self.best.seconds
        for sizes in directions:
            for other in sizes:
                before, trial = self.best.seconds, replace(self.best, **other)
                if not self.more:
                    return
                if self._dear(trial):
                    break
                self.run(trial)
                if self.best.seconds == before:
                    break
            if self.best.seconds != start:
                return


def _told(way: Choice) -> str:
    return ", ".join(map(str, (way.strategy, way.batch_size, way.chunk, way.threads)))
