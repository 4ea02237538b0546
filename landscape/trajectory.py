"""Trajectories: the parameters an optimizer visited, one HDF5 file per run.

Format, version 1
-----------------
The root group MUST have the attributes `schema` = ``landscape/trajectory``, `version` = 1 and
`complete` (1 once the recording was closed, 0 before), and MUST hold

    n_committed    int64 (2,)        how many states and how many updates are valid
    parameters     float32 (S, P)    row s: the flat parameter vector of state s
    step           int64 (S,)        the optimizer step after which state s was taken; 0 = before
                                     the first step; strictly increasing
    layout         text              JSON: name, shape, offset, kind of every tensor in a row

and MAY hold

    buffers        float32 (S, B)    floating-point buffers (running statistics) of state s
    buffers_layout text              JSON, like `layout`
    scalars/NAME   float64 (U,)      row u: a number about update u + 1, for example the
                                     mini-batch loss before that update, or the learning rate;
                                     NaN where it was not given
    run            text              JSON: how the run was made (task, optimizer, seed, ...)
    provenance     text              JSON: versions, command, time

Readers MUST ignore rows at and beyond `n_committed`. Writers append rows, flush, raise
`n_committed`, and flush again, so that a killed process leaves a readable file without torn rows.
A closed file is never changed. `parameters` is chunked (1, ceil(P / ceil(P / 65536))) and not
compressed.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np

from landscape.layout import Layout
from landscape.provenance import provenance
from landscape.store import SchemaError, check_version, opened

SCHEMA = "landscape/trajectory"
VERSION = 1


class Trajectory:
    """The states of one recorded run, read lazily.

    Args:
        path: A file written by `TrajectoryWriter` (or a `Recorder`).

    Attributes:
        path: The file.
        layout: Names, shapes and kinds of the parameters.
        buffers_layout: The same for the stored buffers; empty when there are none.
        steps: Optimizer step of every state, int64, shape (states,).
        scalars: Name to float64 array of shape (updates,); see the format above.
        run: How the run was made; ``{}`` when not recorded.
        complete: Whether the recording was closed properly.

    Raises:
        SchemaError: If the file is not a trajectory, is damaged, or is from a newer version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with opened(path) as file:
            self._check(file)
            states, updates = (int(n) for n in _dataset(file, "n_committed")[()])
            self.steps: np.ndarray = _dataset(file, "step")[:states]
            self.complete = bool(file.attrs.get("complete", 0))
            self.run: dict[str, Any] = json.loads(_text(file, "run", "{}"))
            self.provenance: dict[str, Any] = json.loads(_text(file, "provenance", "{}"))
            try:
                self.layout = Layout.from_json(_text(file, "layout"))
                self.buffers_layout = Layout.from_json(_text(file, "buffers_layout", "[]"))
            except ValueError as error:
                raise SchemaError(f"{path}: {error}") from error
            scalars = file.get("scalars")
            self.scalars: dict[str, np.ndarray] = {}
            if isinstance(scalars, h5py.Group):
                self.scalars = {
                    name: _dataset(scalars, name)[:updates] for name in map(str, scalars)
                }
            shape = _dataset(file, "parameters").shape
            if shape[0] < states or shape[1] != self.layout.size or len(self.steps) < states:
                raise SchemaError(
                    f"{path}: {states} states of {self.layout.size} parameters are announced, the "
                    f"data has shape {shape}; the file is damaged."
                )
        if not len(self.steps):
            raise SchemaError(f"{path} holds no state yet; record at least one step.")
        self._file: h5py.File | None = None

    def __len__(self) -> int:
        """Number of states."""
        return len(self.steps)

    def __repr__(self) -> str:
        return f"Trajectory({str(self.path)!r}: {len(self)} states of {self.layout.size})"

    @property
    def name(self) -> str:
        """A name for legends: the run's own name or optimizer, else the file's stem."""
        return str(self.run.get("name") or self.run.get("optimizer") or self.path.stem)

    @property
    def initial(self) -> np.ndarray:
        """The first state."""
        return self.state(0)

    @property
    def final(self) -> np.ndarray:
        """The last state."""
        return self.state(-1)

    def state(self, index: int) -> np.ndarray:
        """The flat parameter vector of state `index` (may be negative); float32, shape (P,)."""
        return self._data("parameters")[range(len(self))[index]]

    def buffers(self, index: int) -> np.ndarray | None:
        """The flat buffers of state `index`, float32, shape (B,); None when none were stored."""
        if not len(self.buffers_layout):
            return None
        return self._data("buffers")[range(len(self))[index]]

    def columns(self, rows: np.ndarray | slice, columns: slice) -> np.ndarray:
        """A block of states `rows` (increasing) by parameters `columns`, float32."""
        return self._data("parameters")[rows, columns]

    def nearest(self, step: int) -> int:
        """Index of the state whose step is nearest to `step`."""
        return int(np.argmin(np.abs(self.steps - step)))

    def close(self) -> None:
        """Close the file; it is opened again when needed."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _data(self, name: str) -> h5py.Dataset:
        if self._file is None:
            self._file = h5py.File(self.path, "r")
        return _dataset(self._file, name)

    def _check(self, file: h5py.File) -> None:
        found = file.attrs.get("schema")
        if found != SCHEMA:
            what = "a results file" if found is None and len(file) else f"of schema {found!r}"
            raise SchemaError(f"{self.path} is {what}, not a recorded run ({SCHEMA}).")
        check_version(str(self.path), SCHEMA, int(file.attrs.get("version", 0)), VERSION)


class TrajectoryWriter:
    """Append states and scalars to a new trajectory file; every commit survives a killed process.

    Args:
        path: The file to create.
        layout: Layout of the rows.
        buffers_layout: Layout of the stored buffers; None stores none.
        run: How the run is made; JSON-serialisable.
        overwrite: Replace an existing file instead of refusing.

    Raises:
        FileExistsError: If the file exists and `overwrite` is False.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        layout: Layout,
        *,
        buffers_layout: Layout | None = None,
        run: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        if self.path.exists() and not overwrite:
            raise FileExistsError(
                f"{self.path} exists. Nothing recorded is overwritten unasked: choose another "
                "name, delete it, or pass overwrite=True (--overwrite)."
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._states = self._updates = 0
        self._file = h5py.File(self.path, "w")
        self._file.attrs.update(schema=SCHEMA, version=VERSION, complete=0)
        self._committed = self._file.create_dataset("n_committed", data=np.zeros(2, np.int64))
        self._parameters = self._rows("parameters", layout.size)
        self._buffers = None
        if buffers_layout is not None and len(buffers_layout):
            self._buffers = self._rows("buffers", buffers_layout.size)
            self._put("buffers_layout", buffers_layout.to_json())
        self._step = self._column("step", np.int64)
        self._put("layout", layout.to_json())
        self._put("run", json.dumps(dict(run or {})))
        self._put("provenance", json.dumps(provenance()))
        self._file.flush()

    def append_state(
        self, step: int, parameters: np.ndarray, buffers: np.ndarray | None = None
    ) -> None:
        """Append one state; it counts once `commit` was called."""
        row = self._states
        _append(self._parameters, row, parameters)
        if self._buffers is not None:
            _append(self._buffers, row, buffers)
        _append(self._step, row, step)
        self._states += 1

    def append_update(self, scalars: Mapping[str, float]) -> None:
        """Append one row of scalars; names may appear late, earlier rows are then NaN."""
        group = self._file.require_group("scalars")
        for name in scalars:
            if name not in group:
                _checked_name(name)
                self._column(f"scalars/{name}", np.float64, np.nan)
        for name, column in group.items():
            _append(column, self._updates, float(scalars.get(name, math.nan)))
        self._updates += 1

    def commit(self) -> None:
        """Make everything appended so far count, in an order that a kill cannot tear."""
        self._file.flush()
        self._committed[...] = (self._states, self._updates)
        self._file.flush()

    def close(self) -> None:
        """Commit, mark the file complete and close it."""
        if self._file:
            self.commit()
            self._file.attrs["complete"] = 1
            self._file.close()

    def abort(self) -> None:
        """Commit and close without marking the file complete."""
        if self._file:
            self.commit()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _rows(self, name: str, size: int) -> h5py.Dataset:
        chunk = math.ceil(size / math.ceil(size / 65536))
        return self._file.create_dataset(
            name, (0, size), np.float32, maxshape=(None, size), chunks=(1, chunk)
        )

    def _column(self, name: str, dtype: Any, fill: float = 0) -> h5py.Dataset:
        return self._file.create_dataset(
            name, (0,), dtype, maxshape=(None,), chunks=(1024,), fillvalue=fill
        )

    def _put(self, name: str, text: str) -> None:
        self._file.create_dataset(name, data=text, dtype=h5py.string_dtype())


def _append(column: h5py.Dataset, row: int, value: Any) -> None:
    column.resize(row + 1, axis=0)
    column[row] = value


def _checked_name(name: str) -> None:
    if not name or "/" in name or name == "." or "\0" in name:
        raise ValueError(f"A scalar cannot be called {name!r}; use a name without '/'.")


def _dataset(group: Any, name: str) -> h5py.Dataset:
    found = group.get(name)
    if not isinstance(found, h5py.Dataset):
        raise SchemaError(f"{group.file.filename} has no data {name!r}; the file is damaged.")
    return found


def _text(file: h5py.File, name: str, default: str | None = None) -> str:
    if name not in file and default is not None:
        return default
    return str(_dataset(file, name).asstr()[()])
