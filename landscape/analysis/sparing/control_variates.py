"""Control points: a few points on all samples say how the first n samples err elsewhere too.

What one sample adds to the loss changes smoothly over the plane, so most of it is known from the
same sample at the control points around. With interpolation weights w, stretches s of the order of
samples, and means μ over stretches,

    L(p) ≈ Σ_a w_a(p) L(a) + Σ_s n_s r_s / n,      r_s = μ_s(p) - Σ_a w_a(p) μ_s(a),

where L(a) is on all samples. The estimate stays unbiased, and only the spread of the residual r is
left of the samples' (control variates; Cochran 1977, section 7.2). That spread is seen in how r_s
differs from stretch to stretch: little at one point, so it is put together with that of all
points, relative to the spread of the samples there.
"""

from __future__ import annotations

import numpy as np

from landscape.analysis.sparing.grids import Level, interpolation

_EVERY = 2  # of the rows and columns of the coarsest grid
_CAUTION = 1.2  # a spread seen in few stretches may be larger
_WEIGHT = 4.0  # stretches that the other points' residuals count for


class Control:
    """Control points of a surface.

    Args:
        coarsest: The coarsest grid; every second of its rows and columns is used.
        shape: Rows and columns of the surface.

    Attributes:
        points: The control points, as indices in the flat surface.
    """

    def __init__(self, coarsest: Level, shape: tuple[int, int]) -> None:
        rows, columns = (np.unique([*side[::_EVERY], side[-1]]) for side in coarsest.sides)
        self.points: np.ndarray = (rows[:, None] * shape[1] + columns).ravel()
        self._weights = [
            np.kron(
                interpolation(np.arange(shape[0]), rows, count),
                interpolation(np.arange(shape[1]), columns, count),
            )
            for count in (4, 2)
        ]

    def corrected(
        self,
        exact: np.ndarray,
        parts: np.ndarray,
        sizes: np.ndarray,
        deviation: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Metrics and the standard deviations over samples that are left of them.

        Args:
            exact: Metrics of the control points on all samples, shape (metrics, controls).
            parts: Means over stretches, shape (stretches, metrics, points) for all points of the
                surface; NaN where not measured.
            sizes: Samples of every stretch.
            deviation: Standard deviations over samples, shape (metrics, points).

        Returns:
            Two arrays of shape (metrics, points), of the better of cubic and linear interpolation;
            the deviation is infinite where there is nothing to tell it from.
        """
        found = [self._by(w, exact, parts, sizes, deviation) for w in self._weights]
        _, value, left = min(found, key=lambda entry: entry[0])
        return value, left

    def _by(
        self,
        weights: np.ndarray,
        exact: np.ndarray,
        parts: np.ndarray,
        sizes: np.ndarray,
        deviation: np.ndarray,
    ) -> tuple[float, np.ndarray, np.ndarray]:
        with np.errstate(all="ignore"):
            at = parts[:, :, self.points]
            usable = np.isfinite(exact) & np.isfinite(at).all(axis=0)
            blind = (~usable).astype(float) @ (weights.T != 0) > 0
            exact, at = (np.where(usable, a, 0) for a in (exact, at))
            residual = parts - at @ weights.T
            known = np.isfinite(residual) & ~blind
            count = np.where(known, sizes[:, None, None], 0)
            filled = np.where(known, residual, 0)
            mean = (count * filled).sum(axis=0) / count.sum(axis=0)
            degrees = np.maximum(known.sum(axis=0) - 1, 0)
            square = (count * np.square(filled - mean)).sum(axis=0)
            share = square / np.square(deviation)
            telling = np.isfinite(share) & (degrees > 0)
            pooled = np.array(
                [
                    np.minimum(s, d)[t].sum() / d[t].sum() if t.any() else np.inf
                    for s, d, t in zip(share, degrees, telling, strict=True)
                ]
            )
            prior = pooled[:, None] * np.square(deviation)
            left = _CAUTION * np.sqrt((_WEIGHT * prior + square) / (_WEIGHT + degrees))
            left = np.where(telling & ~blind, left, np.inf)
        return float(pooled[0]), exact @ weights.T + mean, left
