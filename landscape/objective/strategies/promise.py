"""Whether a chosen way keeps, on real points, what its trial promised.

Trials are short and may be lucky. So the first points of a measurement are measured by the chosen
and by the plain way in turns, which wastes nothing: both give the same numbers.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

from landscape.objective.strategies.choice import Choice

_ROUNDS = 4  # of which the first waits for memory and does not count
_LEAST = 0.02  # seconds of a timing at least
_SHARE = 0.02  # of all points may be measured the plain way for this

MeasurePart = Callable[[Choice, slice], None]


class Promise:
    """A choice that is to be faster than the plain way, and what was seen of it so far.

    Args:
        chosen: What is to be checked.
        plain: What is used instead if it is slower.
        seconds: Roughly what a point costs the plain way.
        points: How many there will be.

    >>> clock = {"linear": 1e-3, "sequential": 2e-3}
    >>> promise = Promise(Choice("linear", 64, 8), Choice("sequential", 64), 0.05, 1000)
    >>> promise.check(lambda way, part: time.sleep(clock[way.strategy]), 1000), promise.kept
    (36, True)
    """

    chosen: Choice
    plain: Choice

    def __init__(self, chosen: Choice, plain: Choice, seconds: float, points: int) -> None:
        self.chosen, self.plain = chosen, replace(plain, seconds=seconds)
        self._few = max(1, math.ceil(_LEAST / seconds))
        self._many = chosen.chunk * math.ceil(self._few / chosen.chunk)
        self._ratios: list[float] = []
        dear = _ROUNDS * self._few > _SHARE * points
        self.checked = dear or chosen.strategy == "sequential"

    @property
    def kept(self) -> bool:
        """Whether the chosen way was not slower than the plain one."""
        return len(self._ratios) < _ROUNDS or statistics.median(self._ratios[1:]) <= 1

    def check(self, measure: MeasurePart, points: int) -> int:
        """Measure some of these points by both ways in turns; returns how many."""
        begin = 0
        while not self.checked and begin + self._few + self._many <= points:
            seconds = []
            for way, count in ((self.plain, self._few), (self.chosen, self._many)):
                started = time.perf_counter()
                measure(way, slice(begin, begin + count))
                seconds.append((time.perf_counter() - started) / count)
                begin += count
            self._ratios.append(seconds[1] / seconds[0])
            self.checked: bool = len(self._ratios) == _ROUNDS
        return begin
