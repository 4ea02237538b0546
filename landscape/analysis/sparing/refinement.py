"""Points from coarse to fine: each is predicted before it is measured.

Every level's new points are predicted from the level before. What the prediction's error is told
from depends on the data:

With scouts, a few samples at every point, the same interpolation of their surface, from the same
points, misses them somewhere. Samples are common to all points, so that surface has no noise, and
what it has between measured points (a needle, a ridge, a step, a border of numbers that are not
finite) the true one very probably has too. A point's error is at most `decay` times the largest
miss about it, `decay` at least one.

Without, the error is at most `decay` times the largest of those about it on the level before,
which is seen where points were measured; what lies between points that agree is not seen.

`decay` is not assumed: it is the 95 % quantile of that ratio over the points that were measured. A
point is left to the interpolation only while this estimate stays within its share of the tolerance,
so that cliffs and chaos are measured to the last point. Errors count relative to the range of the
surface (5 to 95 %), or to the height above its median where that is larger. The first metric
decides; the others, measured at the same points on the same samples, are estimated alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.analysis.sparing.control_variates import Control
from landscape.analysis.sparing.grids import Level, around, nested_levels, predict, spread
from landscape.analysis.sparing.rounds import Rounds

_DECAY = (0.1, 1.0)  # least and most
_BELIEF = (1.0, 3.0)  # the same, of scouts
_SAMPLES, _POINTS = 0.8, 0.6  # shares of the tolerance; their squares add up to 1
_WORTH = 1  # times the control points' passes that the others need without them
_ENOUGH = 20  # points from which anything is learned


@dataclass
class Filled:
    """A whole surface, measured and interpolated.

    Attributes:
        values: Shape (metrics, rows, columns).
        gap: Estimated error of the interpolation, 0 where measured, infinite where unknown.
        doubt: Error from the choice of samples, of 95 %.
        measured: Which points were measured on any samples, shape (rows, columns).
        scale: What errors count relative to, shape (metrics, rows, columns).
        span: Range of every metric, 5 to 95 %.
        decay: How the first metric's interpolation error shrinks from level to level.
    """

    values: np.ndarray
    gap: np.ndarray
    doubt: np.ndarray
    measured: np.ndarray
    scale: np.ndarray
    span: np.ndarray
    decay: float

    @property
    def error(self) -> np.ndarray:
        """Both errors together, in the metrics' units."""
        with np.errstate(over="ignore"):
            return np.hypot(self.gap, self.doubt)


