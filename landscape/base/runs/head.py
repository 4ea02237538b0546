"""Head: what a recorded run says of itself, checked; all of its file but the rows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from landscape.base.layout import Layout
from landscape.base.runs.checked import (
    check_schema,
    checked_counts,
    checked_rows,
    checked_scalars,
    members,
    pair_of,
    stored_layout,
    table_of_json,
)
from landscape.base.runs.format import HISTOGRAM_BINS, SCHEMA, VERSION
from landscape.base.runs.reading import is_written, read

_REAL = ("float32", "float64")
_MAY = ("buffers", "beside", "evaluation", "random_state", "second_moment", "gradient_histogram")


@dataclass(eq=False, repr=False)
class Head:
    """What is read when a run is opened; the fields are told at `Trajectory`."""

    path: Path
    identity: tuple[int, int]  # of the file, whatever its name
    complete: bool
    live: bool
    run: dict[str, Any]
    provenance: dict[str, Any]
    layout: Layout
    buffers_layout: Layout
    beside_layout: Layout
    frozen_layout: Layout
    steps: np.ndarray
    updates: int
    scalars: dict[str, np.ndarray]
    layer_scalars: tuple[str, ...]
    holds: dict[str, Any]

    def __len__(self) -> int:
        """Number of states."""
        return len(self.steps)


def read_head(path: Path) -> Head:
    """The head of a file, which may be written meanwhile.

    Raises:
        SchemaError: If it is not a recorded run, is damaged, or is from a newer version.
    """
    return read(path, lambda file: _head(file, path), _agree)


def identity_of(path: Path) -> tuple[int, int]:
    """What tells a file from another one that takes its name."""
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _head(file: h5py.File, path: Path) -> Head:
    check_schema(file, SCHEMA, VERSION)
    identity = identity_of(path)
    complete = bool(file.attrs.get("complete", 0))
    layout = stored_layout(file, "layout")
    others = [stored_layout(file, f"{name}_layout", "[]") for name in ("buffers", "beside")]
    frozen = stored_layout(file, "frozen_layout", "[]")
    states, updates = checked_counts(file)
    names = tuple(members(file, "layers"))
    for name in names:
        checked_rows(file, f"layers/{name}", updates, (len(layout),))
    return Head(
        path=path,
        identity=identity,
        complete=complete,
        live=not complete and is_written(path),
        run=table_of_json(file, "run"),
        provenance=table_of_json(file, "provenance"),
        layout=layout,
        buffers_layout=others[0],
        beside_layout=others[1],
        frozen_layout=frozen,
        steps=checked_rows(file, "step", states, ())[:states],
        updates=updates,
        scalars=checked_scalars(file, updates),
        layer_scalars=names,
        holds=_holds(file, layout.size, [one.size for one in (*others, frozen)], states, updates),
    )


def _holds(
    file: h5py.File, size: int, sizes: list[int], states: int, updates: int
) -> dict[str, Any]:
    """What is stored for every state and update, each checked; see `Trajectory`."""
    buffers, beside, frozen = sizes
    rows = checked_rows(file, "parameters", states, (size,), (*_REAL, "float16"))
    for name, count, width in (
        ("buffers", states, buffers),
        ("beside", states, beside),
        ("evaluation", states, size),
        ("second_moment", states, size),
        ("sketch", updates, None),
        ("gradient_histogram", updates, HISTOGRAM_BINS),
    ):
        if name in file:
            checked_rows(file, name, count, (width,), _REAL)
    if frozen:
        checked_rows(file, "frozen", frozen, (), _REAL)
    if "random_state" in file:
        checked_rows(file, "random_state", states, (None,), ("uint8",))
    half = rows.dtype == np.float16
    if half:
        checked_rows(file, "origin", size, (), ("float32",))
    return {
        **{name: name in file for name in _MAY},
        "dtype": "float16-delta" if half else rows.dtype.name,
        "sketch": pair_of(file, "sketch"),
    }


def _agree(one: Head, other: Head) -> bool:
    """Whether a later read, after a commit, found what an earlier one found, as far as it goes."""
    columns = [(one.steps, other.steps[: len(one)])]
    columns += [(c, other.scalars[n][: one.updates]) for n, c in one.scalars.items()]
    risen = (len(other), other.updates) > (len(one), one.updates)
    return risen and all(equal(a, b) for a, b in columns)


def equal(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays are the same; NaN equals NaN."""
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
