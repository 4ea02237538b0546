"""Both ends of a symmetric matrix's spectrum from one Krylov subspace, each pair to a tolerance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.analysis.curvature.krylov import Krylov, Product, Ritz

ZERO = 1e-4  # of the largest eigenvalue: "zero within its residual"
_UNSEEN = 0.01  # chance that a hidden copy of an eigenvalue goes unnoticed
_CANCELLED = 0.1  # length of the sum of two unit vectors in opposite directions, at most
_LOOK = 0.25  # of the products so far, at most, are spent on looking for hidden copies


@dataclass
class Pairs:
    """Eigenpairs: the largest by decreasing value, then the smallest by increasing value.

    Attributes:
        value: Shape (k,).
        vector: Unit vectors, shape (k, n).
        residual: ‖H u - λ u‖, at least what rounding makes it.
        converged: Whether the residual is within the tolerance.
        products: With the matrix.
        floor: Asymmetry of the products: what rounding adds to a residual.
        distinct_above: An eigenvalue that is larger and not among the pairs is unlikely (1 %);
            infinity when that was not looked at.
    """

    value: np.ndarray
    vector: np.ndarray
    residual: np.ndarray
    converged: np.ndarray
    products: int
    floor: float
    distinct_above: float


class Stopped(KeyboardInterrupt):
    """Ctrl-C, with the pairs known until then (None: none)."""

    def __init__(self, pairs: Pairs | None) -> None:
        super().__init__()
        self.pairs = pairs


def extremes(
    product: Product,
    size: int,
    *,
    top: int,
    bottom: int,
    tolerance: float,
    seed: int = 0,
    start: np.ndarray | None = None,
    gradient: np.ndarray | None = None,
    most: int = 1000,
    room: int = 400,
    ties: bool = True,
) -> Pairs:
    """The largest and smallest eigenvalues of a symmetric matrix, with their vectors.

    Args:
        product: The matrix, as a function of a vector.
        size: Its dimension.
        top: Largest eigenvalues wanted.
        bottom: Smallest eigenvalues wanted.
        tolerance: A pair has converged when its residual is below this share of its own |λ|, or
            below 1e-4 of the largest |λ| (it is then known up to that: "zero within r").
        seed: Of the random vectors.
        start: Where to begin, such as an eigenvector of a neighbouring point; random otherwise.
        gradient: Half of a random start: it leans towards both ends and saves up to a fifth of the
            products. Never all of it, being blind to what the net's symmetries hide from it.
        most: Products at most; pairs that did not converge until then say so.
        room: Vectors kept at most; beyond it the subspace is compressed (thick restart).
        ties: Look for hidden copies: one Krylov sequence meets every multiple eigenvalue once.

    Returns:
        The pairs.

    Raises:
        Stopped: On Ctrl-C.
        FloatingPointError: If a product or the gradient is not finite.
    """
    top = min(top, size)
    bottom = min(bottom, size - top)
    random = np.random.default_rng(seed)
    if start is None:
        start = _start(random, size, gradient)
    space = Krylov(product, size, start)
    above = np.inf
    room = max(room, 2 * (top + bottom) + 10)
    try:
        while True:
            if space.count >= room and not space.whole:
                _compress(space, top, bottom)
            if space.grow() == 0.0 and not space.whole:
                space.begin(random.standard_normal(size))
            if space.whole or space.products >= most:
                above = -np.inf if space.whole else above
                break
            if space.count < top + bottom or not _done(space, top, bottom, tolerance):
                continue
            if not ties:
                break
            above, hidden = _look(space, top, bottom, tolerance, random, most)
            if not hidden:
                break
    except KeyboardInterrupt:
        raise Stopped(
            _pairs(space, top, bottom, tolerance, above) if space.count else None
        ) from None
    return _pairs(space, top, bottom, tolerance, above)


def _start(random: np.random.Generator, size: int, gradient: np.ndarray | None) -> np.ndarray:
    """A random unit vector, with a gradient of the same length added."""
    start = random.standard_normal(size)
    start /= np.linalg.norm(start)
    length = 0.0 if gradient is None else float(np.linalg.norm(gradient))
    if not np.isfinite(length):
        raise FloatingPointError("the gradient is not finite")
    if gradient is None or length == 0.0:
        return start
    both = start + gradient / length
    return both if np.linalg.norm(both) > _CANCELLED else start


def wanted(values: int, top: int, bottom: int) -> np.ndarray:
    """Places of the pairs among increasing values: top decreasing, then bottom increasing."""
    bottom = min(bottom, max(0, values - top))
    return np.concatenate([np.arange(values)[::-1][:top], np.arange(bottom)])


def _errors(space: Krylov, ritz: Ritz) -> np.ndarray:
    return np.maximum(ritz.residual, space.asymmetry if space.products > 1 else 0.0)


def _within(value: np.ndarray, error: np.ndarray, tolerance: float, scale: float) -> np.ndarray:
    return error <= np.maximum(tolerance * np.abs(value), min(tolerance, ZERO) * scale)


def _done(space: Krylov, top: int, bottom: int, tolerance: float) -> bool:
    ritz = space.ritz()
    places = wanted(len(ritz.value), top, bottom)
    scale = float(np.abs(ritz.value).max())
    # What rounding adds cannot be worked off.
    return bool(_within(ritz.value[places], ritz.residual[places], tolerance, scale).all())


def _look(
    space: Krylov, top: int, bottom: int, tolerance: float, random: np.random.Generator, most: int
) -> tuple[float, bool]:
    """Go on from a random vector until a hidden eigenvalue shows, or can be excluded.

    A unit vector whose component along an unseen eigenvector with eigenvalue μ is c has
    |c| ≤ Π β_j / Π |μ - θ_i|, with the Ritz values θ and rests β of its own sequence. Random
    vectors have components of about 1/√n.

    Returns:
        The smallest μ that can be excluded, and whether a hidden one was found instead.
    """
    ritz = space.ritz()
    value = np.sort(ritz.value)
    scale = float(np.abs(value).max())
    slack = max(tolerance, 1e-10) * scale
    high = value[-top] + slack if top else np.inf
    low = value[bottom - 1] - slack if bottom else -np.inf
    # The other end, deep in the bulk, would cost too much to exclude: it is only looked at.
    target = high if top else low
    first, rests, own = space.count, 0.0, np.zeros(1)
    space.begin(random.standard_normal(space.size))
    component = np.log(1.25 * _UNSEEN / np.sqrt(space.size))
    steps = max(4, int(_LOOK * space.products))
    for _ in range(steps):
        length = space.grow()
        own = np.linalg.eigvalsh(space.matrix[first:, first:])
        if own[-1] > high or own[0] < low:
            return np.inf, True
        if length == 0.0 or space.whole:
            return -np.inf, False
        rests += np.log(length)
        if space.products >= most:
            break
        if rests - np.log(np.abs(target - own)).sum() < component:
            break
    beyond = target if not top else _excluded(own, rests - component)
    return float(beyond), False


def _excluded(own: np.ndarray, rests: float) -> float:
    """The smallest μ above all Ritz values with Σ log(μ - θ_i) ≥ rests."""
    low, high = own[-1], own[-1] + np.exp(rests / len(own)) + 1e-300
    for _ in range(60):
        middle = (low + high) / 2
        enough = middle > own[-1] and np.log(middle - own).sum() >= rests
        low, high = (low, middle) if enough else (middle, high)
    return high


def _compress(space: Krylov, top: int, bottom: int) -> None:
    ritz = space.ritz()
    extra = (space.count - top - bottom) // 4
    places = wanted(len(ritz.value), top + extra, bottom + extra)
    space.compress(ritz.weight[:, np.sort(places)])


def _pairs(space: Krylov, top: int, bottom: int, tolerance: float, above: float) -> Pairs:
    ritz = space.ritz()
    places = wanted(len(ritz.value), top, bottom)
    value, error = ritz.value[places], _errors(space, ritz)[places]
    scale = float(np.abs(ritz.value).max(initial=0))
    return Pairs(
        value=value,
        vector=space.vectors(ritz.weight[:, places]),
        residual=error,
        converged=_within(value, error, tolerance, scale),
        products=space.products,
        floor=space.asymmetry,
        distinct_above=above,
    )
