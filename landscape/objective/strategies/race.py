"""Which of a few ways is the fastest, on a machine whose speed drifts: timed in turns.

Within a round every way is timed once, so that what slows the machine down slows all of them; a
way is judged by the median of its ratios to the plain way, round by round. The better half of the
field goes on, and where time is short as many as it allows. The last one is taken only if it beats
the plain way by more than its uncertainty.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

ROUNDS, _MOST = 3, 9  # rounds between two halvings, and in all for the last
_SURE = 2.0  # uncertainties by which the plain way is to be beaten

Way = TypeVar("Way")


def fastest(
    plain: Way, others: Sequence[Way], seconds_of: Callable[[Way], float], *, until: float
) -> tuple[Way, float] | None:
    """The way to take, and its time over that of the plain way (a median).

    Args:
        plain: What is taken in doubt.
        others: What may be better.
        seconds_of: Times a way once; infinite or NaN where it cannot be used.
        until: When `time.perf_counter` says so, the rounds end.

    Returns:
        None if there was no time for the rounds that a verdict needs.

    >>> cost = {"plain": 1.0, "worse": 1.2, "better": 0.8}
    >>> fastest("plain", ["worse", "better"], cost.__getitem__, until=math.inf)
    ('better', 0.8)
    """
    field = list(enumerate(others))
    ratios: dict[int, list[float]] = {place: [] for place, _ in field}
    spent = rounds = 0.0
    while field and rounds < _MOST:
        begin = time.perf_counter()
        if begin + spent > until:
            break
        backwards = bool(rounds % 2)
        own = math.nan if backwards else seconds_of(plain)
        times = [(place, seconds_of(way)) for place, way in field[:: -1 if backwards else 1]]
        own = seconds_of(plain) if backwards else own
        for place, seconds in times:
            ratios[place].append(seconds / own if seconds < math.inf else math.inf)
        rounds, spent = rounds + 1, time.perf_counter() - begin
        field.sort(key=lambda one: statistics.median(ratios[one[0]]))
        if rounds < ROUNDS:
            fitting = (until - time.perf_counter()) / (ROUNDS - rounds) / spent * (len(field) + 1)
            if fitting >= 2:  # the plain way and another one
                spent *= min(1, fitting / (len(field) + 1))
                field = field[: int(min(fitting, len(field) + 1)) - 1]
        elif rounds % ROUNDS == 0:
            field = field[: (len(field) + 1) // 2]
            if len(field) == 1 and _clear(ratios[field[0][0]]):
                break
    if rounds < ROUNDS:
        return None
    place, way = min(field, key=lambda one: statistics.median(ratios[one[0]]))
    ratio = statistics.median(ratios[place])
    return (way, ratio) if ratio * (1 + _SURE * uncertainty(ratios[place])) < 1 else (plain, 1.0)


def uncertainty(ratios: Sequence[float]) -> float:
    """Relative standard error of a median, from the mean distance to it; normal noise assumed."""
    middle = statistics.median(ratios)
    if not 0 < middle < math.inf:
        return math.inf
    away = statistics.fmean(abs(ratio / middle - 1) for ratio in ratios)
    return 1.25 * 1.25 * away / math.sqrt(len(ratios))


def _clear(ratios: Sequence[float]) -> bool:
    """Whether more rounds would change nothing: slower, or faster beyond doubt."""
    return abs(math.log(statistics.median(ratios))) > 2 * _SURE * uncertainty(ratios)
