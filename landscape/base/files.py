"""HDF5 files: opened with a reason when they cannot be, and changed as a whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from landscape.base.carried import CannotCarryError, carry_over
from landscape.base.distribution import install
from landscape.base.heaps import damage_of_heaps

_DAMAGE = (
    OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError,
    EOFError,
)  # fmt: skip
_CHECKPOINTS = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What asking for a lock says where there are none, as on some network file systems."""
_SMALL = 1 << 24  # bytes of which nobody minds whether they are stored
_AHEAD = (
    2  # times larger than its file is what a recording may say it is, which grows in large steps
)
_TIGHTEST = 1100  # times smaller than what was compressed: more than deflate can


class SchemaError(ValueError):
    """A file or a group is not what it was taken for; the message says what was found.

    >>> import pathlib
    >>> import landscape as ls
    >>> written = pathlib.Path("notes.h5").write_text("no HDF5")
    >>> try:
    ...     ls.load_results("notes.h5")
    ... except SchemaError as error:
    ...     print(str(error)[:40])
    notes.h5 is not an HDF5 file (a .h5 writ
    """


def expanded(path: str | os.PathLike[str]) -> Path:
    """A path of the user's, with the home folder in place of ``~``, as a shell would put it.

    >>> expanded("runs/adam.h5").as_posix()
    'runs/adam.h5'

    Raises:
        ValueError: If there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path}: {error}; give the folder itself.") from error


@contextlib.contextmanager
def opened(path: str | os.PathLike[str], **options: Any) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; what cannot be read becomes a `SchemaError` that says why.

    Args:
        path: The file.
        **options: As for `h5py.File`.
    """
    path = expanded(path)
    if path.is_dir():
        raise SchemaError(f"{path} is a folder; give one HDF5 file.")
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file.")
    if not path.is_file():  # a pipe or a device, of which reading never ends
        raise SchemaError(f"{path} is no file; give one HDF5 file.")
    if damage := damage_of_heaps(path):
        raise SchemaError(f"{path} is damaged and cannot be read ({damage}).")
    try:
        # Without a lock: a run may be read while it is recorded.
        file = h5py.File(path, "r", locking=False, **options)
    except OSError as error:
        raise SchemaError(_why_unreadable(path, error)) from error
    with file, damage_told(path):
        yield file


