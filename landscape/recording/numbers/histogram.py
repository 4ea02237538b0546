"""Histograms of |gradient| on a scale of powers of two, read off the floating-point numbers.

The exponent of a float32 is its bin, so that counting costs no logarithm and no choice of range:

    bin 0        |g| < 2^-47, zero included
    bin b        2^(b-48) ≤ |g| < 2^(b-47),   0 < b < 63
    bin 63       2^15 ≤ |g|, infinite and NaN included

The bins are those of the file format, see `landscape.base.runs.trajectory`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from landscape.base.runs.format import HISTOGRAM_BINS, HISTOGRAM_LOWEST

_FIELD = HISTOGRAM_LOWEST + 127  # what the exponent's eight bits hold where bin 1 begins
_BLOCK = 1 << 18  # elements that are worked on at once; they stay in the processor's cache


def count_magnitudes(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Histogram of every row.

    Args:
        rows: K vectors, shape (P,) each; counted as float32.

    Returns:
        Counts, int64, shape (K, 64); each row adds up to P.

    >>> counts = count_magnitudes(np.array([[0.0, -1.0, 1.5, 0.5]], np.float32))
    >>> np.flatnonzero(counts), counts[counts > 0]
    (array([ 0, 47, 48]), array([1, 1, 2]))
    """
    fields = np.zeros((len(rows), 256), np.int64)
    for row, found in zip(rows, fields, strict=True):
        with np.errstate(over="ignore"):  # of a float64: it belongs into the last bin
            bits = np.ascontiguousarray(row, np.float32).view(np.int32)
        for start in range(0, len(bits), _BLOCK):
            found += np.bincount(bits[start : start + _BLOCK] >> 23 & 255, minlength=256)
    return _binned(fields)


def count_on_device(vector: Tensor) -> Tensor:
    """Counts of the exponents of a vector on a GPU, shape (256,); it is not waited for."""
    fields = vector.float().view(torch.int32) >> 23 & 255
    return torch.histc(fields.float(), 256, 0, 256)


def fetch_counts(fields: Tensor) -> np.ndarray:
    """What `count_on_device` counted as a histogram, shape (64,)."""
    return _binned(fields.cpu().numpy().round().astype(np.int64)[None])[0]


def _binned(fields: np.ndarray) -> np.ndarray:
    last = _FIELD + HISTOGRAM_BINS - 2
    return np.concatenate(
        [
            fields[:, :_FIELD].sum(axis=1, keepdims=True),
            fields[:, _FIELD:last],
            fields[:, last:].sum(axis=1, keepdims=True),
        ],
        axis=1,
    )
