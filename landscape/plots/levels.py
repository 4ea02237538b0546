"""Levels of contour lines: round numbers, in a range that one abyss or one peak does not spoil."""

from __future__ import annotations

import numpy as np
from matplotlib.ticker import MaxNLocator

from landscape.results.words import is_gain

_TICKS = 8  # of a colour bar, at most
HUGE = 1e100  # no axis shows this together with other values


def contour_levels(
    values: np.ndarray, *, lines: int = 12, ceiling: float | None = None
) -> np.ndarray:
    """The range that is resolved, with round levels in between.

    The first is the smallest value, the last the ceiling. The others are round: 1, 2 or 5 times a
    power of ten where the values are positive and span at least a factor of ten (over more than
    `lines`/3 decades the powers alone, over less than two also 3, 4, 6 …), else multiples of one
    step of 1, 2 or 5 times a power of ten.

    Args:
        values: Any shape; what is not finite is left out.
        lines: About how many levels.
        ceiling: The last level; default: see `landscape.plots.surface.plot_surface`.

    Raises:
        ValueError: If no value is finite, or the ceiling is not above the minimum.

    >>> contour_levels(np.array([0.08, 10.0, 70.0])).tolist()
    [0.08, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 70.0]
    >>> contour_levels(np.array([-1.0, 0.0, 1.0]), lines=3).tolist()
    [-1.0, 0.0, 1.0]
    """
    low, high = resolved(values, ceiling=ceiling)
    inside = _between(low, high, max(lines, 2))
    room = 1e-9 * (high - low)
    return np.array([low, *inside[(inside > low + room) & (inside < high - room)], high])


def labelled(levels: np.ndarray) -> np.ndarray:
    """Those levels that carry their value: of a logarithmic series 1, 2 and 5, else all.

    >>> labelled(np.array([6.0, 7, 8, 9, 10, 20, 30, 40, 50])).tolist()
    [10.0, 20.0, 50.0]
    """
    if len(levels) < 3 or levels[0] <= 0 or np.allclose(np.diff(levels, 2), 0):
        return levels
    mantissa = levels / 10.0 ** np.floor(np.log10(levels * (1 + 1e-9)))
    round_ones = levels[np.isclose(mantissa[:, None], [1, 2, 5]).any(axis=1)]
    return round_ones if len(round_ones) > 1 else levels


def resolved(values: np.ndarray, *, ceiling: float | None = None) -> tuple[float, float]:
    """Smallest and largest value that a picture tells apart; see `contour_levels`."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError("No value of the surface is finite; measure it on a smaller extent.")
    finite = finite[np.abs(finite) < HUGE] if (np.abs(finite) < HUGE).any() else finite
    low, high = _floor(finite), float(finite.max())
    if ceiling is None:
        quartile = float(np.quantile(finite, 0.25))
        reach = max(low + 20 * (quartile - low), 1000 * low)
        ceiling = min(high, reach) if quartile > low else high
        if ceiling <= low:  # a constant surface
            ceiling = low + (abs(low) or 1.0) * 1e-3
    if not ceiling > low:
        raise ValueError(f"ceiling must be above the smallest value, {low:g}; got {ceiling:g}.")
    return low, float(ceiling)


def ceiling_of(values: np.ndarray, metric: str) -> float | None:
    """The largest value of a metric that is good where it is high; else None: as for a loss."""
    finite = values[np.isfinite(values)]
    high = is_gain(metric) and finite.size > 0 and finite.max() > finite.min()
    return float(finite.max()) if high else None


def short(value: float, digits: int = 2) -> str:
    """Two digits: 0.048, 1.3, 410, 2e+06."""
    return f"{float(f'{value:.{digits}g}'):.{max(digits, 6)}g}"


def distinct(values: np.ndarray) -> list[str]:
    """As many digits as tell the values apart: 3.9 and 3.8, or 3.913 and 3.912."""
    count = len(set(values.tolist()))
    shorter = ([short(value, digits) for value in values] for digits in range(2, 17))
    return next((s for s in shorter if len(set(s)) == count), [f"{v:.17g}" for v in values])


def round_ones(levels: np.ndarray) -> np.ndarray:
    """The levels without an end that has more than two digits, which no line is drawn at.

    >>> round_ones(np.array([0.2186, 0.5, 1.0, 1.87312])).tolist()
    [0.5, 1.0]
    """
    kept = [levels[0] == float(f"{levels[0]:.2g}"), *[True] * (len(levels) - 2)]
    kept.append(levels[-1] == float(f"{levels[-1]:.2g}"))
    return levels[kept] if sum(kept) > 1 else levels


def ticks_of(levels: np.ndarray) -> np.ndarray:
    """Those levels that are named at a colour bar: the labelled ones, at most `_TICKS`."""
    ticks = labelled(levels)
    return ticks[:: -(-len(ticks) // _TICKS)]


def _between(low: float, high: float, lines: int) -> np.ndarray:
    """Round numbers between, or a little beyond, two ends."""
    if low <= 0 or high < 10 * low:
        return np.asarray(MaxNLocator(nbins=lines, steps=[1, 2, 5, 10]).tick_values(low, high))
    decades = np.log10(high / low)
    mantissas = [1] if 3 * decades > lines + 3 else [1, 2, 5] if decades >= 2 else range(1, 10)
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    # Through text: 3 * 10.0**-1 is not 0.3.
    found = np.array([float(f"{mantissa}e{power}") for power in powers for mantissa in mantissas])
    return found[:: max(1, round(decades / (2 * lines)))]


def _floor(finite: np.ndarray) -> float:
    """The smallest value that is no abyss: a thousand times the middle half below it."""
    lower, upper = np.quantile(finite, (0.25, 0.75))
    if upper > lower:
        finite = finite[finite >= lower - 1000 * (upper - lower)]
    return float(finite.min())