@contextlib.contextmanager
def damage_told(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn whatever reading a damaged or hostile file raises into a `SchemaError` of one line."""
    try:
        yield
    except SchemaError:
        raise
    except _DAMAGE as error:
        if isinstance(error, OSError) and (error.filename or error.errno in _FULL):
            raise
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise SchemaError(f"{path} is damaged and cannot be read ({said}).") from error


def check_stored(data: h5py.Dataset) -> None:
    """Refuse a data set that says it is much larger than what is stored of it.

    Reading it would take memory that no file was large enough to fill. What is stored is only
    counted where the file is not that large: to count it, HDF5 goes through all pieces of the data.
    """
    shape = data.shape
    announced = data.dtype.itemsize * math.prod(shape or ())
    if announced <= max(_SMALL, _AHEAD * data.file.id.get_filesize()):
        return
    if announced > _TIGHTEST * data.id.get_storage_size():
        raise SchemaError(
            f"{data.file.filename}: {data.name} is said to have the shape {shape}, and "
            f"{data.id.get_storage_size()} bytes of it are stored; the file is damaged."
        )


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], *names: str) -> Iterator[h5py.File]:
    """Open a copy of `path` (or a new file), without groups, for writing; it takes its place.

    What stays is carried over into a new file beside it, so that a file does not grow for being
    written again. Two processes that save into one folder wait for each other. After an exception
    the old file is as it was. A link stays a link, and the permissions stay.

    Raises:
        SchemaError: If the file is a recorded run, or cannot be read.
        PermissionError: If it may not be written to.
    """
    path = Path(os.path.realpath(expanded(path)))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with _locked(path.parent):
        try:
            if path.exists():
                _copy(path, partial, names)
            with _written(path), h5py.File(partial, "r+" if path.exists() else "w") as file:
                for name in (name for name in names if name in file):
                    for place in _own(file, name):
                        if place in file:
                            del file[place]
                    if name in file:
                        for attribute in [*file[name].attrs]:
                            del file[name].attrs[attribute]
                yield file
            with open(partial, "rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[None]:
    """What the library says when a disk is full, said of the file."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        number = re.search(r"errno = (\d+)", str(error))
        if number is None:
            raise
        said = os.strerror(int(number[1]))
        raise OSError(
            int(number[1]), f"{path} cannot be written ({said}); it is as it was"
        ) from error


def remove(path: str | os.PathLike[str], name: str) -> None:
    """Delete group `name` of `path`, where it exists."""
    with opened(path) as file:
        if name not in file:
            return
    with replacing(path, name):
        pass


def _copy(path: Path, partial: Path, names: Sequence[str]) -> None:
    """Make `partial` a copy of `path` without groups, or with what cannot be left out."""
    if not path.stat().st_mode & 0o222:
        raise PermissionError(f"{path} is read-only; make it writable, or save in another file.")
    with opened(path) as old:
        if "schema" in old.attrs:
            raise SchemaError(
                f"{path} is a recorded run, which is never changed; save results in another file."
            )
        carried = False
        # Without any, appending wastes nothing and bytes are copied faster.
        if held := [name for name in names if name in old]:
            with contextlib.suppress(CannotCarryError):
                left = [place for name in held for place in _own(old, name)]
                carry_over(old, partial, without=left)
                carried = True
    if not carried:
        shutil.copyfile(path, partial)
    shutil.copystat(path, partial)
    os.utime(partial)
    with contextlib.suppress(OSError):  # of another user or group
        os.chown(partial, path.stat().st_uid, path.stat().st_gid)


def _own(file: h5py.File, name: str) -> list[str]:
    """What is deleted with group `name`: itself, or its members where results lie inside it."""
    group = file[name]
    if not isinstance(group, h5py.Group) or not (inside := groups(group)):
        return [name]
    kept = {place.partition("/")[0] for place in inside}
    return [f"{name}/{member}" for member in map(str, group) if member not in kept]


def being_written(path: str | os.PathLike[str]) -> bool:
    """Whether a process records into this file at the moment."""
    try:
        import fcntl
    except ImportError:  # Windows: files that are open cannot be replaced there
        return False
    with open(expanded(path), "rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        return False


def groups(file: h5py.Group) -> dict[str, str]:
    """Name to schema of every group in a file, or inside a group, that carries one."""
    found: dict[str, str] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Group) and "schema" in item.attrs:
            found[name] = " ".join(str(item.attrs["schema"]).split())[:80]

    file.visititems(visit)
    return found


def check_version(where: str, schema: str, found: Any, known: int) -> None:
    """Refuse what a newer version of this package wrote, and what is no version at all."""
    if not isinstance(found, int | np.integer) or found < 1:
        raise SchemaError(f"{where} has no valid version of {schema}; the file is damaged.")
    if found > known:
        raise SchemaError(
            f"{where} is {schema} version {found}; this package reads up to {known}. "
            f"Upgrade: {install(upgrade=True)}"
        )


def _why_unreadable(path: Path, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"{path}: permission denied."
    if "unable to lock" in str(error):
        return f"{path} is being written by another process; try again when it has finished."
    with open(path, "rb") as handle:
        head = handle.read(8)
    if head != b"\x89HDF\r\n\x1a\n":
        said = f"{path} is not an HDF5 file (a .h5 written by this package is expected)."
        if path.suffix in _CHECKPOINTS:
            said += (
                f" A checkpoint: landscape surface --checkpoint {path.name} --task FILE:FUNCTION."
            )
        return said
    said = " ".join(str(error).split())
    return f"{path} is damaged or cut short and cannot be opened ({said})."


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows: the rename alone keeps files whole
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:  # there, the rename alone keeps files whole
            if error.errno not in NO_LOCKS:
                raise
        yield
    finally:
        os.close(handle)
