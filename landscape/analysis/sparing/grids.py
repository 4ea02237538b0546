"""Nested grids, and what the points of a coarser one predict of the next finer one.

The finest grid is the surface itself; every coarser one keeps about every second of its rows and
columns. A prediction is the tensor product of local cubic polynomials, in a scale in which losses
are tame: asinh, linear within the surface's range and logarithmic far above it. It is local, so a
cliff or a number that is not finite spoils only its neighbourhood (interpolating multiresolution:
Harten 1995, Comm. Pure Appl. Math. 48; Donoho 1992, interpolating wavelet transforms).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FIRST = 9  # points along each axis of the coarsest grid
_BEND = 0.3  # share of the range over which the scale bends from linear to logarithmic


@dataclass(frozen=True)
class Level:
    """A grid and how the coarser one before it predicts it.

    Attributes:
        rows: Which rows of the finest grid it holds.
        columns: Which columns.
        new: Which of its points the coarser grid has not, shape (rows, columns).
        cubic: Weights of the coarser rows and columns: (rows, coarse rows), (columns, coarse
            columns); None on the coarsest grid.
        linear: The same for linear interpolation.
    """

    rows: np.ndarray
    columns: np.ndarray
    new: np.ndarray
    cubic: tuple[np.ndarray, np.ndarray] | None = None
    linear: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def sides(self) -> tuple[np.ndarray, np.ndarray]:
        """Its rows and columns."""
        return self.rows, self.columns

    @property
    def at(self) -> tuple[np.ndarray, np.ndarray]:
        """Index of its points in arrays of the finest grid, after any leading axes."""
        rows, columns = np.ix_(self.rows, self.columns)
        return rows, columns


def nested_levels(shape: tuple[int, int]) -> list[Level]:
    """Grids from the coarsest to the finest, of `shape` (rows, columns)."""
    sides = [_halvings(n) for n in shape]
    depth = max(map(len, sides))
    rows, columns = (side + [side[-1]] * (depth - len(side)) for side in sides)
    found = [Level(rows[0], columns[0], np.ones((len(rows[0]), len(columns[0])), bool))]
    for k in range(1, depth):
        old = np.outer(np.isin(rows[k], rows[k - 1]), np.isin(columns[k], columns[k - 1]))
        cubic, linear = (
            (interpolation(rows[k], rows[k - 1], n), interpolation(columns[k], columns[k - 1], n))
            for n in (4, 2)
        )
        found.append(Level(rows[k], columns[k], ~old, cubic, linear))
    return found


def predict(
    coarse: np.ndarray, level: Level, *, low: float, span: float
) -> tuple[np.ndarray, np.ndarray]:
    """What a coarser grid says about the points of `level`.

    Args:
        coarse: Values on the grid before, shape (coarse rows, coarse columns).
        level: The finer grid.
        low: Where the scale is linear.
        span: Range of the surface.

    Returns:
        Values of shape (rows, columns), and where there is none because some but not all of the
        nearest four are finite, or they are not finite in different ways.
    """
    assert level.cubic is not None
    assert level.linear is not None
    finite = np.isfinite(coarse)
    bend = _BEND * span
    with np.errstate(over="ignore"):
        tame = np.arcsinh((np.where(finite, coarse, low) - low) / bend)
        found = low + bend * np.sinh(_apply(level.cubic, tame))
        if finite.all():
            return found, np.zeros(found.shape, bool)
        plain = low + bend * np.sinh(_apply(level.linear, tame))
    reaches = _apply(tuple(w != 0 for w in level.cubic), ~finite) > 0
    found = np.where(reaches, plain, found)
    torn = _apply(level.linear, ~finite) > 0
    for kind, alike in (
        (np.nan, np.isnan(coarse)), (np.inf, np.isposinf(coarse)), (-np.inf, np.isneginf(coarse))
    ):  # fmt: skip
        unanimous = _apply(level.linear, alike) > 1 - 1e-9
        found[unanimous], torn[unanimous] = kind, False
    return np.where(torn, np.nan, found), torn


def spread(values: np.ndarray, level: Level) -> np.ndarray:
    """Interpolate linearly, for errors: never above the values that are interpolated."""
    assert level.linear is not None
    finite = np.isfinite(values)
    found = _apply(level.linear, np.where(finite, values, 0))
    if not finite.all():
        found[_apply(level.linear, 1.0 * ~finite) > 0] = np.inf
    return found


def around(values: np.ndarray, level: Level, coarse: Level) -> np.ndarray:
    """The largest of a coarser grid's values about each point of `level`, two cells wide."""
    wide = np.pad(values, 1, mode="edge")
    height, width = values.shape
    nine = [wide[i : i + height, j : j + width] for i in range(3) for j in range(3)]
    most = np.max(nine, axis=0)
    below = [np.searchsorted(c, f, "right") - 1 for f, c in _sides(level, coarse)]
    above = [np.searchsorted(c, f, "left") for f, c in _sides(level, coarse)]
    return np.max([most[np.ix_(r, c)] for r, c in _corners(below, above)], axis=0)


def _sides(level: Level, coarse: Level) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(level.rows, coarse.rows), (level.columns, coarse.columns)]


def _corners(below: list[np.ndarray], above: list[np.ndarray]) -> list[tuple]:
    return [(r, c) for r in (below[0], above[0]) for c in (below[1], above[1])]


def _halvings(n: int) -> list[np.ndarray]:
    """Rows of every level, from about `_FIRST` to all n: midpoints are added until no gap is."""
    kept = np.unique(np.linspace(0, n - 1, min(n, _FIRST)).round().astype(int))
    found = [kept]
    while np.diff(kept).max() > 1:
        kept = np.unique(np.concatenate([kept, (kept[:-1] + kept[1:]) // 2]))
        found.append(kept)
    return found


def interpolation(fine: np.ndarray, coarse: np.ndarray, count: int) -> np.ndarray:
    """Lagrange weights of the `count` coarse places about each fine one, (fine, coarse)."""
    count = min(count, len(coarse))
    found = np.zeros((len(fine), len(coarse)))
    for row, x in zip(found, fine, strict=True):
        start = int(np.clip(np.searchsorted(coarse, x) - count // 2, 0, len(coarse) - count))
        nodes = coarse[start : start + count].astype(float)
        for k, node in enumerate(nodes):
            others = np.delete(nodes, k)
            row[start + k] = np.prod((x - others) / (node - others))
    return found


def _apply(weights: tuple[np.ndarray, ...], values: np.ndarray) -> np.ndarray:
    rows, columns = weights
    return rows.astype(float) @ values.astype(float) @ columns.astype(float).T
