"""Parts of an HDF5 file that may be damaged or hostile, checked as they are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from landscape.base.files import SchemaError, check_stored, check_version
from landscape.base.layout import Layout


def check_schema(file: h5py.File, schema: str, version: int) -> None:
    """Refuse what is no recorded run, or one of a newer version."""
    found = file.attrs.get("schema")
    if found != schema:
        what = "a results file" if found is None and len(file) else f"of schema {short(found)}"
        raise SchemaError(f"{file.filename} is {what}, not a recorded run ({schema}).")
    check_version(file.filename, schema, file.attrs.get("version"), version)


def checked_rows(
    file: h5py.File,
    name: str,
    count: int,
    width: tuple[int | None, ...],
    types: tuple[str, ...] = ("int64", "float64"),
) -> h5py.Dataset:
    """One value or row of `width` (None: any) for each of `count` states or updates."""
    data = dataset(file, name)
    fits = len(data.shape) == 1 + len(width) and data.shape[0] >= count and data.dtype.name in types
    if not fits or any(w not in (None, n) for w, n in zip(width, data.shape[1:], strict=True)):
        raise SchemaError(
            f"{file.filename}: {count} rows of shape {width} are announced for {name!r}, the data "
            f"is {data.dtype} of shape {data.shape}; the file is damaged."
        )
    return data


def checked_counts(file: h5py.File) -> tuple[int, int]:
    """How many states and updates are committed."""
    counts = dataset(file, "n_committed")[()]
    if (
        not isinstance(counts, np.ndarray)
        or counts.shape != (2,)
        or counts.dtype.kind != "i"
        or counts.min() < 0
    ):
        raise SchemaError(
            f"{file.filename}: the counter reads {short(counts)}; the file is damaged."
        )
    return int(counts[0]), int(counts[1])


def checked_scalars(file: h5py.File, updates: int) -> dict[str, np.ndarray]:
    """Name to values of the numbers recorded at every update."""
    if "scalars" not in file:
        return {}
    if isinstance(file.get("scalars"), h5py.Group):  # the very first files: a column by itself
        columns = {name: f"scalars/{name}" for name in members(file, "scalars")}
        return {name: checked_rows(file, c, updates, ())[:updates] for name, c in columns.items()}
    table, names = dataset(file, "scalars"), dataset(file, "scalar_names")
    if table.ndim != 2 or names.ndim != 1 or names.dtype.kind != "S":
        raise SchemaError(f"{file.filename}: the scalars are not a table; the file is damaged.")
    try:
        called = [name.decode() for name in names[: table.shape[1]]]
    except UnicodeDecodeError as error:
        raise SchemaError(f"{file.filename}: the scalars' names are damaged ({error}).") from error
    values = checked_rows(file, "scalars", updates, (None,))[:updates]
    return {name: values[:, c].copy() for c, name in enumerate(called) if name}


def pair_of(file: h5py.File, name: str) -> tuple[int, int] | None:
    """The two whole numbers in the attribute `name`; None when there is none."""
    found = file.attrs.get(name)
    if found is None:
        return None
    pair = np.asarray(found) if not isinstance(found, h5py.Empty) else np.zeros(0)
    if pair.shape != (2,) or pair.dtype.kind not in "iu":
        raise SchemaError(f"{file.filename}: {name!r} is no pair of numbers; the file is damaged.")
    return int(pair[0]), int(pair[1])


def short(value: Any) -> str:
    """Anything that a file says, short enough for a message."""
    said = " ".join(repr(value).split())
    return said if len(said) <= 80 else f"{said[:80]}..."


def members(file: h5py.File, name: str) -> Iterator[str]:
    """Names in the group `name`; none when there is no such group."""
    group = file.get(name)
    return map(str, group) if isinstance(group, h5py.Group) else iter(())


def dataset(file: h5py.File, name: str) -> h5py.Dataset:
    """The data set `name`, which lies in this very file."""
    linked = isinstance(file.get(name, getlink=True), h5py.HardLink)
    found = file.get(name) if linked else None
    inside = isinstance(found, h5py.Dataset) and found.file.filename == file.filename
    if not isinstance(found, h5py.Dataset) or not inside or found.is_virtual or found.external:
        raise SchemaError(f"{file.filename} has no data {name!r}; the file is damaged.")
    if found.shape is None:
        raise SchemaError(f"{file.filename}: {name!r} is empty; the file is damaged.")
    check_stored(found)
    return found


def _text(file: h5py.File, name: str, default: str | None) -> str:
    if name not in file and default is not None:
        return default
    data = dataset(file, name)
    if h5py.check_string_dtype(data.dtype) is None or data.shape != ():
        raise SchemaError(f"{file.filename}: {name!r} is not a text; the file is damaged.")
    return str(data.asstr()[()])


def table_of_json(file: h5py.File, name: str) -> dict[str, Any]:
    """The dictionary stored as JSON text under `name`; empty when there is none."""
    try:
        found = json.loads(_text(file, name, "{}"))
    except ValueError as error:
        raise SchemaError(f"{file.filename}: {name!r} cannot be read ({error}).") from error
    if not isinstance(found, dict):
        raise SchemaError(f"{file.filename}: {name!r} is not a JSON table; the file is damaged.")
    return found


def stored_layout(file: h5py.File, name: str, default: str | None = None) -> Layout:
    """The layout stored under `name`."""
    try:
        return Layout.from_json(_text(file, name, default))
    except SchemaError:
        raise
    except ValueError as error:
        raise SchemaError(f"{file.filename}: {error}") from error
