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

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import h5py
import numpy as np

from landscape.base.fields import checked_array, fields_of, read_field, write_fields
from landscape.base.files import (
    SchemaError,
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


class Result:
    """Base of every result: frozen, validated, read-only, and able to save itself.

    Subclasses are `@dataclass(frozen=True, kw_only=True, eq=False)`, set `schema` and `version`,
    and end with the fields `settings` (what the numbers depend on) and `provenance`.
    """

    schema: ClassVar[str]
    version: ClassVar[int] = 1
    settings: dict[str, Any]
    provenance: dict[str, Any]

    def __init_subclass__(cls) -> None:
        """Keep the representation of this class: that of a dataclass prints whole arrays."""
        cls.__repr__ = Result.__repr__

    def __repr__(self) -> str:
        fields = {n: getattr(self, n) for n in fields_of(type(self)) if n not in _BACKGROUND}
        known = {name: value for name, value in fields.items() if value is not None}
        return short(type(self).__name__, *(f"{n}={brief(v, 40)}" for n, v in known.items()))

    def _repr_html_(self) -> str:
        """For notebooks: what there is, and a picture where matplotlib is loaded."""
        fields = ((n, getattr(self, n)) for n in fields_of(type(self)) if n not in _BACKGROUND)
        rows = [(name, brief(value, 100)) for name, value in fields if value is not None]
        return table(type(self).__name__, rows, picture_of(self))

    def to_xarray(self) -> xarray.Dataset:
        """A copy as `xarray.Dataset`, its dimensions named, as the saved group opens.

        Needs the extra ``tables``. Numbers and texts that are no arrays are attributes.
        """
        import xarray

        values: dict[str, Any] = {}
        attributes: dict[str, Any] = {"schema": self.schema, "version": self.version}
        for name, kind in fields_of(type(self)).items():
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
        for name, kind in fields_of(type(self)).items():
            value = getattr(self, name)
            if value is None:
                if not kind.optional:
                    raise ValueError(f"{type(self).__name__}.{name} is None; it is not optional.")
                continue
            if kind.dims is not None:
                value = checked_array(type(self).__name__, name, value, kind, sizes)
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
        save_together(path, {name: self})

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


def save_together(
    path: str | os.PathLike[str], results: Mapping[str, Result], *, without: Sequence[str] = ()
) -> None:
    """Write several results into one file at once; see `Result.save`.

    Args:
        path: File to write, created when missing.
        results: By the name of their group.
        without: Groups to delete, where they exist.

    Raises:
        ValueError: If no group can have one of the names.
    """
    for name in results:
        if "\0" in name or not name.strip("/."):
            raise ValueError(f"A result cannot be called {name!r}; take a name like surface/pca.")
    with replacing(path, *without, *results) as file:
        for name, result in results.items():
            write_fields(file.require_group(name), result)


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
    for name, kind in fields_of(cls).items():
        try:
            values[name] = read_field(group, name, kind)
        except KeyError:
            if not kind.optional:
                raise SchemaError(f"{where} has no {name!r}; the file is damaged.") from None
        except (OSError, ValueError, TypeError, RecursionError, MemoryError) as error:
            raise SchemaError(f"{where}: {name!r} cannot be read ({error}).") from error
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:
        raise SchemaError(f"{where} does not fit its schema: {error}") from error
