"""Samples in growing rounds, in a random order common to all points.

The mean over the first n samples of a random order of N estimates the mean over all of them with
the standard error σ/√n · √(1 - n/N) (Cochran 1977, Sampling Techniques, section 2.6). Because the
order is the same at every point, neighbouring points err alike: a surface from few samples is
bent, not rough. Means and squared deviations of two stretches of the order are put together as in
Chan, Golub & LeVeque 1983 (Amer. Statistician 37).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from landscape.results.curves import Z

if TYPE_CHECKING:
    from landscape.analysis.sparing.control_variates import Control

_FIRST = 256  # samples of the first round ...
_PARTS = 4  # ... and the stretches it is taken in
_GROWTH = 1.5
_DEEPER = 3  # steps up, of a first round that told too little
_JUMP = 4  # a round grows at most this much: the spread is not known better
_SCOUTING = 4  # times the scouts' work that a limit must allow
_TOGETHER = 256  # points that are measured at once; Ctrl-C loses at most these


class Stretches(Protocol):
    """Something measured point by point over stretches of an order of samples.

    Attributes:
        size: N, all samples.
        step: Rounds end at multiples of it; 0 where only all samples can be measured.
        rows: Numbers that are averaged per sample.
        scouts: The first samples, that every point may be looked at with; 0 where that would
            cost too much, or says nothing.
    """

    size: int
    step: int
    rows: int
    scouts: int

    def __call__(self, points: np.ndarray, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Means and sums of squared deviations over a stretch, each (rows, points)."""
        ...

    def metrics(
        self, points: np.ndarray, mean: np.ndarray, m2: np.ndarray, count: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Metrics and their standard deviations over samples, each (metrics, points)."""
        ...


class Rounds:
    """How far every point is measured, and what is known there.

    Args:
        stretches: What is measured.
        points: How many points there are.
        limit: Most samples, over all points, that may be measured; None: any.

    Attributes:
        control: Points on all samples by which the others are corrected, or None.
        scouts: Samples that every point is looked at with before any is measured.
        count: Samples known per point, the scouts included.
        spent: Samples measured over all points.
        short: Whether something was left out because of the limit.
    """

    stretches: Stretches
    count: np.ndarray
    m2: np.ndarray
    mean: np.ndarray
    short: bool
    spent: int

    def __init__(self, stretches: Stretches, points: int, *, limit: int | None = None) -> None:
        self.stretches, self._metrics = stretches, stretches.metrics
        self.limit = limit
        self.size: int = stretches.size
        self.count = np.zeros(points, int)
        self.mean = np.zeros((stretches.rows, points))
        self.m2 = np.zeros((stretches.rows, points))
        self.spent = 0
        self.short = False
        self.control: Control | None = None
        cheap = limit is None or _SCOUTING * stretches.scouts * points <= limit
        self.scouts: int = stretches.scouts if cheap else 0
        first = -(-_FIRST // _PARTS // max(stretches.step, 1)) * stretches.step
        self._rungs = _rungs(stretches.size, stretches.step, first, self.scouts)
        begun = np.searchsorted(self._rungs, _PARTS * first) if first else len(self._rungs)
        self._start = min(int(begun), len(self._rungs) - 1)
        self.parts = np.full((len(self._rungs), stretches.rows, points), np.nan)

    @property
    def passes(self) -> float:
        """What was measured, in passes over all samples."""
        return self.spent / self.size

    @property
    def measured(self) -> np.ndarray:
        """Which points are known by more than the scouts, shape (points,)."""
        return self.count > self.scouts

    @property
    def state(self) -> np.ndarray:
        """All that is known: means, squared deviations, means over every stretch."""
        return np.stack([self.mean, self.m2, *self.parts])

    def known(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Metrics and their errors as estimates of the mean over all samples, of 95 %.

        Args:
            points: Points that are measured.

        Returns:
            Two arrays of shape (metrics, points); the error is zero where all samples were used,
            infinite where it is not known.
        """
        count = self.count[points]
        value, deviation = self._metrics(points, self.mean[:, points], self.m2[:, points], count)
        if self.control is not None:
            better, left = self._corrected(points)
            use = left < deviation
            value, deviation = np.where(use, better, value), np.where(use, left, deviation)
        with np.errstate(invalid="ignore"):
            error = Z * deviation * np.sqrt((1 - count / self.size) / np.maximum(count, 1))
        error = np.where(np.isnan(error), np.inf, error)
        error[:, count == self.size] = 0
        error[~np.isfinite(value)] = 0  # more samples do not make it finite
        return value, error

    def scout(self) -> np.ndarray:
        """The metrics of every point on the scouts' samples, (metrics, points)."""
        fresh = np.flatnonzero(self.count == 0)
        self._advance(fresh, np.full(len(fresh), self.scouts))
        few = np.full(self.count.size, self.scouts)
        return self._metrics(np.arange(self.count.size), self.parts[0], 0 * self.mean, few)[0]

    def begin(self, points: np.ndarray) -> None:
        """Measure the first round where nothing is."""
        fresh = points[self.count[points] < self._rungs[self._start]]
        self._advance(fresh, np.full(len(fresh), self._rungs[self._start]))

    def deepen(self) -> None:
        """Let the first round be three times as large, where it is over too."""
        self._start = min(self._start + _DEEPER, len(self._rungs) - 1)
        points = np.flatnonzero(self.measured)
        self._advance(points, np.full(len(points), self._rungs[self._start]))

    def reach(self, points: np.ndarray, allowed: np.ndarray) -> None:
        """Take more samples until the first metric's errors are at most `allowed`."""
        while True:
            _, error = self.known(points)
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                excess = np.square(error[0] / allowed)
            count = self.count[points]
            open_ = (excess > 1) & (count < self.size) & self.measured[points]
            if not open_.any() or self.short:
                return
            now, excess = count[open_], np.minimum(excess[open_], _JUMP * 8)
            # s²(1/n - 1/N) shrinks by `excess` when n grows to:
            wanted = 1 / (1 / self.size + (1 / now - 1 / self.size) / excess)
            wanted = np.clip(wanted, now + 1, _JUMP * now)
            rung = np.searchsorted(self._rungs, wanted).clip(max=len(self._rungs) - 1)
            self._advance(points[open_], self._rungs[rung])

    def finish(self, points: np.ndarray) -> None:
        """Take all samples that are left."""
        self._advance(points, np.full(len(points), self.size))

    def complete(self, points: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Metrics on all samples, and their moments; what is known stays as it is."""
        if not len(points):
            return self.known(points)[0], (self.mean[:, :0], self.m2[:, :0])
        mean, m2 = self.stretches(points, 0, self.size)
        self.spent += self.size * len(points)
        full = np.full(len(points), self.size)
        return self._metrics(points, mean, m2, full)[0], (mean, m2)

    def adopt(self, points: np.ndarray, mean: np.ndarray, m2: np.ndarray) -> None:
        """Know points by moments over all samples; stretches that are not known stay so."""
        self.mean[:, points], self.m2[:, points] = mean, m2
        self.count[points] = self.size

    def restore(self, count: np.ndarray, moments: np.ndarray) -> None:
        """Go on from the state of an earlier measurement, if it is one of the same points.

        Args:
            count: Samples per point, shape (points,).
            moments: Its `state`, shape (2 + stretches, rows, ...).
        """
        state = moments.reshape(*moments.shape[:2], -1)
        if state.shape != self.state.shape or not len(done := np.flatnonzero(count)):
            return
        mean = state[0]
        least = done[[int(np.argmin(count[done]))]]
        again, _ = self.stretches(least, 0, int(count[least[0]]))
        # Ways of evaluating agree to 1e-4; another loss, model or data does not.
        if np.allclose(again, mean[:, least], rtol=1e-3, equal_nan=True):
            self.count, self.mean, self.m2 = count.copy(), mean.copy(), state[1].copy()
            self.parts: np.ndarray = state[2:].copy()
            self.spent = int(count.sum())

    def _advance(self, points: np.ndarray, target: np.ndarray) -> None:
        """Measure stretch by stretch, so that every one is known by itself."""
        for number, stop in enumerate(self._rungs):
            start = self._rungs[number - 1] if number else 0
            group = points[(self.count[points] == start) & (target >= stop)]
            if self.limit is not None:
                room = max(0, self.limit - self.spent) // int(stop - start)
                self.short |= room < len(group)
                group = group[:room]
            for first in range(0, len(group), _TOGETHER):
                some = group[first : first + _TOGETHER]
                mean, m2 = self.stretches(some, int(start), int(stop))
                self._join(some, int(start), int(stop), mean, m2)
                self.parts[number][:, some] = mean

    def _corrected(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert self.control is not None
        everywhere = np.arange(self.count.size)
        _, deviation = self._metrics(everywhere, self.mean, self.m2, self.count)
        at = self.control.points
        full = np.full(len(at), self.size)
        exact, _ = self._metrics(at, self.mean[:, at], self.m2[:, at], full)
        ones, none = np.ones(self.count.size, int), np.zeros_like(self.mean)
        parts = np.stack([self._metrics(everywhere, p, none, ones)[0] for p in self.parts])
        sizes = np.diff(self._rungs, prepend=0)
        value, left = self.control.corrected(exact, parts, sizes, deviation)
        return value[:, points], left[:, points]

    def _join(
        self, points: np.ndarray, start: int, stop: int, mean: np.ndarray, m2: np.ndarray
    ) -> None:
        with np.errstate(invalid="ignore", over="ignore"):
            apart = mean - self.mean[:, points]
            self.m2[:, points] += m2 + np.square(apart) * (start * (stop - start) / stop)
            joined = self.mean[:, points] + apart * ((stop - start) / stop)
        broken = ~np.isfinite(self.mean[:, points])
        self.mean[:, points] = np.where(broken, self.mean[:, points], joined)
        self.count[points] = stop
        self.spent += (stop - start) * len(points)


def _rungs(size: int, step: int, first: int, scouts: int) -> np.ndarray:
    """Numbers of samples at which rounds end; the last is all."""
    found = [scouts] if scouts else []
    if step:
        found += [k * first for k in range(1, _PARTS) if k * first < 0.75 * size]
        count = float(_PARTS * first)
        while (rounded := -(-int(count) // step) * step) < 0.75 * size:
            found.append(rounded)
            count *= _GROWTH
    return np.unique([*found, size])
