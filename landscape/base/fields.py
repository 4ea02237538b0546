"""Fields of a result: its annotations, checked against values, written to a group and read back.

See `landscape.base.result` for which annotation is stored as what.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import typing
from typing import Any

import h5py
import numpy as np

from landscape.base.files import check_stored

_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable."


class Field(typing.NamedTuple):
    """What an annotation says of a field."""

    dims: tuple[str, ...] | None  # None: not an array
    dtype: np.dtype | None  # None with dims: strings
    plain: type | None  # str, int, float, dict
    optional: bool
    wide: bool = False  # float64 stays as it is; everything else becomes `dtype`


@functools.cache
def fields_of(cls: type) -> dict[str, Field]:
    """Name to what its annotation says, of every field of a dataclass."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {f.name: _field(hints[f.name]) for f in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]


def _field(hint: Any) -> Field:
    options = [h for h in typing.get_args(hint) if h is not type(None)]
    optional = type(None) in typing.get_args(hint)
    if optional:
        (hint,) = options
    if hasattr(hint, "dim_str"):
        dims, wide = tuple(hint.dim_str.split()), {"float32", "float64"} <= {*hint.dtypes}
        dtype = np.dtype(np.float32 if wide else hint.dtypes[0])
        return Field(dims, dtype, None, optional, wide)
    if typing.get_origin(hint) is typing.Annotated:
        return Field((hint.__metadata__[0],), None, None, optional)
    return Field(None, None, typing.get_origin(hint) or hint, optional)


def checked_array(cls: str, name: str, value: Any, kind: Field, sizes: dict[str, int]) -> Any:
    """The value as its annotation asks; `sizes` are those of the dimensions so far."""
    assert kind.dims is not None
    if kind.dtype is not None and np.iscomplexobj(value):
        raise ValueError(f"{cls}.{name} is complex; expected {kind.dtype}.")
    kept = kind.wide and np.asarray(value).dtype == np.float64
    dtype = np.dtype(np.float64) if kept else kind.dtype
    if dtype is None:
        array = tuple(str(v) for v in value)
    else:  # what nobody can write to any more need not be copied
        array = (np.asarray if _is_settled(value) else np.array)(value, dtype)
    shape = (len(array),) if isinstance(array, tuple) else array.shape
    if len(shape) != len(kind.dims):
        raise ValueError(f"{cls}.{name} has shape {shape}; expected dimensions {kind.dims}.")
    for dim, size in zip(kind.dims, shape, strict=True):
        if sizes.setdefault(dim, size) != size:
            raise ValueError(
                f"{cls}.{name} has {size} along {dim!r}; other fields have {sizes[dim]}."
            )
    if isinstance(array, np.ndarray):
        array.flags.writeable = False
    return array


def _is_settled(value: Any) -> bool:
    """Whether an array, and what it is a view of, is read-only."""
    while isinstance(value, np.ndarray) and not value.flags.writeable:
        if value.base is None:
            return value.flags.owndata
        value = value.base
    return False


def write_fields(group: h5py.Group, result: Any) -> None:
    """Write a result into an empty group."""
    group.attrs["schema"] = result.schema
    group.attrs["version"] = result.version
    fields = {k: v for k, v in fields_of(type(result)).items() if getattr(result, k) is not None}
    for name, kind in fields.items():
        value = getattr(result, name)
        if kind.dims is None:
            if kind.plain is dict:
                group.create_dataset(name, data=json.dumps(value), dtype=h5py.string_dtype())
            else:
                group.attrs[name] = value
        elif kind.dtype is None:
            group.create_dataset(kind.dims[0], data=list(value), dtype=h5py.string_dtype())
        elif kind.dtype == np.bool_:
            group.create_dataset(name, data=value.astype(np.int8)).attrs["dtype"] = "bool"
        else:
            group.create_dataset(name, data=value)
    # A dimension takes the one-dimensional data set of its own name as its labels.
    for name, kind in fields.items():
        if kind.dims is None or kind.dtype is None:
            continue
        for axis, dim in enumerate(kind.dims):
            data = group[name]
            assert isinstance(data, h5py.Dataset)
            if dim not in group:
                length = data.shape[axis]
                label = _NO_VARIABLE + b"%10d" % length
                group.create_dataset(dim, shape=length, dtype=">f4").make_scale(label)
            scale = group[dim]
            assert isinstance(scale, h5py.Dataset)
            if not scale.is_scale:
                scale.make_scale(dim)
            if dim != name:
                data.dims[axis].attach_scale(scale)


def read_field(group: h5py.Group, name: str, kind: Field) -> Any:
    """The value of a field; a KeyError where the group does not hold it."""
    if kind.dims is None and kind.plain is not dict:
        assert kind.plain is not None
        value = group.attrs[name]
        if np.iscomplexobj(value):
            raise TypeError("it is complex")
        return kind.plain(value)
    if kind.dims is not None and kind.dtype is None:
        name = kind.dims[0]
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise KeyError(name)
    data = group[name]
    if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
        raise KeyError(name)
    check_stored(data)
    if kind.plain is dict:
        found = json.loads(str(data.asstr()[()]))
        if not isinstance(found, dict):
            raise ValueError(f"expected names and values, found a {type(found).__name__}")
        return found
    return tuple(data.asstr()[()]) if kind.dtype is None else data[()]
