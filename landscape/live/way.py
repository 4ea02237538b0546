"""The way of a run in few numbers: a bounded choice of its states, projected."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from landscape.base.files import SchemaError
from landscape.base.runs.checked import checked_counts, checked_rows, dataset, pair_of
from landscape.live.tail import read_settled

MOST = 400  # states of a run that are kept; then every second one goes
EXACT, PROJECTED = 4096, 256  # parameters up to which a state is kept whole; numbers beyond
_SHARE = 0.05  # of the time that may be spent on reading states
_BYTES = 1 << 24  # of states that are read at once
_SEED = 0

Found = tuple[tuple[int, int], np.ndarray, np.ndarray]  # counts, steps, points


class Way:
    """States of a run at steps 0, s, 2s, …, each as few numbers; s doubles as the run grows.

    A state of up to `EXACT` parameters is kept whole. A larger one is projected at random to few
    numbers (the count sketch), by the recorder where it did so (``sketch=``), else here: distances
    are then right within 100/√(2k) per cent.

    Args:
        path: The recording.
        size: Number of parameters.

    Attributes:
        kind: What the numbers are; only ways of one kind lie in one plane.
        steps: The steps of the states.
        points: Their numbers, shape (states, k).
    """

    path: Path
    points: np.ndarray
    steps: np.ndarray

    def __init__(self, path: Path, size: int) -> None:
        self.path, self._size = path, size
        self.steps, self.points = np.zeros(0, np.int64), np.zeros((0, 0))
        self.kind: tuple[object, ...] = ()
        self._stride, self._next, self._not_before = 1, 0, 0.0
        self._places: np.ndarray | None = None

    def poll(self) -> bool:
        """Read on, but not for long; whether there is something new."""
        began = time.monotonic()
        if began < self._not_before:
            return False
        try:
            _, steps, points = read_settled(self.path, self._read, _agree)
        except (SchemaError, OSError):  # at the next look
            return False
        spent = time.monotonic() - began
        self._not_before = began + spent / _SHARE
        if not len(steps):
            return False
        self._next += self._stride * len(steps)
        self.steps = np.concatenate([self.steps, steps])
        self.points = np.concatenate([self.points, points]) if self.points.size else points
        while len(self.steps) > MOST:
            self.steps, self.points = self.steps[::2].copy(), self.points[::2].copy()
            self._stride *= 2
            self._next = self._stride * len(self.steps)
        return True

    def _read(self, file: h5py.File) -> Found:
        """Counts, and steps and numbers of the next states that are wanted."""
        states, updates = checked_counts(file)
        sketch = pair_of(file, "sketch")
        if not states:
            return (states, updates), np.zeros(0, np.int64), np.zeros((0, 0))
        steps = checked_rows(file, "step", states, ())
        if sketch is not None:
            self.kind = ("sketch", self._size, *sketch)
            rows = self._wanted(updates + 1, 8 * sketch[0])
            table = checked_rows(file, "sketch", updates, (sketch[0],), ("float32", "float64"))
            points = [table[row - 1] if row else np.zeros(sketch[0]) for row in rows]
            return (states, updates), int(steps[0]) + rows, np.array(points, float)
        self.kind = ("states", self._size)
        rows = self._wanted(states, 8 * self._size)
        table = checked_rows(
            file, "parameters", states, (self._size,), ("float32", "float64", "float16")
        )
        origin = dataset(file, "origin")[()] if table.dtype == np.float16 else None
        points = [self._projected(table[row], origin) for row in rows]
        return (states, updates), steps[:states][rows], np.array(points)

    def _wanted(self, there: int, size: int) -> np.ndarray:
        """Rows `_next`, `_next` + s, … that are there, not too many."""
        most = max(1, min(2 * MOST, _BYTES // size))
        return np.arange(self._next, there, self._stride)[:most]

    def _projected(self, row: np.ndarray, origin: np.ndarray | None) -> np.ndarray:
        state = row.astype(float) if origin is None else row.astype(float) + origin
        if self._size <= EXACT:
            return state
        if self._places is None:
            rng = np.random.default_rng(_SEED)
            self._places = rng.integers(0, 2 * PROJECTED, self._size, dtype=np.int64)
        sums = np.bincount(self._places, state, minlength=2 * PROJECTED)
        return sums[:PROJECTED] - sums[PROJECTED:]


def plane_of(ways: Sequence[Way], before: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """The two directions in which the states of all ways vary most, about their mean.

    Args:
        ways: Ways of one kind.
        before: Directions that the new ones are turned towards, within their plane, so that a
            picture that grows does not jump.

    Returns:
        Directions, shape (2, k), orthonormal; the share of the variation that they hold.
    """
    points = np.concatenate([way.points for way in ways])
    centred = points - points.mean(axis=0)
    # Left singular vectors from the small one of the two products.
    if centred.shape[0] <= centred.shape[1]:
        values, vectors = np.linalg.eigh(centred @ centred.T)
        found = vectors[:, -2:].T[::-1] @ centred
    else:
        values, vectors = np.linalg.eigh(centred.T @ centred)
        found = vectors[:, -2:].T[::-1]
    norms = np.linalg.norm(found, axis=1, keepdims=True)
    found = np.divide(found, norms, out=np.zeros_like(found), where=norms > 0)
    if before is not None and before.shape == found.shape:
        u, _, v = np.linalg.svd(before @ found.T)
        found = u @ v @ found
    total = float(np.clip(values, 0, None).sum())
    return found, float(values[-2:].sum() / total) if total > 0 else np.nan


def _agree(one: Found, other: Found) -> bool:
    """Whether a later read, after a commit, found the same, as far as the earlier one goes."""
    count = len(one[1])
    same = all(np.array_equal(a, b[:count]) for a, b in zip(one[1:], other[1:], strict=True))
    return other[0] > one[0] and same
