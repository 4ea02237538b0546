"""Global heaps of HDF5 files, checked before the library reads them.

Texts and other values of varying length lie in global heaps. The HDF5 library (2.0) trusts what a
heap says of itself: a damaged one overruns memory, which ends the interpreter, or is read for ever.
Everything else that was found damaged ends in an error; so heaps are checked here, byte by byte.

    heap       "GCOL", version 1, 3 bytes, size (8 bytes), then objects
    object     index (2 bytes; 0: the free rest), 2 + 4 bytes, size (8 bytes), data padded to 8
    reference  length (4 bytes), address of the heap (8 bytes), index (4 bytes)

Of files beyond `SCANNED` bytes only the beginning and the end are looked at, where heaps lie in the
files of this package: a large file from someone who means harm is not safe to open.

Source: HDF5 File Format Specification 3.0, section III.E.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

SCANNED = 1 << 26

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEAP = b"GCOL\x01"
_WIDTHS = (1, 2, 4, 8, 16)  # bytes of an element of what varies in length
_LEAST = 4096  # bytes of a heap; the library refuses smaller ones


def damage_of_heaps(path: Path) -> str:
    """What is wrong with the global heaps of a file; empty when nothing is."""
    status = path.stat()
    return _damage(path, status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=256)
def _damage(path: Path, size: int, *_: int) -> str:
    if not size:
        return ""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        head = data[:24]
        if not head.startswith(_SIGNATURE) or len(head) < 24:
            return ""  # the library says so
        widths = head[13:15] if head[8] < 2 else head[9:11]
        if widths != b"\x08\x08":
            return "its addresses are not of 8 bytes"
        half = SCANNED // 2
        parts = [(0, size)] if size <= SCANNED else [(0, half), (size - half, size)]
        for address in _found(data, _HEAP, parts):
            if problem := _damage_of(data, address, parts):
                return f"the heap at {address} {problem}"
    return ""


def _found(data: mmap.mmap, what: bytes, parts: list[tuple[int, int]]) -> Iterator[int]:
    for start, end in parts:
        at = data.find(what, start, end)
        while at >= 0:
            yield at
            at = data.find(what, at + 1, end)


def _damage_of(data: mmap.mmap, address: int, parts: list[tuple[int, int]]) -> str:
    (size,) = struct.unpack_from("<Q", data, address + 8) if address + 16 <= len(data) else (0,)
    if not _LEAST <= size <= len(data) - address:
        return ""  # no heap, or one that the library refuses
    sizes: dict[int, int] = {}
    at, end = address + 16, address + size
    while end - at >= 16:
        index, _, length = struct.unpack_from("<HHxxxxQ", data, at)
        taken = 16 + (length + 7) // 8 * 8 if index else length
        if not 16 <= taken <= end - at or index in sizes:
            return f"holds an object {index} of {length} bytes"
        sizes[index] = length
        at += taken
    for place in _found(data, struct.pack("<Q", address), parts):
        if not 4 <= place <= len(data) - 12:
            continue
        length, _, index = struct.unpack_from("<IQI", data, place - 4)
        if length and index and index in sizes and sizes[index] not in [length * w for w in _WIDTHS]:
            return f"is asked for {length} bytes of object {index}, which has {sizes[index]}"
    return ""
