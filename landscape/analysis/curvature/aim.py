"""Which eigenpairs are wanted, and when they are known well enough."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ZERO = 1e-4


class Aim(NamedTuple):
    """Which pairs are wanted, and how well.

    Attributes:
        top: How many of the largest eigenvalues.
        bottom: How many of the smallest.
        tolerance: Residual that is accepted, as a share of a pair's own |λ|.
        zero: Residual that is accepted of any pair, as a share of the largest |λ|: a pair that is
            smaller is known as "zero within r".
    """

    top: int
    bottom: int
    tolerance: float
    zero: float

    def places(self, values: int) -> np.ndarray:
        """Places of the pairs among so many increasing values: top decreasing, bottom increasing.

        >>> Aim(2, 1, 1e-3, 1e-4).places(5).tolist()
        [4, 3, 0]
        """
        bottom = min(self.bottom, max(0, values - self.top))
        return np.concatenate([np.arange(values)[::-1][: self.top], np.arange(bottom)])

    def met(self, value: np.ndarray, residual: np.ndarray, scale: float) -> np.ndarray:
        """Whether pairs are known well enough; `scale` is the largest |λ|."""
        return residual <= np.maximum(self.tolerance * np.abs(value), self.zero * scale)


def zero_of(tolerance: float, zero: float | None) -> float:
    """What `Aim.zero` is by default: 1e-4, or the tolerance where that is smaller.

    >>> zero_of(1e-3, None), zero_of(1e-6, None), zero_of(1e-6, 1e-2)
    (0.0001, 1e-06, 0.01)
    """
    return min(tolerance, ZERO) if zero is None else zero
