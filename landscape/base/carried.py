"""What stays of an HDF5 file, carried over into a new one.

HDF5 gives the space of what is deleted back to nobody once a file was closed, so that a file in
which something is replaced again and again grows for ever. A new file holds what stays and no more.

Everything is carried over: groups and data sets (as they are stored, compressed or not), their
attributes, soft, external and hard links, the order of members, and references to objects, which
dimension scales are made of. What cannot be carried over exactly is refused, never left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
from h5py import h5a, h5f, h5g, h5o, h5p, h5s, h5t  # pyright: ignore[reportAttributeAccessIssue]


class CannotCarryError(Exception):
    """The file holds something that only a copy of all its bytes keeps."""


def carry_over(old: h5py.File, path: Path, *, without: Iterable[str]) -> None:
    """Write a new file `path` that holds everything of `old` but the objects called `without`.

    Raises:
        CannotCarryError: If the file has a user block, data that refer to objects, regions of data
            sets, or anything that cannot be read.
    """
    if old.userblock_size:
        raise CannotCarryError("a user block")
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_libver_bounds(h5f.LIBVER_EARLIEST, h5f.LIBVER_LATEST)  # as h5py does by itself
    access.set_fclose_degree(h5f.CLOSE_STRONG)
    made = h5f.create(bytes(path), h5f.ACC_TRUNC, fcpl=old.id.get_create_plist(), fapl=access)
    with h5py.File(made) as new:
        try:
            carrier = _Carrier(old, new, {name.strip("/") for name in without})
            carrier.carry()
            new.flush()
            carrier.check()
        except (RuntimeError, KeyError, TypeError, ValueError, OSError, RecursionError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # a full disk
                raise
            raise CannotCarryError(str(error)) from error


class _Carrier:
    def __init__(self, old: h5py.File, new: h5py.File, without: set[str]) -> None:
        self._old, self._new, self._without = old, new, without
        self._placed: dict[int, str] = {}  # address of an object in `old`: its name in `new`
        self._later: list[tuple[h5py.HLObject, str, str]] = []  # attributes that refer to objects

    def carry(self) -> None:
        self._placed[h5o.get_info(self._old.id).addr] = "/"
        self._members(self._old, self._new, "")
        self._attributes(self._old, "/")
        for owner, name, place in self._later:
            self._references(owner, name, place)

    def check(self) -> None:
        """Refuse a copy of which an object or an attribute is missing or cannot be read."""
        for place in self._placed.values():
            here = self._new[place]
            lost = set(self._old[place].attrs) - set(here.attrs) - {"REFERENCE_LIST"}
            if lost:
                raise CannotCarryError(f"attributes of {place}: {sorted(lost)}")
            for name in here.attrs:
                here.attrs[name]

    def _members(self, group: h5py.Group, into: h5py.Group, where: str) -> None:
        for name in map(str, group):
            place = f"{where}/{name}"
            if place.strip("/") in self._without:
                continue
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                into[name] = link
                continue
            item = group[name]
            address = h5o.get_info(item.id).addr
            if address in self._placed:
                into[name] = self._new[self._placed[address]]
                continue
            self._placed[address] = place
            if isinstance(item, h5py.Group):
                made = h5g.create(into.id, name.encode(), gcpl=item.id.get_create_plist())
                self._members(item, h5py.Group(made), place)
            else:
                if isinstance(item, h5py.Dataset) and item.id.get_type().detect_class(
                    h5t.REFERENCE
                ):
                    raise CannotCarryError(f"{place} refers to objects")
                h5o.copy(group.id, name.encode(), into.id, name.encode())
            self._attributes(item, place)

    def _attributes(self, item: h5py.HLObject, place: str) -> None:
        made = self._new[place]
        for index in range(h5a.get_num_attrs(item.id)):
            one = h5a.open(item.id, index=index)
            kind, space = one.get_type(), one.get_space()
            if kind.detect_class(h5t.REFERENCE):
                if h5a.exists(made.id, one.name):
                    h5a.delete(made.id, one.name)
                self._later.append((item, one.name.decode(), place))
            elif not h5a.exists(made.id, one.name):
                copied = h5a.create(made.id, one.name, kind, space)
                if space.get_simple_extent_type() == h5s.NULL:
                    continue
                values, memory = np.zeros(one.shape, one.dtype), h5t.py_create(one.dtype)
                one.read(values, mtype=memory)
                copied.write(values, mtype=memory)

    def _references(self, item: h5py.HLObject, name: str, place: str) -> None:
        here = self._new[place]
        if name == "REFERENCE_LIST":  # made again by whoever attaches the scale
            return
        if name == "DIMENSION_LIST" and isinstance(item, h5py.Dataset):
            assert isinstance(here, h5py.Dataset)
            for axis, scales in zip(here.dims, np.asarray(item.attrs[name]), strict=True):
                for scale in scales:
                    if target := self._target(scale):
                        axis.attach_scale(self._new[target])
            return
        value = item.attrs[name]
        if not isinstance(value, h5py.Reference):
            raise CannotCarryError(f"attribute {name!r} of {place} refers to objects")
        target = self._target(value)
        here.attrs[name] = self._new[target].ref if target else h5py.Reference()

    def _target(self, reference: h5py.Reference) -> str | None:
        """Where the object lies now; None when it does not stay."""
        if not reference:
            return None
        if isinstance(reference, h5py.RegionReference):
            raise CannotCarryError("a reference to a region")
        return self._placed.get(h5o.get_info(self._old[reference].id).addr)
