"""CrashproofFile: what HDF5 writes through, so that the file is whole after each single write.

HDF5 changes its indexes in place and in any order, so a process that is killed between two writes
can leave an index that points nowhere. Here what is new goes to the file at once, since nothing
refers to it yet; what changes is held until `settle` and then written so that every reader in
between finds what it looks for: the length of the file first, then the index nodes from the root
down, then the rest. Short new pieces that follow one another are written as one.

HDF5 also cannot be told to forget what it has not written: after a failed write it tries again at
every later call and finally crashes the interpreter at exit. Here the first failure is remembered
and everything after it is discarded, so that HDF5 never sees an error and a failing disk leaves
what a kill at that moment would have left.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from pathlib import Path
from typing import Any

from landscape.base.files import NO_LOCKS

_END = slice(40, 48)  # where an HDF5 superblock of version 0 says how long the file is
_CHUNK_INDEX = b"TREE\x01"  # how a node of an index of chunks begins; its level follows
_LARGE = 16384  # bytes; writes of this size are rows, which never change
_TRIES, _WAIT = 5, 0.01  # of locking, seconds in between
_SHORT, _TOGETHER = 1 << 16, 1 << 20  # bytes; short writes of neighbours are made as one


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
        self._process = os.getpid()
        self.error: OSError | None = None
        self._first_new = os.fstat(self.fileno()).st_size  # what lies before may be referred to
        self._written: set[int] = set()  # where something was written beyond that
        self._held: dict[int, bytes] = {}
        self._fresh, self._fresh_at = bytearray(_TOGETHER + _SHORT), 0  # new, written together
        self._waiting = 0  # bytes of it
        self._place = 0
        self._length: int | None = None
        try:
            _lock(self.fileno())
        except OSError:
            self.close()
            raise

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; the file itself is asked only where its end is."""
        if whence == os.SEEK_END:
            self._put_fresh()
        self._place = place if whence == os.SEEK_SET else super().seek(place, whence)
        return self._place

    def tell(self) -> int:
        """The present place."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as if everything held were written; with zeros beyond the end."""
        self._put_fresh()
        view = memoryview(buffer).cast("B")
        start = self._place
        super().seek(start)
        count = super().readinto(view) or 0
        view[count:] = bytes(len(view) - count)
        for place, data in self._held.items():
            low, high = max(start, place), min(start + len(view), place + len(data))
            if low < high:
                view[low - start : high - start] = data[low - place : high - place]
        self._place = start + len(view)
        return len(view)

    def write(self, data: Any) -> int:
        """Write `data` where nothing was before; hold it where it changes something."""
        view = memoryview(data).cast("B")
        place, size = self._place, len(view)
        if place >= self._first_new and place not in self._written:
            if place != self._fresh_at + self._waiting or self._waiting >= _TOGETHER:
                self._put_fresh()
                self._fresh_at = place
            if size < _SHORT:
                self._fresh[self._waiting : self._waiting + size] = view
                self._waiting += size
            else:
                self._put_fresh()
                self._put(place, view)
                self._fresh_at = place + size
            if size < _LARGE:
                self._written.add(place)
        else:
            old = self._held.get(place, b"")
            self._held[place] = bytes(view) + old[size:]
        self._place = place + size
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set the length of the file when everything held is written."""
        self._length = size
        return size or 0

    def settle(self) -> None:
        """Write what is held, in an order that leaves the file whole after each write.

        Raises:
            OSError: The first failure until now, if there was one.
        """
        self._put_fresh()
        for place, data in sorted(self._held.items(), key=_order):
            if place == 0 and len(data) >= _END.stop:
                self._grow(int.from_bytes(data[_END], "little"))
            self._put(place, memoryview(data))
        self._held.clear()
        if self._length is not None and self.error is None:
            self._resize(self._length)
        self._length = None
        self._written.clear()
        self._first_new = os.fstat(self.fileno()).st_size
        self.check()

    def close(self) -> None:
        """Unlock and close: a forked child may live on, and would keep the lock."""
        if not self.closed and self._process == os.getpid():
            _unlock(self.fileno())
        super().close()

    def check(self) -> None:
        """Raise the first failure, if there was one."""
        if self.error is not None:
            raise self.error

    def _put_fresh(self) -> None:
        if self._waiting:
            self._put(self._fresh_at, memoryview(self._fresh)[: self._waiting])
            self._fresh_at += self._waiting
            self._waiting = 0

    def _put(self, place: int, view: memoryview) -> None:
        try:
            super().seek(place)
            done = 0 if self.error is None else len(view)
            while done < len(view):
                done += super().write(view[done:]) or 0
        except OSError as error:
            self.error = error

    def _grow(self, size: int) -> None:
        if os.fstat(self.fileno()).st_size < size:
            self._resize(size)

    def _resize(self, size: int) -> None:
        try:
            if self.error is None:
                super().truncate(size)
        except OSError as error:
            self.error = error


def _order(held: tuple[int, bytes]) -> tuple[int, int]:
    """Superblock, index nodes by falling level, the rest."""
    place, data = held
    if place == 0:
        return (0, 0)
    return (1, -data[5]) if data[:5] == _CHUNK_INDEX else (2, 0)


def _lock(handle: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows, where an open file cannot be replaced anyway
        return
    for tries in range(_TRIES, 0, -1):  # a reader that looks whether there is a writer is quick
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if tries == 1:
                raise
            time.sleep(_WAIT)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            return
        else:
            return


def _unlock(handle: int) -> None:
    with contextlib.suppress(ImportError):
        import fcntl

        with contextlib.suppress(OSError):  # where there are none
            fcntl.flock(handle, fcntl.LOCK_UN)
