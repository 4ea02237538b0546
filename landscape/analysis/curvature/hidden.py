"""Further copies of an eigenvalue, which one Krylov sequence cannot see.

A sequence that starts from one vector meets every multiple eigenvalue once. So another random
vector is followed outside of the subspace, until a copy shows or is unlikely.
"""

from __future__ import annotations

import numpy as np

from landscape.analysis.curvature.aim import Aim
from landscape.analysis.curvature.krylov import Krylov

_UNSEEN = 0.01  # chance that a hidden copy of an eigenvalue goes unnoticed
_LOOK = 0.25  # of the products so far, at most, are spent on looking for hidden copies


def look(space: Krylov, aim: Aim, random: np.random.Generator, most: int) -> tuple[float, bool]:
    """Go on from a random vector until a hidden eigenvalue shows, or can be excluded.

    A unit vector whose component along an unseen eigenvector with eigenvalue μ is c has
    |c| ≤ Π β_j / Π |μ - θ_i|, with the Ritz values θ and rests β of its own sequence. Random
    vectors have components of about 1/√n.

    Returns:
        The smallest μ that can be excluded, and whether a hidden one was found instead.
    """
    value = np.sort(space.ritz().value)
    scale = float(np.abs(value).max())
    slack = max(aim.tolerance, 1e-10) * scale
    high = value[-aim.top] + slack if aim.top else np.inf
    low = value[aim.bottom - 1] - slack if aim.bottom else -np.inf
    # The other end, deep in the bulk, would cost too much to exclude: it is only looked at.
    target = high if aim.top else low
    first, rests, own = space.count, 0.0, np.zeros(1)
    space.begin(random.standard_normal(space.size))
    component = np.log(1.25 * _UNSEEN / np.sqrt(space.size))
    for _ in range(max(4, int(_LOOK * space.products))):
        length = space.grow()
        own = np.linalg.eigvalsh(space.matrix[first:, first:])
        if space.whole:
            return -np.inf, False
        if own[-1] > high or own[0] < low:
            return np.inf, True
        if length == 0.0:
            return -np.inf, False
        rests += np.log(length)
        if space.products >= most:
            break
        if rests - np.log(np.abs(target - own)).sum() < component:
            break
    beyond = target if not aim.top else _excluded(own, rests - component)
    return float(beyond), False


def _excluded(own: np.ndarray, rests: float) -> float:
    """The smallest μ above all Ritz values with Σ log(μ - θ_i) ≥ rests."""
    low, high = own[-1], own[-1] + np.exp(rests / len(own)) + 1e-300
    for _ in range(60):
        middle = (low + high) / 2
        enough = middle > own[-1] and np.log(middle - own).sum() >= rests
        low, high = (low, middle) if enough else (middle, high)
    return high
