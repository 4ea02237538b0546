"""Reading a recording while it is written: without a lock, and again when it changed meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

import h5py

from landscape.base.files import NO_LOCKS, SchemaError, expanded, opened

_T = TypeVar("_T")
_LATELY = 30.0  # seconds; a recorder commits every second in which it steps
_KEPT = 3  # finds that a later one may confirm
_TRIES, _WAIT = 80, 0.05  # seconds; a commit is made every second and takes a part of one


def read(
    path: str | os.PathLike[str],
    function: Callable[[h5py.File], _T],
    agree: Callable[[_T, _T], bool] | None = None,
) -> _T:
    """What `function` finds in a file that is opened for it.

    While another process writes there, it is asked again until nothing was written in between. A
    file that is written to without a pause counts as read when two reads agree, with a commit in
    between them: committed rows never change, and the index in which they are looked up is in
    disorder only within one commit.

    Args:
        path: The file.
        function: What is asked.
        agree: Whether what was found first is confirmed by what was found next.

    Raises:
        SchemaError: If the file cannot be read, or is written to without a pause.
    """
    last: list[_T] = []
    for _ in range(_TRIES):
        before = _state(path)
        try:
            with opened(path) as file:
                found = function(file)
        except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
            if before == _state(path) and not is_written(path):
                if isinstance(error, SchemaError | FileNotFoundError):
                    raise
                raise SchemaError(f"{path} is damaged ({' '.join(str(error).split())}).") from error
        else:
            if before == _state(path) or not is_written(path):
                return found
            if agree is not None:
                if confirmed := [one for one in last if agree(one, found)]:
                    return confirmed[-1]
                last = [*last[-_KEPT:], found]
        time.sleep(_WAIT)
    raise SchemaError(f"{path} is written to without a pause; read it when it is closed.")


def is_written(path: str | os.PathLike[str]) -> bool:
    """Whether a recorder has the file open.

    Where files cannot be locked, as on some network file systems: whether it was written lately.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where recordings are not locked
        return False
    try:
        with expanded(path).open("rb") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    except OSError as error:
        return error.errno in NO_LOCKS and _is_recent(path)
    return False


def _is_recent(path: str | os.PathLike[str]) -> bool:
    try:
        return abs(time.time() - os.stat(expanded(path)).st_mtime) < _LATELY
    except OSError:
        return False


def _state(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    try:
        status = os.stat(expanded(path))
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
