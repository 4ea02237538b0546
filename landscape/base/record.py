"""Records of settings: typed views of a part of the flat names and values that a result keeps."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, Self


class Record:
    """Base of frozen dataclasses that say a part of a result's settings.

    A file keeps all settings in one table. What writes a part of them makes a record, and what
    reads that part asks the same record: a name that is read is one that is written.

    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Grid(Record):
    ...     points: int | None = None
    ...     name: str | None = None
    >>> Grid(points=3).settings()
    {'points': 3}
    >>> Grid.of({"points": "many", "name": "fine", "seed": 1})
    Grid(points=None, name='fine')
    """

    def settings(self) -> dict[str, Any]:
        """Names to values; what is None is left out."""
        told = {name: getattr(self, name) for name in _types_of(type(self))}
        return {name: value for name, value in told.items() if value is not None}

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """The record within settings of any age; what is of another type is not known."""
        types = _types_of(cls)
        known = (name for name in types if name in settings)
        return cls(**{n: settings[n] for n in known if isinstance(settings[n], types[n])})


@functools.cache
def _types_of(cls: type) -> dict[str, tuple[type, ...]]:
    """Name to the types that a field's value may have besides None."""
    hints = typing.get_type_hints(cls)
    return {f.name: _types(hints[f.name]) for f in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]


def _types(hint: Any) -> tuple[type, ...]:
    if isinstance(hint, types.UnionType):
        return tuple(t for part in typing.get_args(hint) for t in _types(part))
    return (typing.get_origin(hint) or hint,)
