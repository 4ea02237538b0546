"""CrashproofFile: what HDF5 writes through, so that a failing disk is no worse than a kill.

HDF5 cannot be told to forget what it has not written: after a failed write it tries again at every
later call and finally crashes the interpreter at exit. Here the first failure is remembered and
everything after it is discarded, so that HDF5 never sees an error and the file stays exactly as it
would be had the process been killed at that moment.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

_END = slice(40, 48)  # where an HDF5 superblock of version 0 says how long the file is


class CrashproofFile(io.FileIO):
    """A file for h5py's ``fileobj`` driver.

    Args:
        path: An existing file; it is locked against other processes while open.

    Attributes:
        error: The first write that failed; None while all is well.

    Raises:
        OSError: If it cannot be opened; BlockingIOError if another process has it open.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "r+")
        self.error: OSError | None = None
        try:
            _lock(self.fileno())
        except OSError:
            self.close()
            raise

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; with zeros beyond the end."""
        view = memoryview(buffer).cast("B")
        count = super().readinto(view) or 0
        view[count:] = bytes(len(view) - count)
        return len(view)

    def write(self, data: Any) -> int:
        """Write all of `data`, or nothing any more after a failure."""
        view = memoryview(data).cast("B")
        try:
            if self.error is None:
                if self.tell() == 0 and len(view) >= _END.stop:
                    # The file gets its length before it claims to have it.
                    self._grow(int.from_bytes(view[_END], "little"))
                done = 0
                while done < len(view):
                    done += super().write(view[done:]) or 0
        except OSError as error:
            self.error = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the length of the file, unless something failed before."""
        try:
            if self.error is None:
                super().truncate(size)
        except OSError as error:
            self.error = error
        return size or 0

    def check(self) -> None:
        """Raise the first failure, if there was one."""
        if self.error is not None:
            raise self.error

    def _grow(self, size: int) -> None:
        if os.fstat(self.fileno()).st_size < size:
            super().truncate(size)


def _lock(handle: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows, where an open file cannot be replaced anyway
        return
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
