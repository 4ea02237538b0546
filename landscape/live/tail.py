"""What was appended to a run's file since one last looked, read while it is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import h5py
import numpy as np

from landscape.base.files import SchemaError
from landscape.base.runs.checked import checked_counts, checked_rows, dataset
from landscape.base.runs.reading import is_written

_T = TypeVar("_T")
MOST_ROWS = 1 << 16  # updates that are read at once
_TRIES, _WAIT = 60, 0.05  # seconds


@dataclass(frozen=True)
class Tail:
    """The end of a recording.

    Attributes:
        states: How many states are committed.
        updates: How many updates are.
        start: The step of the first state; 0 where there is none.
        complete: Whether the recording was closed.
        names: What the columns of `rows` are called; empty where they are to be ignored.
        rows: The numbers of the updates from the one asked for on, shape (rows, columns); not
            beyond `MOST_ROWS`.
    """

    states: int
    updates: int
    start: int
    complete: bool
    names: tuple[str, ...]
    rows: np.ndarray

    def agrees(self, other: Tail) -> bool:
        """Whether a later read, after a commit, found the same, as far as both go."""
        count = min(len(self.rows), len(other.rows))
        width = min(self.rows.shape[1], other.rows.shape[1])
        one, two = self.rows[:count, :width], other.rows[:count, :width]
        risen = (other.states, other.updates) > (self.states, self.updates)
        return risen and self.start == other.start and np.array_equal(one, two, equal_nan=True)


def read_settled(
    path: Path, function: Callable[[h5py.File], _T], agree: Callable[[_T, _T], bool]
) -> _T:
    """What `function` finds in a recording, of which it reads numbers only, no texts.

    Committed rows never change, but the index of a file in which they are looked up does. So what
    is found counts when nothing was written meanwhile or, of a file that is written to without a
    pause, when two reads with a commit between them agree.

    Raises:
        SchemaError: If it cannot be read.
        OSError: If it is not there.
    """
    last: list[_T] = []
    for _ in range(_TRIES):
        before = _state(path)
        try:
            with h5py.File(path, "r", locking=False) as file:
                found = function(file)
        except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
            if not path.exists():
                raise FileNotFoundError(f"{path}: no such file.") from error
            if before == _state(path) and not is_written(path):
                raise SchemaError(f"{path} is damaged ({' '.join(str(error).split())}).") from error
        else:
            if before == _state(path):
                return found
            if confirmed := [one for one in last if agree(one, found)]:
                return confirmed[-1]
            last = [*last[-3:], found]
        time.sleep(_WAIT)
    raise SchemaError(f"{path} changes faster than it can be read.")


def read_tail(path: Path, since: int) -> Tail:
    """The numbers of a recording from update `since` on (0 is the first).

    Raises:
        SchemaError: If it cannot be read.
        OSError: If it is not there.
    """
    return read_settled(path, lambda file: _tail(file, since), Tail.agrees)


def read_row(path: Path, update: int) -> dict[str, float]:
    """The numbers of one update by their names.

    Raises:
        SchemaError: If it cannot be read.
    """
    tail = read_tail(path, update)
    return {
        name: float(value) for name, value in zip(tail.names, tail.rows[0], strict=True) if name
    }


def _tail(file: h5py.File, since: int) -> Tail:
    states, updates = checked_counts(file)
    table = checked_rows(file, "scalars", updates, (None,))
    names = dataset(file, "scalar_names")[: table.shape[1]]
    called = [name.decode(errors="replace") for name in names]
    return Tail(
        states,
        updates,
        int(checked_rows(file, "step", 1, ())[0]) if states else 0,
        bool(file.attrs.get("complete", 0)),
        tuple(called + [""] * (table.shape[1] - len(called))),
        table[since : min(updates, since + MOST_ROWS)],
    )


def _state(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
