"""Results on disk: a frozen dataclass of arrays is one HDF5 group.

The annotations of the dataclass are the schema. ``loss: Float64[np.ndarray, "beta alpha"]`` is
checked for type, rank and agreement of the named dimensions, becomes read-only, and is stored
with HDF5 dimension scales, so that the group also opens with ``xarray`` (engine ``h5netcdf``).

    annotation                                   stored as
    Float64[np.ndarray, "a b"] (or `| None`)     data set with dimensions a, b (None: left out)
    Float[np.ndarray, "a b"]                     the same in float64, or else in float32
    Annotated[tuple[str, ...], "a"]              the labels of dimension a: data set `a`, strings
    str, int, float                              attribute of the group
    dict                                         data set holding one JSON text

Every group carries `schema` (a string) and `version` (an integer that counts versions of this
schema). Files are untrusted: nothing is unpickled and links to other files are not followed.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import h5py
import numpy as np

from landscape.base.files import (
    SchemaError,
    check_stored,
    check_version,
    expanded,
    groups,
    opened,
    replacing,
)
from landscape.base.settings import as_json
from landscape.base.shown import brief, picture_of, short, table

if TYPE_CHECKING:
    import pandas
    import xarray

_BACKGROUND = ("settings", "provenance")
_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable."


class Result:
    """Base of every result: frozen, validated, read-only, and able to save itself.

    Subclasses are `@dataclass(frozen=True, kw_only=True, eq=False)`, set `schema` and `version`,
    and end with the fields `settings` (what the numbers depend on) and `provenance`.
    """

    schema: ClassVar[str]
    version: ClassVar[int] = 1
    settings: dict
    provenance: dict

    def __init_subclass__(cls) -> None:
        """Keep the representation of this class: that of a dataclass prints whole arrays."""
        cls.__repr__ = Result.__repr__

    def __repr__(self) -> str:
        fields = {n: getattr(self, n) for n in _fields(type(self)) if n not in _BACKGROUND}
        known = {name: value for name, value in fields.items() if value is not None}
        return short(type(self).__name__, *(f"{n}={brief(v, 40)}" for n, v in known.items()))

    def _repr_html_(self) -> str:
        """For notebooks: what there is, and a picture where matplotlib is loaded."""
        fields = ((n, getattr(self, n)) for n in _fields(type(self)) if n not in _BACKGROUND)
        rows = [(name, brief(value, 100)) for name, value in fields if value is not None]
        return table(type(self).__name__, rows, picture_of(self))

    def to_xarray(self) -> xarray.Dataset:
        """A copy as `xarray.Dataset`, its dimensions named, as the saved group opens.

        Needs the extra ``tables``. Numbers and texts that are no arrays are attributes.
        """
        import xarray

        values: dict[str, Any] = {}
        attributes: dict[str, Any] = {"schema": self.schema, "version": self.version}
        for name, kind in _fields(type(self)).items():
            value = getattr(self, name)
            if value is None:
                continue
            if kind.dims is None:
                attributes[name] = value
            else:
                place = name if kind.dtype is not None else kind.dims[0]
                values[place] = (kind.dims, np.array(value))
        return xarray.Dataset(values, attrs=attributes)

    def to_frame(self) -> pandas.DataFrame:
        """A copy as `pandas.DataFrame`: a row for every entry of what was measured.

        Its columns are all arrays along the dimensions of the first that is no coordinate: for a
        path one row per state, for a surface one per metric and point. Needs the extra ``tables``.
        """
        data = self.to_xarray()
        main = set(next(data[name].dims for name in data.data_vars))
        kept = [n for n in data.data_vars if data[n].dims and set(data[n].dims) <= main]
        return data[kept].to_dataframe()

    def __post_init__(self) -> None:
        """Check every field against its annotation; arrays are converted and made read-only.

        Tables are brought into the form in which a file gives them back.
        """
        sizes: dict[str, int] = {}
        for name, kind in _fields(type(self)).items():
            value = getattr(self, name)
            if value is None:
                if not kind.optional:
                    raise ValueError(f"{type(self).__name__}.{name} is None; it is not optional.")
                continue
            if kind.dims is not None:
                value = _checked_array(type(self).__name__, name, value, kind, sizes)
                object.__setattr__(self, name, value)
            elif kind.plain is dict:
                object.__setattr__(self, name, as_json(value, f"{type(self).__name__}.{name}"))

    def save(self, path: str | os.PathLike[str], name: str) -> None:
        """Write this result as group `name` of the HDF5 file `path`, atomically.

        What stays of the file is copied to ``<path>.partial``, which is changed and renamed: a
        crash or a full disk leaves the old file as it was, and no file grows for being saved into
        again. A result of that name is replaced; everything else in the file stays, also results
        inside its group (``surface/pca/30x30``).

        Args:
            path: File to write, created when missing.
            name: Group, for example ``surface/pca``.

        Raises:
            ValueError: If no group can be called `name`.
        """
        if "\0" in name or not name.strip("/."):
            raise ValueError(f"A result cannot be called {name!r}; take a name like surface/pca.")
        with replacing(path, name) as file:
            _write(file.require_group(name), self)

    @classmethod
    def load(cls, path: str | os.PathLike[str], name: str) -> Self:
        """Read group `name` of `path`.

        Raises:
            SchemaError: If the file is not HDF5, the group is missing or holds something else, or
                was written by a newer version of this package.
        """
        with opened(path) as file:
            group = file.get(name)
            if not isinstance(group, h5py.Group) or group.file.filename != file.filename:
                raise SchemaError(f"{path}: no group {name!r}; it holds {sorted(groups(file))}.")
            return read_group(group, {cls.schema: cls})

    @classmethod
    def find(cls, path: str | os.PathLike[str], name: str) -> Self | None:
        """Like `load`, but None when the file or the group does not exist."""
        if not expanded(path).exists():
            return None
        with opened(path) as file:
            if name not in file:
                return None
        return cls.load(path, name)


def read_group(group: h5py.Group, known: Mapping[str, type[Result]]) -> Any:
    """Rebuild the result that `group` holds, as one of the `known` classes (by schema)."""
    where = f"{group.file.filename}:{group.name}"
    schema = group.attrs.get("schema")
    cls = known.get(str(schema))
    if cls is None:
        said = repr(schema)[:80]
        raise SchemaError(f"{where} has schema {said}; expected one of {sorted(known)}.")
    check_version(where, cls.schema, group.attrs.get("version"), cls.version)
    values: dict[str, Any] = {}
    for name, kind in _fields(cls).items():
        try:
            values[name] = _read(group, name, kind)
        except KeyError:
            if not kind.optional:
                raise SchemaError(f"{where} has no {name!r}; the file is damaged.") from None
        except (OSError, ValueError, TypeError, RecursionError, MemoryError) as error:
            raise SchemaError(f"{where}: {name!r} cannot be read ({error}).") from error
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:
        raise SchemaError(f"{where} does not fit its schema: {error}") from error


class _Field(typing.NamedTuple):
    dims: tuple[str, ...] | None  # None: not an array
    dtype: np.dtype | None  # None with dims: strings
    plain: type | None  # str, int, float, dict
    optional: bool
    wide: bool = False  # float64 stays as it is; everything else becomes `dtype`


@functools.cache
def _fields(cls: type[Result]) -> dict[str, _Field]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return {f.name: _field(hints[f.name]) for f in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]


def _field(hint: Any) -> _Field:
    options = [h for h in typing.get_args(hint) if h is not type(None)]
    optional = type(None) in typing.get_args(hint)
    if optional:
        (hint,) = options
    if hasattr(hint, "dim_str"):
        dims, wide = tuple(hint.dim_str.split()), {"float32", "float64"} <= {*hint.dtypes}
        dtype = np.dtype(np.float32 if wide else hint.dtypes[0])
        return _Field(dims, dtype, None, optional, wide)
    if typing.get_origin(hint) is typing.Annotated:
        return _Field((hint.__metadata__[0],), None, None, optional)
    return _Field(None, None, typing.get_origin(hint) or hint, optional)


def _checked_array(cls: str, name: str, value: Any, kind: _Field, sizes: dict[str, int]) -> Any:
    assert kind.dims is not None
    if kind.dtype is not None and np.iscomplexobj(value):
        raise ValueError(f"{cls}.{name} is complex; expected {kind.dtype}.")
    kept = kind.wide and np.asarray(value).dtype == np.float64
    dtype = np.dtype(np.float64) if kept else kind.dtype
    array = tuple(str(v) for v in value) if dtype is None else np.array(value, dtype)
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


def _write(group: h5py.Group, result: Result) -> None:
    group.attrs["schema"] = result.schema
    group.attrs["version"] = result.version
    fields = {k: v for k, v in _fields(type(result)).items() if getattr(result, k) is not None}
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


def _read(group: h5py.Group, name: str, kind: _Field) -> Any:
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
