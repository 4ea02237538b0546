"""A subspace that grows by products with a symmetric matrix, and what is known in it.

With rows V (orthonormal), H Vᵀ = Vᵀ T + Rᵀ C holds exactly: T = V H Vᵀ, and the rows of R are what
left the subspace, C saying from which of its vectors. So a Ritz pair (θ, y) has the residual
‖H x - θ x‖ = ‖Rᵀ C y‖, after restarts with new random vectors and after compressing too. Every new
vector is orthogonalised twice against all others: without that, copies of converged eigenvalues
appear (ghosts).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Product = Callable[[np.ndarray], np.ndarray]

_NOTHING = 1e-13  # of the largest product: a rest that is rounding only
_SMALL = 1e-6  # of the largest product: a rest whose direction rounding has turned


class Ritz(NamedTuple):
    """Eigenpairs of the matrix restricted to the subspace, by increasing value."""

    value: np.ndarray  # (m,)
    residual: np.ndarray  # ‖H x - θ x‖, (m,)
    weight: np.ndarray  # coefficients in the subspace, one column per pair, (m, m)


class Krylov:
    """A growing subspace.

    Args:
        product: The matrix, as a function of a vector.
        size: Its dimension.
        start: First vector, any length.

    Attributes:
        products: How many were computed.
        asymmetry: Largest |xᵀHy - yᵀHx| seen between consecutive vectors x, y: what rounding does.
    """

    size: int
    products: int
    matrix: np.ndarray
    count: int

    def __init__(self, product: Product, size: int, start: np.ndarray) -> None:
        self._product, self.size = product, size
        self._rows = np.empty((min(size, 32), size))
        self.count = self.products = 0
        self.matrix = np.zeros((0, 0))
        self._rest = np.zeros((0, size))  # R
        self._from = np.zeros((0, 0))  # C
        self.asymmetry = self._scale = 0.0
        self._next, self._orthogonal = start, False

    @property
    def rows(self) -> np.ndarray:
        """The orthonormal vectors, shape (m, size)."""
        return self._rows[: self.count]

    @property
    def whole(self) -> bool:
        """Whether the subspace is everything."""
        return self.count == self.size

    @property
    def ended(self) -> bool:
        """Whether the subspace is invariant along this chain, so that another must begin."""
        return self._next.size == 0

    def begin(self, vector: np.ndarray) -> None:
        """Go on from another vector; what was known stays known."""
        self._next, self._orthogonal = vector, False

    def grow(self) -> float:
        """One more vector, one more product; returns the length of what leaves the subspace.

        Zero means that the subspace is invariant along this chain; `begin` another one then.
        """
        vector = self._orthonormal(self._next)
        image = self._product(vector)
        if not np.isfinite(image).all():
            raise FloatingPointError("a product with the Hessian is not finite")
        self.products += 1
        expected = self._from.T @ (self._rest @ vector)  # T's new row, by symmetry
        self._append(vector)
        along = self.rows @ image
        image = image - along @ self.rows
        again = self.rows @ image
        image -= again @ self.rows
        along += again
        self._scale = max(self._scale, float(np.abs(along).max(initial=0)))
        m = self.count - 1
        if m:
            self.asymmetry: float = max(self.asymmetry, float(np.abs(along[:m] - expected).max()))
        matrix = np.empty((m + 1, m + 1))
        matrix[:m, :m], matrix[m], matrix[:, m] = self.matrix, along, along
        self.matrix = matrix
        self._rest -= np.outer(self._rest @ vector, vector)
        length = float(np.linalg.norm(image))
        left = np.linalg.norm(self._rest, axis=1) > _NOTHING * self._scale
        self._rest, held = self._rest[left], self._from[left]
        self._from = np.concatenate([held, np.zeros((len(held), 1))], axis=1)
        if self.whole or length <= max(_NOTHING * self._scale, 1e-300):
            self._next = np.zeros(0)
            return 0.0
        new = np.zeros((1, m + 1))
        new[0, m] = 1
        self._rest = np.concatenate([self._rest, image[None]])
        self._from = np.concatenate([self._from, new])
        # What is left of an image was orthogonalised twice already, unless it is nearly nothing.
        self._next, self._orthogonal = image, length > _SMALL * self._scale
        return length

    def ritz(self) -> Ritz:
        """What is known of the eigenpairs."""
        value, weight = np.linalg.eigh(self.matrix)
        parts = self._from @ weight
        gram = self._rest @ self._rest.T
        squares = np.einsum("cp,cd,dp->p", parts, gram, parts)
        return Ritz(value, np.sqrt(squares.clip(min=0)), weight)

    def vectors(self, weight: np.ndarray) -> np.ndarray:
        """Vectors with these coefficients (columns) as rows, shape (k, size)."""
        return weight.T @ self.rows

    def compress(self, keep: np.ndarray) -> None:
        """Keep only these Ritz vectors (columns of coefficients): a thick restart."""
        value = keep.T @ self.matrix @ keep
        kept = self.vectors(keep)
        self._from = self._from @ keep
        self._rows[: len(kept)], self.count, self.matrix = kept, len(kept), (value + value.T) / 2

    def _append(self, vector: np.ndarray) -> None:
        if self.count == len(self._rows):
            more = np.empty((min(self.size, 2 * len(self._rows)), self.size))
            more[: self.count] = self.rows
            self._rows = more
        self._rows[self.count] = vector
        self.count += 1

    def _orthonormal(self, vector: np.ndarray) -> np.ndarray:
        vector = np.array(vector, np.float64)
        for _ in range(0 if self._orthogonal else 2):
            vector /= np.linalg.norm(vector)
            vector -= (self.rows @ vector) @ self.rows
        return vector / np.linalg.norm(vector)
