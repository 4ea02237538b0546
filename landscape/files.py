"""HDF5 files: opened with a reason when they cannot be, and changed as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np


class SchemaError(ValueError):
    """A file or a group is not what it was taken for; the message says what was found."""


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; what cannot be read becomes a `SchemaError` that says why."""
    path = Path(path)
    if path.is_dir():
        raise SchemaError(f"{path} is a folder; give one HDF5 file.")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file.")
    try:
        file = h5py.File(path, "r", locking=False)  # a run may be read while it is recorded
    except OSError as error:
        raise SchemaError(_why_unreadable(path, error)) from error
    with file:
        yield file


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[h5py.File]:
    """Open a copy of `path` (or a new file) for writing; it takes the place of `path` at the end.

    Two processes that save into one folder wait for each other. After an exception the old file
    is as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with _locked(path.parent):
        try:
            if path.exists():
                with opened(path) as old:
                    if "schema" in old.attrs:
                        raise SchemaError(
                            f"{path} is a recorded run, which is never changed; save results in "
                            "another file."
                        )
                shutil.copyfile(path, partial)
            with h5py.File(partial, "r+" if path.exists() else "w") as file:
                yield file
            with open(partial, "rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


def remove(path: str | os.PathLike[str], name: str) -> None:
    """Delete group `name` of `path`, where it exists."""
    with opened(path) as file:
        if name not in file:
            return
    with replacing(path) as file:
        del file[name]


def groups(file: h5py.File) -> dict[str, str]:
    """Name to schema of every group in a file that carries one."""
    found: dict[str, str] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Group) and "schema" in item.attrs:
            found[name] = str(item.attrs["schema"])

    file.visititems(visit)
    return found


def check_version(where: str, schema: str, found: Any, known: int) -> None:
    """Refuse what a newer version of this package wrote, and what is no version at all."""
    if not isinstance(found, int | np.integer) or found < 1:
        raise SchemaError(f"{where} has no valid version of {schema}; the file is damaged.")
    if found > known:
        raise SchemaError(
            f"{where} is {schema} version {found}; this package reads up to {known}. "
            "Upgrade: pip install --upgrade landscape"
        )


def _why_unreadable(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"{path}: permission denied."
    if "unable to lock" in str(error):
        return f"{path} is being written by another process; try again when it has finished."
    with open(path, "rb") as handle:
        head = handle.read(8)
    if head != b"\x89HDF\r\n\x1a\n":
        return f"{path} is not an HDF5 file (a .h5 written by this package is expected)."
    return f"{path} is damaged or cut short and cannot be opened ({error})."


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows: the rename alone keeps files whole
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
