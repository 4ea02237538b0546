"""Points from coarse to fine: each is predicted before it is measured.

Every level's new points are predicted from the level before. Where a point is measured, the
difference to the prediction is the interpolation's error there, observed; where it is not, the
error is at most `decay` times the largest of those about it on the level before. `decay` is not
assumed: it is the 95 % quantile of that ratio over the points that were measured. A point is left
to the interpolation only while this estimate stays within its share of the tolerance, so that
cliffs and chaos are measured to the last point. Errors count relative to the range of the surface
(5 to 95 %), or to the height above its median where that is larger. The first metric decides;
the others, measured at the same points on the same samples, are estimated alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.analysis.fast.control import Control
from landscape.analysis.fast.levels import around, nested_levels, predict, spread
from landscape.analysis.fast.rounds import Rounds

_DECAY = (0.1, 1.0)  # least and most
_SAMPLES, _POINTS = 0.8, 0.6  # shares of the tolerance; their squares add up to 1
_FULL = 2  # levels that are measured everywhere
_WORTH = 2  # times the control points' passes that the others need without them
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
        full: Levels that are measured everywhere.
    """

    def __init__(
        self, rounds: Rounds, shape: tuple[int, int], *, metrics: int, full: int = _FULL
    ) -> None:
        self.rounds, self.shape, self.metrics, self.full = rounds, shape, metrics, full
        self.levels = nested_levels(shape)
        self.number = np.arange(shape[0] * shape[1]).reshape(shape)
        self._decay = np.full(metrics, 0.5)  # that of other metrics is not learned
        self._decay[0] = 0.25
        self._low, self._middle = np.zeros(metrics), np.zeros(metrics)
        self._span = np.full(metrics, np.nan)

    def fill(self, tolerance: float) -> Filled:
        """Measure until the estimated errors are within `tolerance`, a share of the scale.

        It ends when another round asks for no further point or sample: the range and the decay
        are then those of the surface itself.
        """
        if np.isnan(self._span).any():
            first = self.number[self.levels[0].at].ravel()
            self.rounds.begin(first)
            begun = first[self.rounds.count[first] > 0]
            self._look(self.rounds.known(begun)[0])
            self._control(begun, tolerance)
        while True:
            before, span = self.rounds.spent, self._span.copy()
            filled = self._round(tolerance)
            self._look(filled.values.reshape(self.metrics, -1))
            steady = np.all(np.abs(self._span - span) <= 0.05 * span)
            if self.rounds.short or (self.rounds.spent == before and steady):
                return filled

    def _control(self, begun: np.ndarray, tolerance: float) -> None:
        """Measure control points on all samples, where this costs less than it saves."""
        found, error = self.rounds.known(begun)
        control = Control(self.levels[0], self.shape)
        points = sum(int(level.new.sum()) for level in self.levels[: self.full])
        n, size = self.rounds.count[begun], self.rounds.size
        with np.errstate(all="ignore"):
            excess = np.square(error[0] / (_SAMPLES * tolerance * self._scale(found)[0]))
            needed = 1 / (1 / size + (1 / n - 1 / size) / np.maximum(excess, 1))
        passes = points * float(np.mean(np.nan_to_num(needed, nan=size))) / size
        room = self.rounds.limit is None or 4 * len(control.points) * size < self.rounds.limit
        if self.rounds.stretches.step and passes > _WORTH * len(control.points) and room:
            self.rounds.finish(control.points)
            self.rounds.control = control

    def _round(self, tolerance: float) -> Filled:
        points = self.shape[0] * self.shape[1]
        values, gap, doubt, detail = np.zeros((4, self.metrics, points))
        ratios: list[np.ndarray] = []
        for k, level in enumerate(self.levels):
            new = self.number[level.at][level.new]
            if k:
                coarse = self.levels[k - 1]
                held = [a[:, self.number[coarse.at]] for a in (values, gap, doubt, detail)]
                guess, error, unsure, basis = (a[:, level.new] for a in self._guess(held, k))
            else:
                guess, error, basis = np.full((3, self.metrics, len(new)), np.inf)
                unsure = np.zeros(guess.shape)
            scale = self._scale(guess)
            urgency = error[0] / scale[0]
            asked = (k < self.full) | (urgency > _POINTS * tolerance)
            shuffled = np.random.default_rng(k).permutation(np.flatnonzero(asked))
            self.rounds.begin(new[shuffled[np.argsort(-urgency[shuffled], kind="stable")]])
            known = self.rounds.count[new] > 0
            found, _ = self.rounds.known(new[known])
            share = _SAMPLES if self.rounds.stretches.step else 1.0
            self.rounds.reach(new[known], share * tolerance * self._scale(found)[0])
            found, inexact = self.rounds.known(new[known])
            noise = np.hypot(inexact, unsure[:, known])
            observed = apart(found, guess[:, known], noise) / self._scale(found)
            if k >= 2:
                ratios.append(_ratios(observed[0], basis[0, known], tolerance))
                self._learn(np.concatenate(ratios))
            if k == 1 and known.sum() >= _ENOUGH:  # the limit left some out: as bad as the worst
                error = np.minimum(error, observed.max(axis=1, keepdims=True) * scale)
            values[:, new], gap[:, new], doubt[:, new] = guess, error, unsure
            detail[:, new] = error / scale
            # A few samples, where the limit ended a round, can be worse than the neighbours.
            better = np.flatnonzero(known)[inexact[0] <= np.hypot(error[0], unsure[0])[known]]
            kept = np.isin(np.flatnonzero(known), better)
            values[:, new[better]], gap[:, new[better]] = found[:, kept], 0
            doubt[:, new[better]] = inexact[:, kept]
            detail[:, new[known]] = observed if k else 0
        values, gap, doubt = (a.reshape(-1, *self.shape) for a in (values, gap, doubt))
        return Filled(
            values=values,
            gap=gap,
            doubt=doubt,
            measured=self.rounds.count.reshape(self.shape) > 0,
            scale=self._scale(values),
            span=self._span.copy(),
            decay=float(self._decay[0]),
        )

    def _guess(self, held: list[np.ndarray], k: int) -> tuple[np.ndarray, ...]:
        """Values of level k, errors, doubts and what the errors rest on, from the level before."""
        values, gap, doubt, detail = held
        level, coarse = self.levels[k], self.levels[k - 1]
        found = []
        for m in range(self.metrics):
            guess, torn = predict(values[m], level, low=self._low[m], span=self._span[m])
            basis = around(detail[m], level, coarse)
            with np.errstate(invalid="ignore"):
                error = self._decay[m] * basis * self._scale(guess[None], m)[0]
            error = np.where(torn | (k == 1), np.inf, error + spread(gap[m], level))
            found.append((guess, error, spread(doubt[m], level), basis))
        return tuple(np.stack(part) for part in zip(*found, strict=True))

    def _learn(self, ratios: np.ndarray) -> None:
        if len(ratios) >= _ENOUGH:
            self._decay[0] = np.clip(np.quantile(ratios, 0.95), *_DECAY)

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
    """How errors shrink from one level to the next, where there is an error to speak of."""
    telling = np.isfinite(observed) & np.isfinite(basis) & (basis > 0.1 * tolerance)
    return observed[telling] / basis[telling]
