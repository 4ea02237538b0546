"""Growing data sets in HDF5: tables written row by row, lists and tables written in blocks."""

from __future__ import annotations

import math
from typing import Any

import h5py
import numpy as np

COLUMNS = 16  # columns that the table of scalars grows by
_AHEAD = 256  # rows a data set is extended by; readers look at the counter only


def make_table(file: h5py.Group, name: str, width: int, dtype: str) -> None:
    """A table of so many columns, to be written row by row."""
    chunk = math.ceil(width / math.ceil(width / 65536))
    rows = 1 if width > 1024 or dtype != "<f8" else 16
    file.create_dataset(name, (0, width), dtype, maxshape=(None, width), chunks=(rows, chunk))


def make_columns(file: h5py.Group, name: str, dtype: Any, width: int | None = None) -> None:
    """A growing list of values, or a table of so many columns, which may become more."""
    shape, most = ((0,), (None,)) if width is None else ((0, width), (None, None))
    chunks = (1024,) if width is None else (64, width)
    fill = math.nan if width is not None else None
    file.create_dataset(name, shape, dtype, maxshape=most, chunks=chunks, fillvalue=fill)


def write_row(data: h5py.Dataset, row: int, values: np.ndarray) -> None:
    """Write one row chunk by chunk, past HDF5's chunk cache: as fast as a plain file."""
    _reserve(data, row + 1)
    width = data.chunks[1]  # pyright: ignore[reportOptionalSubscript]
    row_values = np.ascontiguousarray(values, data.dtype)
    for start in range(0, row_values.size, width):
        part = row_values[start : start + width]
        if part.size < width:
            part = np.concatenate([part, np.zeros(width - part.size, part.dtype)])
        data.id.write_direct_chunk((row, start), part)


def write_block(data: h5py.Dataset, first: int, block: np.ndarray) -> None:
    """Write several rows from row `first` on; a table gets more columns when it needs them."""
    _reserve(data, first + len(block))
    if block.ndim == 1:
        data[first : first + len(block)] = block
        return
    width = block.shape[1]
    if data.shape[1] < width:
        data.resize(math.ceil(width / COLUMNS) * COLUMNS, axis=1)
    data[first : first + len(block), :width] = block


def _reserve(data: h5py.Dataset, rows: int) -> None:
    if data.shape[0] < rows:
        data.resize(math.ceil(rows / _AHEAD) * _AHEAD, axis=0)
