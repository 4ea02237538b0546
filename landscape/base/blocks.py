"""Long vectors a block at a time: what is computed of them needs no second one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK = 2**18  # entries that are converted to double precision together


def blocks(size: int) -> Iterator[slice]:
    """Slices that follow one another and make up a vector.

    >>> [part.stop for part in blocks(BLOCK + 1)] == [BLOCK, BLOCK + 1]
    True
    """
    for start in range(0, size, BLOCK):
        yield slice(start, min(start + BLOCK, size))


def all_finite(rows: np.ndarray) -> bool:
    """Whether every entry of an array whose last axis is long is a finite number.

    >>> all_finite(np.array([[1.0, 2.0], [3.0, np.inf]]))
    False
    """
    rows = np.asarray(rows)
    return all(bool(np.isfinite(rows[..., part]).all()) for part in blocks(rows.shape[-1]))


def inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner products of the rows of `a` and `b` in double precision, block by block."""
    a, b = np.asarray(a), np.asarray(b)
    total = np.zeros((len(a), len(b)))
    for part in blocks(a.shape[1]):
        total += a[:, part].astype(np.float64) @ b[:, part].astype(np.float64).T
    return total
