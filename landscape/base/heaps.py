"""Global heaps of HDF5 files, checked before the library reads them.

Texts and other values of varying length lie in global heaps. The HDF5 library (2.0) trusts what a
heap says of itself: a damaged one overruns memory, which ends the interpreter, or is read for ever.
Everything else that was found damaged ends in an error; so heaps are checked here, byte by byte.

    heap       "GCOL", version 1, 3 bytes, size (8 bytes), then objects
    object     index (2 bytes; 0: the free rest), 2 + 4 bytes, size (8 bytes), data padded to 8
    reference  length (4 bytes), address of the heap (8 bytes), index (4 bytes)

A file is read once, piece by piece, and what grows at its end is read from there on; about one
second per gigabyte. Of files beyond `SCANNED` bytes only so much is looked at, half of it at either
end, where heaps lie in the files of this package: a file of that size from someone who means harm
is not safe to open.

Source: HDF5 File Format Specification 3.0, section III.E.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np

SCANNED = 1 << 32

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_HEAP = re.compile(rb"GCOL\x01")
_PIECE, _OVERLAP = 1 << 24, 64  # bytes that are looked at together, and that two pieces share
_FEW = 8  # heaps whose addresses are looked for one by one
_LEAST = 4096  # bytes of a heap; the library refuses smaller ones
_WIDTHS = (1, 2, 4, 8, 16)  # bytes of an element of what varies in length

Heaps = dict[int, tuple[int, dict[int, int]]]  # address: size, and bytes of every object


def damage_of_heaps(path: Path) -> str:
    """What is wrong with the global heaps of a file; empty when nothing is."""
    status = path.stat()
    return _damage(path, status.st_size, status.st_mtime_ns, status.st_ino)


_known: dict[tuple[Path, int], tuple[int, Heaps]] = {}  # file: how far it was read, and its heaps


@lru_cache(maxsize=256)
def _damage(path: Path, size: int, changed: int, inode: int) -> str:
    with open(path, "rb") as file:
        head = file.read(24)
        if not head.startswith(_SIGNATURE) or len(head) < 24:
            return ""  # the library says so
        if (head[13:15] if head[8] < 2 else head[9:11]) != b"\x08\x08":
            return "its addresses are not of 8 bytes"
        before, heaps = _known.get((path, inode), (0, {}))
        heaps = dict(heaps) if before <= size else {}
        spans = _spans(size, before if before <= size else 0)
        try:
            for begin, data in _pieces(file, spans):
                heaps |= _heaps(file, begin, data, size)
            for begin, data in _pieces(file, spans) if heaps else ():
                _check_references(begin, data, heaps)
        except ValueError as problem:
            return str(problem)
    _known[path, inode] = size, heaps
    return ""


def _spans(size: int, before: int) -> list[tuple[int, int]]:
    """What is to be read of a file of so many bytes, of which so many were read before."""
    if before > 2 * _PIECE:  # it has grown: what is new, and the beginning, which refers to it
        return [(0, _PIECE), (max(_PIECE, min(before, size - _PIECE) - _OVERLAP), size)]
    if size > SCANNED:
        return [(0, SCANNED // 2), (size - SCANNED // 2, size)]
    return [(0, size)]


def _pieces(file: BinaryIO, spans: list[tuple[int, int]]) -> Iterator[tuple[int, bytes]]:
    """Pieces of a file, and where each begins."""
    for begin, end in spans:
        while begin < end:
            file.seek(begin)
            yield begin, file.read(min(_PIECE + _OVERLAP, end - begin))
            begin += _PIECE


def _heaps(file: BinaryIO, begin: int, data: bytes, end: int) -> Heaps:
    """The heaps that begin in a piece of a file of `end` bytes.

    Raises:
        ValueError: If the objects of one do not fit into it.
    """
    found: Heaps = {}
    for match in _HEAP.finditer(data):
        start = match.start()
        (size,) = struct.unpack_from("<Q", data, start + 8) if start + 16 <= len(data) else (0,)
        if not _LEAST <= size <= end - begin - start:
            continue  # no heap after all, or one that the library refuses
        whole = data[start : start + size]
        if len(whole) < size:
            file.seek(begin + start)
            whole = file.read(size)
        found[begin + start] = size, _objects(whole, begin + start)
    return found


def _objects(heap: bytes, address: int) -> dict[int, int]:
    objects: dict[int, int] = {}
    at = 16
    while len(heap) - at >= 16:
        index, _, length = struct.unpack_from("<HHxxxxQ", heap, at)
        taken = 16 + (length + 7) // 8 * 8 if index else length
        if not 16 <= taken <= len(heap) - at or index in objects:
            raise ValueError(f"the heap at {address} holds an object {index} of {length} bytes")
        objects[index] = length
        at += taken
    return objects


def _named(data: bytes, heaps: Heaps) -> Iterator[int]:
    """Where a piece of a file holds the address of a heap."""
    if len(heaps) <= _FEW:
        for address in heaps:
            pattern, at = struct.pack("<Q", address), -1
            while (at := data.find(pattern, at + 1)) >= 0:
                yield at
        return
    known = np.array(sorted(heaps), np.uint64)
    for shift in range(8):
        numbers = np.frombuffer(data, "<u8", max(0, len(data) - shift) // 8, shift)
        near = np.flatnonzero(numbers - known[0] <= known[-1] - known[0])
        yield from (8 * near[np.isin(numbers[near], known)] + shift).tolist()


def _check_references(begin: int, data: bytes, heaps: Heaps) -> None:
    """Refuse references that ask for less than their object holds, which would overrun memory.

    Raises:
        ValueError: If there is one.
    """
    for place in _named(data, heaps):
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
