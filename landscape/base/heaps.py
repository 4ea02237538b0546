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

import re
import struct
from functools import lru_cache
from pathlib import Path

import numpy as np

SCANNED = 1 << 24

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEAP = re.compile(rb"GCOL\x01")
_LEAST = 4096  # bytes of a heap; the library refuses smaller ones
_WIDTHS = (1, 2, 4, 8, 16)  # bytes of an element of what varies in length

Heaps = dict[int, tuple[int, dict[int, int]]]  # address: size, and bytes of every object


def damage_of_heaps(path: Path) -> str:
    """What is wrong with the global heaps of a file; empty when nothing is."""
    status = path.stat()
    return _damage(path, status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=256)
def _damage(path: Path, size: int, *_: int) -> str:
    with open(path, "rb") as file:
        parts = [(0, file.read(min(size, SCANNED)))]
        if size > SCANNED:
            parts[0] = 0, parts[0][1][: SCANNED // 2]
            file.seek(size - SCANNED // 2)
            parts.append((size - SCANNED // 2, file.read(SCANNED // 2)))
    head = parts[0][1][:24]
    if not head.startswith(_SIGNATURE) or len(head) < 24:
        return ""  # the library says so
    if (head[13:15] if head[8] < 2 else head[9:11]) != b"\x08\x08":
        return "its addresses are not of 8 bytes"
    try:
        heaps = {k: v for begin, data in parts for k, v in _heaps(begin, data).items()}
        for begin, data in parts:
            _check_references(begin, data, heaps)
    except ValueError as problem:
        return str(problem)
    return ""


def _heaps(begin: int, data: bytes) -> Heaps:
    """The heaps in a part of a file.

    Raises:
        ValueError: If the objects of one do not fit into it.
    """
    found: Heaps = {}
    for match in _HEAP.finditer(data):
        start = match.start()
        (size,) = struct.unpack_from("<Q", data, start + 8) if start + 16 <= len(data) else (0,)
        if not _LEAST <= size <= len(data) - start:
            continue  # no heap after all, or one that the library refuses
        objects: dict[int, int] = {}
        at = start + 16
        while start + size - at >= 16:
            index, _, length = struct.unpack_from("<HHxxxxQ", data, at)
            taken = 16 + (length + 7) // 8 * 8 if index else length
            if not 16 <= taken <= start + size - at or index in objects:
                raise ValueError(
                    f"the heap at {begin + start} holds an object {index} of {length} bytes"
                )
            objects[index] = length
            at += taken
        found[begin + start] = size, objects
    return found


def _check_references(begin: int, data: bytes, heaps: Heaps) -> None:
    """Refuse references that ask for less than their object holds, which would overrun memory.

    Raises:
        ValueError: If there is one.
    """
    known = np.array(sorted(heaps), np.uint64)
    for shift in range(8) if heaps else ():
        numbers = np.frombuffer(data, "<u8", max(0, len(data) - shift) // 8, shift)
        near = np.flatnonzero(numbers - known[0] <= known[-1] - known[0])
        for place in (8 * near[np.isin(numbers[near], known)] + shift).tolist():
            if not 4 <= place <= len(data) - 12:
                continue
            if any(at <= begin + place < at + size for at, (size, _) in heaps.items()):
                continue  # in a heap the same bytes are something else
            length, address, index = struct.unpack_from("<IQI", data, place - 4)
            there = heaps[address][1].get(index, 0) if index else 0
            if length and there > length and there not in [length * w for w in _WIDTHS]:
                raise ValueError(
                    f"the heap at {address} is asked for {length} of {there} bytes of an object"
                )
