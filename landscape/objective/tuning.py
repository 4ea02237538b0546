"""Tuning: how the points of a problem are evaluated; the only thing about it that changes."""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from landscape.base.progress import Progress
from landscape.objective.data.held import HeldData
from landscape.objective.family import Family
from landscape.objective.free_memory import out_of_memory
from landscape.objective.inspection.nature import Nature
from landscape.objective.learned import Learned
from landscape.objective.lending.loan import Loan
from landscape.objective.lending.standing import Standing
from landscape.objective.problem import Problem
from landscape.objective.strategies.choice import CHUNKED, Choice
from landscape.objective.strategies.confirmed import to_confirm
from landscape.objective.strategies.promise import Promise
from landscape.objective.strategies.remembered import key_of, recalled, remember
from landscape.objective.strategies.repeatable import check_repeatable
from landscape.objective.strategies.search import choose, plain_seconds, recall
from landscape.objective.strategies.streamed import points_together
from landscape.objective.strategies.work import Work

_OF_THIS_PROCESS = ("_lock", "_learned")
_WORTH_CHOOSING = 1.0  # seconds of work, done and to come


class Tuning:
    """What was learned about evaluating a problem and its parts: no number depends on it.

    It is learned while the model is lent, which one thread at a time can do; a lock keeps what
    others read of one piece.

    Args:
        problem: What is measured.
        strategy: The name that was asked for; None chooses.

    Attributes:
        choice: How points are evaluated; None before there was enough work to choose for.
        plain: How single points, and those before a choice, are evaluated.
        shrunk: What was made smaller because memory was short, or nothing.
        promise: That the choice is faster, while that is not yet seen.
        unchecked: Whether it is still to be looked at whether what the metrics return adds up:
            after the first points, where it was when what is used now was chosen.
    """

    batch_size: int | None
    strategy: str | None

    def __init__(self, problem: Problem, *, strategy: str | None = None) -> None:
        data = problem.data
        self.strategy, self.batch_size = strategy, problem.batch_size
        self.choice: Choice | None = None
        self.plain = Choice("sequential", data.batch_size if data.joined else None)
        self.shrunk = ""
        self._asked = 0  # passes of single samples
        self.unchecked, self._for_one = True, False
        self._seconds: float | None = None  # of such a pass
        self._chosen_on = self._most = data.size
        self.promise: Promise | None = None
        self._key, self._held = "", None
        self._empty(problem.device)

    def _empty(self, device: torch.device) -> None:
        self._device, self._lock = device, threading.RLock()
        self._learned: dict[tuple[int, ...], Learned] = {}

    @property
    def asked(self) -> str | None:
        """The strategy that is settled: asked for, or chosen."""
        with self._lock:
            return self.strategy or (None if self.choice is None else self.choice.strategy)

    def use(self, choice: Choice | None) -> None:
        """Evaluate like this from now on; None chooses anew."""
        with self._lock:
            self.choice, self.promise = choice, None

    def allowed(self, held: Choice) -> Choice | None:
        """A choice of another process with sizes that this one has; None if it may not be used."""
        asked = (self.strategy, self.batch_size)
        own = (held.strategy, held.batch_size)
        if any(a not in (None, h) for a, h in zip(asked, own, strict=True)):
            return None
        batch = held.batch_size and min(held.batch_size, self._most)
        return replace(held, batch_size=batch, threads=min(held.threads, torch.get_num_threads()))

    def copy(self) -> Tuning:
        """What is known so far, to be learned further apart from this."""
        with self._lock:
            other = Tuning.__new__(Tuning)
            other.__dict__.update(self.__dict__)
            other._empty(self._device)
            for key, own in self._learned.items():
                other._learned[key] = own.copy()
            return other

    def learned(self, problem: Problem) -> Learned:
        """What was learned of a problem's metrics."""
        with self._lock:
            key = tuple(map(id, problem.metrics.values()))
            return self._learned.setdefault(key, Learned(problem.metrics))

    def batched(self, problem: Problem) -> HeldData:
        """A problem's samples in batches that fit in memory."""
        size = self.plain.batch_size
        if size is None or size == problem.data.batch_size:
            return problem.data
        return problem.data.in_batches_of(size)

    def nature(self, problem: Problem, loan: Loan, *, whole: bool = True) -> Nature:
        """What the look at the metrics found, the first time that the model was lent."""
        with self._lock:
            return self.learned(problem).nature_of(problem, loan, whole=whole)

    def recall(self, problem: Problem, family: Family, points: int) -> bool:
        """Look up what was chosen for such work before; whether anything was.

        Then looks at whole batches come after the first points: they were before, that time.
        """
        with self._lock:
            if self.choice is None and points > 1:
                data = self.batched(problem)
                points = max(points, self._asked // data.size)
                self._key = key_of(problem, family, data, points, self.strategy)
                self._held = recalled(self._key)
            return self._held is not None

    def choice_for(
        self,
        problem: Problem,
        work: Work,
        coordinates: np.ndarray,
        progress: Progress | None = None,
    ) -> Choice:
        """How to evaluate these points: chosen once, when there is enough work to pay for it."""
        with self._lock:
            self._asked += len(coordinates) * problem.data.size if len(coordinates) > 1 else 0
            while True:
                try:
                    if len(coordinates) > 1 or work.loan.stream is not None:
                        return self._chosen(problem, work, coordinates, progress)
                    self.check_repeatable(problem, work)
                    return self.plain
                except (RuntimeError, MemoryError) as error:
                    self._halve(problem, work, error)

    def _halve(self, problem: Problem, work: Work, error: Exception) -> None:
        """Take smaller batches where these do not fit in memory; else raise the error."""
        data = self.batched(problem)
        before = data.batch_size
        fixed = problem.batch_norm != "frozen" or not data.joined or before == 1
        if fixed or work.nature.draws or not out_of_memory(error):
            raise error
        smaller = (min(before, data.size) + 1) // 2
        self.fit(self.plain, replace(self.plain, batch_size=smaller))

    def _chosen(
        self, problem: Problem, work: Work, coordinates: np.ndarray, progress: Progress | None
    ) -> Choice:
        if not self._recall(problem, work, coordinates):
            self.check_repeatable(problem, work)
        data = self.batched(problem)
        if work.loan.stream is not None:
            choice, several = self.choice, len(coordinates) > 1
            if choice is None or choice.strategy != "streamed" or (several and self._for_one):
                # To ask how many points can be measured together is a pass: not for one of them.
                points = points_together(work, data) if several else 1
                self.choice = choice = replace(self.plain, strategy="streamed", chunk=points)
                self._for_one = not several
            return choice
        if self.choice is None:
            if self._seconds is None:
                self._seconds = plain_seconds(work, data, coordinates) / data.size
            if self.strategy is not None or self._seconds * self._asked > _WORTH_CHOOSING:
                self._choose(problem, work, coordinates, progress)
        together = self.choice is not None and self.choice.strategy in CHUNKED
        if together and self.strategy is None and not work.fixed_buffers:
            return self.plain  # points measured together share their buffers
        return self.choice or self.plain

    def _fixed_size(self, problem: Problem, work: Work) -> int | None:
        """The batch size that has to be used; None where any may be."""
        data = self.batched(problem)
        fixed = problem.batch_norm != "frozen" or not data.joined or work.nature.draws
        return data.batch_size if fixed or self.batch_size is not None else None

    def _recall(self, problem: Problem, work: Work, coordinates: np.ndarray) -> bool:
        """Use what was chosen for such work before; whether anything was that can be used."""
        held, self._held = self._held, None
        if held is None or self.choice is not None or work.loan.stream is not None:
            return False
        data, size = self.batched(problem), self._fixed_size(problem, work)
        self.choice = recall(
            held, work, data, coordinates,
            strategy=self.strategy, batch_size=size if data.joined else None,
        )  # fmt: skip
        if self.choice is not None:
            self._settle(data, self.choice, self.choice.seconds, len(coordinates))
        return self.choice is not None

    def _choose(
        self, problem: Problem, work: Work, coordinates: np.ndarray, progress: Progress | None
    ) -> None:
        """Choose by timing; keep the choice for the next time."""
        data, seconds = self.batched(problem), problem.data.size * (self._seconds or 0)
        self.choice = choose(
            work, data, coordinates, seconds=seconds, strategy=self.strategy,
            batch_size=self._fixed_size(problem, work), progress=progress,
        )  # fmt: skip
        if self._key:
            remember(self._key, self.choice)
        self._settle(data, self.choice, seconds, len(coordinates))

    def _settle(self, data: HeldData, choice: Choice, seconds: float, points: int) -> None:
        """A choice is used from now on; that it is fast is to be seen where nobody asked for it."""
        self._chosen_on = data.size
        if self.strategy is None:
            points = max(points, self._asked // data.size)
            self.promise = Promise(choice, self.plain, seconds, points)

    def to_confirm(self, problem: Problem, choice: Choice) -> bool:
        """Whether a way is still to be compared with the plain one on so many samples."""
        with self._lock:
            known = self.learned(problem).confirmed.get(choice.way, 0)
            return to_confirm(choice) and known < problem.data.size

    def confirmed(self, problem: Problem, choice: Choice, *, agreed: bool) -> Choice:
        """What to go on with, once a way was compared on all samples.

        Raises:
            ValueError: If a way that was asked for has other numbers.
        """
        with self._lock:
            if agreed:
                self.learned(problem).confirmed[choice.way] = problem.data.size
                same = self.choice is not None and self.choice.strategy == choice.strategy
                return self.choice if same and self.choice is not None else choice
            if self.strategy is not None and self.strategy != "sequential":
                raise ValueError(
                    f"strategy {self.strategy!r} cannot be used here: its numbers differ from the "
                    "plain strategy's, for some of the samples. Leave strategy out."
                )
            self.choice, self.promise = self.plain, None
            if self._key:
                remember(self._key, replace(self.plain, seconds=choice.seconds))
            return self.plain

    def proven(self) -> Choice:
        """What to go on with, once the choice's promise was checked; a broken one is forgotten."""
        with self._lock:
            assert self.promise is not None
            if not self.promise.kept:
                self.choice = self.promise.plain
                remember(self._key, self.choice)
            self.promise = None
            return self.choice or self.plain

    def check_repeatable(self, problem: Problem, work: Work) -> None:
        """Refuse, once, a model or loss that gives another number when it is asked again."""
        with self._lock:
            while self.unchecked:
                free = problem.may_rebatch and not work.nature.draws
                try:
                    check_repeatable(work, self.batched(problem), rebatch=free)
                    self.unchecked = False
                except (RuntimeError, MemoryError) as error:
                    self._halve(problem, work, error)

    def draws_later(self, problem: Problem, loan: Loan, standing: Standing) -> bool:
        """Whether it was found only now that the metrics draw random numbers: begin again.

        Raises:
            ValueError: As `Learned.draws_later` does.
        """
        with self._lock:
            found = self.learned(problem).draws_later(
                problem, self.batched(problem), loan, standing
            )
            if found:
                self.choice, self.promise, self.unchecked = None, None, True
            return found

    def fit(self, choice: Choice, smaller: Choice) -> None:
        """Evaluate fewer points or samples at once from now on: more do not fit in memory."""
        with self._lock:
            self.shrunk = (
                f"{smaller.chunk} of {choice.chunk} points at once, batches of "
                f"{smaller.batch_size} of {choice.batch_size}: more did not fit"
            )
            if choice is self.choice:
                self.choice, self.promise = smaller, None
            else:
                self.plain: Choice = smaller

    def shrank(self, said: str) -> None:
        """Keep what a worker had to make smaller."""
        with self._lock:
            self.shrunk: str = said or self.shrunk

    @property
    def evaluation(self) -> dict[str, Any]:
        """How points are evaluated, for provenance."""
        with self._lock:
            told = (self.choice or self.plain).describe()
            return {**told, "memory": self.shrunk} if self.shrunk else told

    def seconds_per_point(self, samples: int | None = None) -> float | None:
        """What a point on so many samples, or all, should cost; None before anything was timed."""
        samples = self._most if samples is None else samples
        with self._lock:
            if self.choice is not None and math.isfinite(self.choice.seconds):
                return self.choice.seconds * samples / self._chosen_on
            return None if self._seconds is None else self._seconds * samples

    def __getstate__(self) -> dict[str, Any]:
        """What other processes are sent: no lock, nothing compiled, nothing seen of this model."""
        state = {**self.__dict__, "_device": torch.empty(0, device=self._device)}
        return {k: v for k, v in state.items() if k not in _OF_THIS_PROCESS} | {
            "_kind": self._device.type,
            "promise": None,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        kind, place = state.pop("_kind"), state.pop("_device")
        self.__dict__.update(state)
        self._empty(place.device)
        if kind != place.device.type:
            self.choice = None  # what is fast here is not what was fast there
        elif self.choice is not None:
            threads = min(self.choice.threads, torch.get_num_threads())
            self.choice = replace(self.choice, threads=threads)