class Refinement:
    """The points of a surface, measured as far as a tolerance asks.

    Args:
        rounds: Measures.
        shape: Rows and columns of the surface.
        metrics: Number of metrics.
        full: Levels that are measured everywhere; None: one where there are scouts, else two.
    """

    metrics: int
    rounds: Rounds
    shape: tuple[int, int]

    def __init__(
        self, rounds: Rounds, shape: tuple[int, int], *, metrics: int, full: int | None = None
    ) -> None:
        self.rounds, self.shape, self.metrics = rounds, shape, metrics
        self.levels: list[Level] = nested_levels(shape)
        self.full: int = full or (1 if rounds.scouts else 2)
        self.scouts: np.ndarray | None = None
        self.number: np.ndarray = np.arange(shape[0] * shape[1]).reshape(shape)
        self._decay = np.full(metrics, 1.0 if rounds.scouts else 0.25)
        self._low, self._middle = np.zeros(metrics), np.zeros(metrics)
        self._span = np.full(metrics, np.nan)

    def fill(self, tolerance: float) -> Filled:
        """Measure until the estimated errors are within `tolerance`, a share of the scale.

        It ends when another round asks for no further point or sample: the range and the decay
        are then those of the surface itself.
        """
        if np.isnan(self._span).any():
            if self.rounds.scouts and self.full < len(self.levels):
                self.scouts = self.rounds.scout()
            first = self.number[self.levels[0].at].ravel()
            self.rounds.begin(first)
            begun = first[self.rounds.measured[first]]
            self._look(self.rounds.known(begun)[0])
            self._control(begun, tolerance)
        while True:
            before, span = self.rounds.spent, self._span.copy()
            filled = self._round(tolerance)
            self._look(filled.values.reshape(self.metrics, -1))
            steady = np.all(np.abs(self._span - span) <= 0.05 * span)
            if self.rounds.short or (self.rounds.spent == before and steady):
                return filled

    def part(self, tolerance: float, shard: tuple[int, int]) -> None:
        """Measure part i of n, `shard` = (i, n), of the points that are sure to be asked for.

        Scouts tell many of them, else they are the coarsest; more depends on what is found.
        """
        if self.rounds.scouts and self.full < len(self.levels):
            self.scouts = self.rounds.scout()
            self._look(self.scouts)
        index, count = shard
        points, before = np.flatnonzero(self._wanted(tolerance))[index::count], -1
        self.rounds.begin(points)
        while self.rounds.spent != before:
            before = self.rounds.spent
            found, _ = self.rounds.known(points)
            if self.scouts is None:
                self._look(found)
            self.rounds.reach(points, self._allowed(found, tolerance))

    def _control(self, begun: np.ndarray, tolerance: float) -> None:
        """Measure control points on all samples, where this costs less than it saves."""
        found, error = self.rounds.known(begun)
        control = Control(self.levels[0], self.shape)
        points = int(self._wanted(tolerance).sum())
        n, size = self.rounds.count[begun], self.rounds.size
        with np.errstate(all="ignore"):
            excess = np.square(error[0] / (_SAMPLES * tolerance * self._scale(found)[0]))
            needed = 1 / (1 / size + (1 / n - 1 / size) / np.maximum(excess, 1))
        passes = points * float(np.mean(np.nan_to_num(needed, nan=size))) / size
        room = self.rounds.limit is None or 4 * len(control.points) * size < self.rounds.limit
        if self.rounds.stretches.step and passes > _WORTH * len(control.points) and room:
            self.rounds.finish(control.points)
            self.rounds.control = control

    def _wanted(self, tolerance: float) -> np.ndarray:
        """Which points are going to be measured, as far as that is known; shape (points,)."""
        wanted = np.zeros(self.number.size, bool)
        if self.scouts is None:
            for level in self.levels[: self.full]:
                wanted[self.number[level.at]] = True
            return wanted
        rest = self.scouts[0].copy()
        wanted[self.number[self.levels[0].at]] = True
        for k, level in enumerate(self.levels[1:], start=1):
            seen, told, miss = self._missed(rest, 0, k)
            asked = level.new & (miss > _POINTS * tolerance)
            rest[self.number[level.at]] = np.where(asked, seen, told)
            wanted[self.number[level.at][asked]] = True
        return wanted

    def _missed(self, rest: np.ndarray, m: int, k: int) -> tuple[np.ndarray, ...]:
        """Level k of the scouts, what is told of it from `rest`, and the largest miss about."""
        assert self.scouts is not None
        level, coarse = self.levels[k], self.levels[k - 1]
        seen, before = self.scouts[m][self.number[level.at]], rest[self.number[coarse.at]]
        told, _ = predict(before, level, low=self._low[m], span=self._span[m])
        miss = apart(seen, told) / self._scale(told[None], m)[0]
        return seen, told, around(miss, level, level)

    def _round(self, tolerance: float) -> Filled:
        points = self.shape[0] * self.shape[1]
        values, gap, doubt, rest = np.zeros((4, self.metrics, points))
        ratios: list[np.ndarray] = []
        for k, level in enumerate(self.levels):
            new = self.number[level.at][level.new]
            if k:
                guess, error, unsure, basis = self._guess(values, gap, doubt, rest, k)
            else:
                guess, error, basis = np.full((3, self.metrics, len(new)), np.inf)
                unsure = np.zeros(guess.shape)
            scale = self._scale(guess)
            urgency = error[0] / scale[0]
            asked = (k < self.full) | (urgency > _POINTS * tolerance)
            shuffled = np.random.default_rng(k).permutation(np.flatnonzero(asked))
            self.rounds.begin(new[shuffled[np.argsort(-urgency[shuffled], kind="stable")]])
            known = self.rounds.measured[new]
            found, _ = self.rounds.known(new[known])
            self.rounds.reach(new[known], self._allowed(found, tolerance))
            found, inexact = self.rounds.known(new[known])
            noise = np.hypot(inexact, unsure[:, known])
            observed = apart(found, guess[:, known], noise) / self._scale(found)
            if k >= (2 if self.scouts is None else 1):
                ratios.append(_ratios(observed, basis[:, known], tolerance))
                self._learn(np.concatenate(ratios, axis=1))
            if k == 1 and known.sum() >= _ENOUGH:  # the limit left some out: as bad as the worst
                error = np.minimum(error, observed.max(axis=1, keepdims=True) * scale)
            values[:, new], gap[:, new], doubt[:, new] = guess, error, unsure
            # A few samples, where the limit ended a round, can be worse than the neighbours.
            better = np.flatnonzero(known)[inexact[0] <= np.hypot(error[0], unsure[0])[known]]
            kept = np.isin(np.flatnonzero(known), better)
            values[:, new[better]], gap[:, new[better]] = found[:, kept], 0
            doubt[:, new[better]] = inexact[:, kept]
            if self.scouts is None:
                rest[:, new] = error / scale
                rest[:, new[known]] = observed if k else 0
            else:
                rest[:, new[known]] = self.scouts[:, new[known]]
        values, gap, doubt = (a.reshape(-1, *self.shape) for a in (values, gap, doubt))
        return Filled(
            values=values,
            gap=gap,
            doubt=doubt,
            measured=self.rounds.measured.reshape(self.shape),
            scale=self._scale(values),
            span=self._span.copy(),
            decay=float(self._decay[0]),
        )

    def _guess(
        self, values: np.ndarray, gap: np.ndarray, doubt: np.ndarray, rest: np.ndarray, k: int
    ) -> tuple[np.ndarray, ...]:
        """Values of level k's new points, errors, doubts and what the errors rest on.

        They rest on the level before, or on how the same interpolation of the scouts' surface
        (`rest`, where it is known by then) misses the scouts.
        """
        level, coarse = self.levels[k], self.levels[k - 1]
        before = self.number[coarse.at]
        found = []
        for m in range(self.metrics):
            low, span = self._low[m], self._span[m]
            guess, torn = predict(values[m][before], level, low=low, span=span)
            scale = self._scale(guess[None], m)[0]
            inherited = spread(gap[m][before], level)
            if self.scouts is None:
                basis = around(rest[m][before], level, coarse)
                blind = torn | (k == 1)
            else:
                seen, rest[m][self.number[level.at]], basis = self._missed(rest[m], m, k)
                blind = torn & ~((seen == guess) | np.isnan(seen) & np.isnan(guess))
            with np.errstate(invalid="ignore"):
                own = self._decay[m] * basis * scale
            error = own + inherited if self.scouts is None else np.maximum(own, inherited)
            error = np.where(blind, np.inf, error)
            found.append(
                [a[level.new] for a in (guess, error, spread(doubt[m][before], level), basis)]
            )
        return tuple(np.stack(part) for part in zip(*found, strict=True))

    def _learn(self, ratios: np.ndarray) -> None:
        """How large errors are to be expected, from those that were seen."""
        bounds = _DECAY if self.scouts is None else _BELIEF
        for m, row in enumerate(ratios):
            telling = row[np.isfinite(row)]
            if len(telling) >= _ENOUGH:
                self._decay[m] = np.clip(np.quantile(telling, 0.95), *bounds)

    def _look(self, values: np.ndarray) -> None:
        """Range, minimum and median of every metric, of the finite values seen so far."""
        for m, row in enumerate(values):
            finite = row[np.isfinite(row)]
            if not len(finite):
                finite = np.zeros(1)
            low, middle, high = np.quantile(finite, (0.05, 0.5, 0.95))
            least = max(1e-7 * float(np.abs(finite).max()), 1e-30)  # a constant surface
            self._span[m] = max(high - low, min(least, 1e-7 * abs(middle) + 1e-30))
            self._low[m], self._middle[m] = finite.min(), middle

    def _allowed(self, found: np.ndarray, tolerance: float) -> np.ndarray:
        """Errors from the choice of samples that points of these values may have."""
        share = _SAMPLES if self.rounds.stretches.step else 1.0
        return share * tolerance * self._scale(found)[0]

    def _scale(self, values: np.ndarray, metric: int | None = None) -> np.ndarray:
        """What errors count relative to, for values of shape (metrics, ...)."""
        chosen = slice(None) if metric is None else slice(metric, metric + 1)
        ones = (-1, *[1] * (values.ndim - 1))
        middle, span = (a[chosen].reshape(ones) for a in (self._middle, self._span))
        with np.errstate(invalid="ignore"):
            height = np.abs(values - middle)
        return np.maximum(np.where(np.isfinite(height), height, 0), span)


def apart(found: np.ndarray, guess: np.ndarray, noise: np.ndarray | float = 0.0) -> np.ndarray:
    """Distance of what was found from what was guessed; 0 where both are the same non-number.

    What the choice of samples explains, `noise` of 95 %, is no distance: it is taken off in
    quadrature.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.sqrt((np.square(found - guess) - np.square(noise)).clip(min=0))
    alike = (found == guess) | (np.isnan(found) & np.isnan(guess))
    return np.where(alike, 0, np.where(np.isfinite(found) & np.isfinite(guess), distance, np.inf))


def _ratios(observed: np.ndarray, basis: np.ndarray, tolerance: float) -> np.ndarray:
    """Errors relative to what they were expected from; NaN where there is none to speak of."""
    telling = np.isfinite(observed) & np.isfinite(basis) & (basis > 0.1 * tolerance)
    return np.where(telling, observed, np.nan) / np.where(telling, basis, 1)
