"""Tables: growing data sets in an HDF5 file, appended to row by row or in blocks."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from landscape.base.files import being_written

COLUMNS = 16  # columns that the table of scalars grows by
NAME_BYTES = 128  # of a scalar's name
_AHEAD = 256  # rows a data set is extended by; readers look at the counter only
_CACHE = 1 << 18  # bytes that HDF5 keeps of each data set, and of the index of chunks


def opened_to_grow(file: Any) -> h5py.File:
    """Open a file to append to, in memory that does not grow with the file."""
    found = h5py.File(file, "r+", rdcc_nbytes=_CACHE)
    index = found.id.get_mdc_config()
    index.set_initial_size, index.initial_size = True, _CACHE
    index.min_size = index.max_size = _CACHE
    found.id.set_mdc_config(index)
    return found


def make_file(
    path: Path,
    attributes: Mapping[str, Any],
    texts: Mapping[str, str],
    values: Mapping[str, np.ndarray],
    tables: Mapping[str, tuple[int, str]],
) -> None:
    """Make a trajectory file without rows.

    Everything is made now; later the data sets only grow, which a kill cannot tear. The file is
    complete before it has its name: a kill in between leaves no file, or one that opens.

    Args:
        path: Its name.
        attributes: Attributes of the file.
        texts: Name to text.
        values: Name to array.
        tables: Name to number of columns and type.
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with h5py.File(partial, "w") as file:
            file.attrs.update(attributes)
            for name, text in texts.items():
                file.create_dataset(name, data=text, dtype=h5py.string_dtype())
            for name, value in values.items():
                file[name] = value
            for name, (width, kind) in tables.items():
                _make_table(file, name, width, kind)
            _make_columns(file, "step", np.int64)
            _make_columns(file, "scalar_names", f"S{NAME_BYTES}")
            _make_columns(file, "scalars", np.float64, width=COLUMNS)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _make_table(file: h5py.Group, name: str, width: int, dtype: str) -> None:
    """A table of so many columns, to be written row by row."""
    chunk = math.ceil(width / math.ceil(width / 65536))
    rows = 16 if name.startswith("layers/") and width <= 1024 else 1
    file.create_dataset(name, (0, width), dtype, maxshape=(None, width), chunks=(rows, chunk))


def _make_columns(file: h5py.Group, name: str, dtype: Any, width: int | None = None) -> None:
    """A growing list of values, or a table of so many columns, which may become more."""
    shape, most = ((0,), (None,)) if width is None else ((0, width), (None, None))
    chunks = (1024,) if width is None else (64, width)
    fill = math.nan if width is not None else None
    file.create_dataset(name, shape, dtype, maxshape=most, chunks=chunks, fillvalue=fill)


class Table:
    """A data set that grows; what h5py would look up again at each call is kept.

    Args:
        data: The data set.

    Attributes:
        data: The data set.
        dtype: Its type.
        shape: Its present shape.
    """

    data: Any
    dtype: Any

    def __init__(self, data: h5py.Dataset) -> None:
        self.data, self.dtype = data, data.dtype
        self.shape: tuple[int, ...] = data.shape
        self._piece = data.chunks[-1] if data.chunks else 1

    def write_row(self, row: int, values: np.ndarray) -> None:
        """Write one row chunk by chunk, past HDF5's chunk cache: as fast as a plain file."""
        self._reserve(row + 1)
        row_values = np.ascontiguousarray(values, self.dtype)
        for start in range(0, row_values.size, self._piece):
            part = row_values[start : start + self._piece]
            if part.size < self._piece:
                part = np.concatenate([part, np.zeros(self._piece - part.size, part.dtype)])
            self.data.id.write_direct_chunk((row, start), part)

    def write_block(self, first: int, block: np.ndarray) -> None:
        """Write several rows from row `first` on; columns are added when needed."""
        end = first + len(block)
        self._reserve(end)
        if block.ndim == 1:
            self.data[first:end] = block
            return
        width = block.shape[1]
        if self.shape[1] < width:
            self._resize(math.ceil(width / COLUMNS) * COLUMNS, axis=1)
        self.data[first:end, :width] = block

    def cut(self, rows: int) -> None:
        """Drop what lies beyond so many rows."""
        self._resize(rows, axis=0)

    def _reserve(self, rows: int) -> None:
        if self.shape[0] < rows:
            self._resize(math.ceil(rows / _AHEAD) * _AHEAD, axis=0)

    def _resize(self, size: int, axis: int) -> None:
        self.data.resize(size, axis=axis)
        self.shape = self.data.shape


def refuse_existing(path: Path) -> None:
    """Raise a FileExistsError that says what to do if there is such a file."""
    if path.exists():
        raise FileExistsError(
            f"{path} exists. Nothing recorded is overwritten unasked: choose another name, delete "
            "it, or pass overwrite=True (--overwrite)."
        )


def refuse_written(path: Path) -> None:
    """Raise a FileExistsError if a recorder has the file open: it is not to be replaced."""
    if path.is_file() and being_written(path):
        raise FileExistsError(
            f"{path} is being recorded into at the moment, and is not replaced: choose another "
            "name, or close that recorder (end its process) first."
        )


def check_scalar_name(name: str) -> None:
    """Refuse a name that would be mistaken for a path, or is too long to be stored."""
    if not name or "/" in name or name == "." or "\0" in name:
        raise ValueError(f"A scalar cannot be called {name!r}; use a name without '/'.")
    if len(name.encode()) > NAME_BYTES:
        raise ValueError(f"The name of a scalar has at most {NAME_BYTES} bytes; not {name!r}.")
