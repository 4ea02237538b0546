"""Both ends of a symmetric matrix's spectrum from one Krylov subspace, each pair to a tolerance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from landscape.analysis.curvature.aim import Aim, zero_of
from landscape.analysis.curvature.hidden import look
from landscape.analysis.curvature.krylov import Krylov, Product, Ritz

_CANCELLED = 0.1  # length of the sum of two unit vectors in opposite directions, at most


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
    zero: float | None = None,
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
        tolerance: A pair has converged when its residual is below this share of its own |λ|.
        zero: Or below this share of the largest |λ| (it is then known up to that: "zero within
            r"); default: 1e-4, or the tolerance where that is smaller.
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
    aim = Aim(top, min(bottom, size - top), tolerance, zero_of(tolerance, zero))
    random = np.random.default_rng(seed)
    if start is None:
        start = _start(random, size, gradient)
    space = Krylov(product, size, start)
    above = np.inf
    room = max(room, 2 * (aim.top + aim.bottom) + 10)
    try:
        while True:
            if space.count >= room and not space.whole:
                _compress(space, aim)
            if space.ended:
                space.begin(random.standard_normal(size))
            space.grow()
            if space.whole or space.products >= most:
                above = -np.inf if space.whole else above
                break
            if space.count < aim.top + aim.bottom or not _done(space, aim):
                continue
            if not ties:
                break
            above, hidden = look(space, aim, random, most)
            if not hidden or space.products >= most:
                break
    except KeyboardInterrupt:
        raise Stopped(_pairs(space, aim, above) if space.count else None) from None
    return _pairs(space, aim, above)


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


def _errors(space: Krylov, ritz: Ritz) -> np.ndarray:
    return np.maximum(ritz.residual, space.asymmetry if space.products > 1 else 0.0)


def _done(space: Krylov, aim: Aim) -> bool:
    ritz = space.ritz()
    places = aim.places(len(ritz.value))
    # What rounding adds cannot be worked off.
    scale = float(np.abs(ritz.value).max())
    return bool(aim.met(ritz.value[places], ritz.residual[places], scale).all())


def _compress(space: Krylov, aim: Aim) -> None:
    ritz = space.ritz()
    extra = (space.count - aim.top - aim.bottom) // 4
    more = aim._replace(top=aim.top + extra, bottom=aim.bottom + extra)
    space.compress(ritz.weight[:, np.sort(more.places(len(ritz.value)))])


def _pairs(space: Krylov, aim: Aim, above: float) -> Pairs:
    ritz = space.ritz()
    places = aim.places(len(ritz.value))
    value, error = ritz.value[places], _errors(space, ritz)[places]
    scale = float(np.abs(ritz.value).max(initial=0))
    return Pairs(
        value=value,
        vector=space.vectors(ritz.weight[:, places]),
        residual=error,
        converged=aim.met(value, error, scale),
        products=space.products,
        floor=space.asymmetry,
        distinct_above=above,
    )
