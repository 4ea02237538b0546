"""Trajectories: the parameters an optimizer visited, one HDF5 file per run.

Format, version 1
-----------------
The root group MUST have the attributes `schema` = ``landscape/trajectory``, `version` = 1 and
`complete` (1 once the recording was closed, 0 before), and MUST hold

    n_committed    int64 (2,)        how many states and how many updates are valid
    parameters     float32 (S, P)    row s: the flat parameter vector of state s;
                   or float16 (S, P) its difference from `origin`
    step           int64 (S,)        the optimizer step after which state s was taken; 0 = before
                                     the first step; strictly increasing
    layout         text              JSON: name, shape, offset, kind of every tensor in a row

and MAY hold

    origin         float32 (P,)      with float16 rows: what they are differences from
    buffers        float32 (S, B)    floating-point buffers (running statistics) of state s
    buffers_layout text              JSON, like `layout`
    frozen         float32 (F,)      the parameters that were not trained, the same at every state
    frozen_layout  text              JSON, like `layout`
    evaluation     float32 (S, P)    the parameters that would be evaluated at state s, where they
                                     differ from the stepped ones (averages, slow weights)
    random_state   uint8 (S, R)      random generators at state s, see `recording.random_state`
    scalars        float64 (U, C)    row u: numbers about update u + 1, for example the mini-batch
                                     loss before that update, or the learning rate; NaN where
                                     one was not given
    scalar_names   bytes (C,)        what the columns of `scalars` are called, UTF-8; columns with
                                     an empty name are to be ignored
    layers/NAME    float64 (U, T)    the same for each of the T tensors of `layout`
    sketch         float32 (U, k)    row u: random projection of θ_{u+1} - θ_0; the root attribute
                                     `sketch` = (k, seed) fixes it, see `recording.sketch`
    gradient_histogram               float32 (U, 64), row u: how many entries g of the gradient of
                                     update u + 1 have |g| < 2^-47 (bin 0), 2^(b-48) ≤ |g| <
                                     2^(b-47) (bin b), 2^15 ≤ |g| or not finite (bin 63); NaN
                                     where they were not counted
    run            text              JSON: how the run was made (task, optimizer, seed, ...)
    provenance     text              JSON: versions, command, time

Readers MUST ignore rows at and beyond `n_committed`; data sets may be longer. Writers append rows,
flush, raise `n_committed`, and flush again, so that a killed process leaves a readable file
without torn rows; one that resumes first lowers `n_committed` to what it keeps. A closed file is
changed only when its run is resumed. `parameters` is chunked (1, ceil(P / ceil(P / 65536))) and
not compressed.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np

from landscape.checked import (
    checked_rows,
    checked_scalars,
    dataset,
    members,
    stored_layout,
    table_of_json,
)
from landscape.files import SchemaError, check_version, opened
from landscape.layout import Layout
from landscape.vector import Vector

SCHEMA = "landscape/trajectory"
VERSION = 1
HISTOGRAM_BINS, HISTOGRAM_LOWEST = 64, -47  # of `gradient_histogram`; bin 1 begins at 2^-47


class NoStateError(SchemaError):
    """A trajectory file in which nothing was recorded yet."""


class Trajectory:
    """The states of one recorded run, read lazily.

    Args:
        path: A file written by a `Recorder` (or a `TrajectoryWriter`).

    Attributes:
        path: The file.
        layout: Names, shapes and kinds of the parameters.
        buffers_layout: The same for the stored buffers; empty when there are none.
        frozen_layout: The same for parameters that were not trained; empty when there are none.
        steps: Optimizer step of every state, int64, shape (states,).
        updates: Number of recorded updates (optimizer steps).
        scalars: Name to float64 array of shape (updates,); see the format above.
        layer_scalars: Names of the numbers recorded for every tensor; read with `layers`.
        run: How the run was made; ``{}`` when not recorded.
        provenance: Software, command and time of the recording.
        complete: Whether the recording was closed properly.
        holds: What is stored: ``dtype`` of the rows; whether there are ``buffers``,
            ``evaluation`` parameters, ``random_state``; ``sketch``: its (size, seed) or None;
            whether there are ``gradient_histogram`` rows.

    Raises:
        SchemaError: If the file is not a trajectory, is damaged, or is from a newer version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._open = ExitStack()
        self._file: h5py.File | None = None
        with opened(path) as file:
            _check(file)
            self.complete = bool(file.attrs.get("complete", 0))
            self.run = table_of_json(file, "run")
            self.provenance = table_of_json(file, "provenance")
            self.layout = stored_layout(file, "layout")
            self.buffers_layout = stored_layout(file, "buffers_layout", "[]")
            self.frozen_layout = stored_layout(file, "frozen_layout", "[]")
            if self.frozen_layout.size:
                checked_rows(file, "frozen", self.frozen_layout.size, (), ("float32",))
            states, self.updates = _counts(file)
            self.steps: np.ndarray = checked_rows(file, "step", states, ())[:states]
            self.scalars = checked_scalars(file, self.updates)
            self.layer_scalars = tuple(members(file, "layers"))
            for name in self.layer_scalars:
                checked_rows(file, f"layers/{name}", self.updates, (len(self.layout),))
            checked_rows(file, "parameters", states, (self.layout.size,), ("float32", "float16"))
            for name in ("buffers", "evaluation", "random_state", "sketch", "gradient_histogram"):
                if name in file:
                    width = {"buffers": self.buffers_layout.size, "evaluation": self.layout.size}
                    width["gradient_histogram"] = HISTOGRAM_BINS
                    count = self.updates if name in ("sketch", "gradient_histogram") else states
                    checked_rows(file, name, count, (width.get(name),), ("float32", "uint8"))
            sketch = file.attrs.get("sketch")
            self.holds: dict[str, Any] = {
                "dtype": "float16-delta" if "origin" in file else "float32",
                **{
                    name: name in file
                    for name in ("buffers", "evaluation", "random_state", "gradient_histogram")
                },
                "sketch": None if sketch is None else tuple(int(n) for n in sketch),
            }
        if not states:
            raise NoStateError(f"{path} holds no state yet; record at least one step.")
        if (np.diff(self.steps) <= 0).any():
            raise SchemaError(f"{path}: the recorded steps do not increase; the file is damaged.")

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
        row = self._rebuilt(self._data("parameters")[range(len(self))[index]], slice(None))
        return Vector(row, self.layout)

    def columns(self, rows: np.ndarray | slice, columns: slice) -> np.ndarray:
        """A block of states `rows` (increasing) by parameters `columns`, float32."""
        return self._rebuilt(self._data("parameters")[rows, columns], columns)

    def buffers(self, index: int) -> np.ndarray | None:
        """The flat buffers of state `index`, float32, shape (B,); None when none were stored."""
        return self._optional("buffers", index, self.buffers_layout)

    @property
    def frozen(self) -> np.ndarray | None:
        """The parameters that were not trained, float32, shape (F,); None when none are stored."""
        if not self._holds("frozen"):
            return None
        return Vector(self._data("frozen")[: self.frozen_layout.size], self.frozen_layout)

    def evaluation(self, index: int) -> np.ndarray | None:
        """The parameters to evaluate at state `index` where they differ from the stepped ones.

        Returns:
            For example the running average, float32, shape (P,); None when not recorded.
        """
        return self._optional("evaluation", index, self.layout)

    def random_state(self, index: int) -> np.ndarray | None:
        """The random generators at state `index`, uint8; None when not recorded."""
        return self._optional("random_state", index)

    def layers(self, name: str) -> np.ndarray:
        """The number `name` for every update and tensor, float64, shape (updates, tensors).

        Raises:
            ValueError: If it was not recorded; the message lists what was.
        """
        if name not in self.layer_scalars:
            raise ValueError(
                f"{self.path} holds {', '.join(self.layer_scalars) or 'nothing'} for each tensor; "
                f"not {name!r}."
            )
        return self._data(f"layers/{name}")[: self.updates]

    @property
    def sketch(self) -> np.ndarray | None:
        """The random projections of θ_1 - θ_0, θ_2 - θ_0, …, float32, shape (updates, k).

        Read with `recording.sketch.SketchedPath`; None when not recorded.
        """
        return self._data("sketch")[: self.updates] if self._holds("sketch") else None

    @property
    def gradient_histogram(self) -> np.ndarray | None:
        """How many entries of each update's gradient have which size, float32, (updates, 64).

        Read with `analysis.gradients.gradient_histogram`; None when not recorded.
        """
        name = "gradient_histogram"
        return self._data(name)[: self.updates] if self._holds(name) else None

    def nearest(self, step: int) -> int:
        """Index of the state whose step is nearest to `step`."""
        return int(np.argmin(np.abs(self.steps - step)))

    def close(self) -> None:
        """Close the file; it is opened again when needed."""
        self._file = None
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rounded(self, vector: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        """What `columns` would return for a state equal to `vector`, in this file's precision."""
        part = np.asarray(vector[columns], np.float32)
        if not self._holds("origin"):
            return part
        return self._rebuilt((part - self._data("origin")[columns]).astype(np.float16), columns)

    def _data(self, name: str) -> h5py.Dataset:
        if self._file is None:
            self._file = self._open.enter_context(opened(self.path))
        return dataset(self._file, name)

    def _optional(self, name: str, index: int, layout: Layout | None = None) -> np.ndarray | None:
        row = range(len(self))[index]
        if not self._holds(name):
            return None
        found = self._data(name)[row]
        return found if layout is None else Vector(found, layout)

    def _holds(self, name: str) -> bool:
        if self._file is None:
            self._file = self._open.enter_context(opened(self.path))
        return name in self._file

    def _rebuilt(self, stored: np.ndarray, columns: slice) -> np.ndarray:
        if stored.dtype == np.float32:
            return stored
        return self._data("origin")[columns] + stored.astype(np.float32)


def _check(file: h5py.File) -> None:
    found = file.attrs.get("schema")
    if found != SCHEMA:
        what = "a results file" if found is None and len(file) else f"of schema {found!r}"
        raise SchemaError(f"{file.filename} is {what}, not a recorded run ({SCHEMA}).")
    check_version(file.filename, SCHEMA, file.attrs.get("version"), VERSION)


def _counts(file: h5py.File) -> tuple[int, int]:
    counts = dataset(file, "n_committed")[()]
    if np.shape(counts) != (2,) or counts.dtype.kind != "i" or counts.min() < 0:
        raise SchemaError(f"{file.filename}: the counter reads {counts}; the file is damaged.")
    return int(counts[0]), int(counts[1])
