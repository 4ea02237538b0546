"""A curve of any length in bounded memory: every span of steps by its least and greatest value."""

from __future__ import annotations

import numpy as np

MOST = 2000  # points of a curve
_AT_ONCE = 1 << 16  # numbers that are looked at together

Points = tuple[np.ndarray, np.ndarray]  # steps and values


class ThinnedCurve:
    """Recorded numbers of consecutive steps, of which at most `MOST` are kept.

    As long as they are few, all are kept. Then spans of 2, 4, 8, … steps keep their least and
    their greatest finite value and the first that is not finite, each at its own step; so every
    point is a number that was recorded, a spike stays a spike and a NaN a gap. The newest number is
    always there.

    Args:
        first: The step of the first number.

    Attributes:
        span: How many steps share their points; 1 while all are kept.
        generation: Rises when kept points are taken back; until then they are only appended to.
        latest: The newest number; NaN before the first.
        known: Whether one of them was finite.

    >>> curve = ThinnedCurve(first=1)
    >>> curve.add(np.array([3.0, 2.0, np.nan]))
    >>> curve.points()
    (array([1, 2, 3]), array([ 3.,  2., nan]))
    """

    latest: float
    generation: int
    span: int

    def __init__(self, first: int) -> None:
        self._first = self._next = first
        self._kept = self._open = (np.zeros(0, np.int64), np.zeros(0))
        self.span, self.generation, self.latest = 1, 0, np.nan
        self.known = False

    def __len__(self) -> int:
        """How many points will not change as long as `generation` does not."""
        return len(self._kept[0])

    def add(self, values: np.ndarray) -> None:
        """Append the numbers of the steps that follow."""
        for start in range(0, len(values), _AT_ONCE):
            part = values[start : start + _AT_ONCE]
            steps = self._next + np.arange(len(part))
            self.known: bool = self.known or bool(np.isfinite(part).any())
            self._next, self.latest = self._next + len(part), float(part[-1])
            self._take(_joined(self._open, (steps, part)))
            while len(self) > MOST - 4:
                self.span, self.generation = 2 * self.span, self.generation + 1
                whole, self._kept = _joined(self._kept, self._open), (steps[:0], part[:0])
                self._take(whole)

    def points(self, start: int = 0) -> Points:
        """Steps and values from the point `start` on, with those that may still change."""
        newest = self._next - 1
        ends = (self._open[0] if len(self._open[0]) else self._kept[0])[-1:]
        points = _joined((self._kept[0][start:], self._kept[1][start:]), self._open)
        if newest < self._first or (ends == newest).any():
            return points
        return _joined(points, (np.array([newest]), np.array([self.latest])))

    def _take(self, points: Points) -> None:
        """Keep the extremes of whole spans; those of the last one may change."""
        spans = (points[0] - self._first) // self.span
        steps, values = _extremes(points, spans)
        whole = (steps - self._first) // self.span < (self._next - self._first) // self.span
        self._kept = _joined(self._kept, (steps[whole], values[whole]))
        self._open = steps[~whole], values[~whole]


def _joined(one: Points, other: Points) -> Points:
    return np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]])


def _extremes(points: Points, spans: np.ndarray) -> Points:
    """Least, greatest and first not finite value of each span, in the order of the steps."""
    steps, values = points
    if not len(steps):
        return points
    starts = np.flatnonzero(np.diff(spans, prepend=spans[0] - 1))
    place = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(steps)))
    finite = np.isfinite(values)
    least = np.minimum.reduceat(np.where(finite, values, np.inf), starts)
    greatest = np.maximum.reduceat(np.where(finite, values, -np.inf), starts)
    kept = np.zeros(len(steps), bool)
    for of_interest in (finite & (values == least[place]), finite & (values == greatest[place]),
                        ~finite):  # fmt: skip
        found = np.flatnonzero(of_interest)
        kept[found[np.unique(place[found], return_index=True)[1]]] = True
    return steps[kept], values[kept]
