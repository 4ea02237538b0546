"""Checkpoints that stay in their files: tensors are read, row by row, when they are asked for.

Nothing is mapped into memory, so files may be larger than it. The format is that of safetensors
(github.com/huggingface/safetensors): the length of a header, a header in JSON, and the numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from landscape.base.checkpoint_files import weight_files

_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
_LONGEST_HEADER = 100_000_000  # as the library has it
_SAMPLES, _SAMPLE = 64, 4096  # of the content, in a digest


@dataclass(frozen=True)
class _Stored:
    """Where a tensor lies."""

    path: Path
    start: int
    dtype: torch.dtype
    shape: tuple[int, ...]


class FileTensors:
    """The floating-point tensors of one checkpoint, in its safetensors files.

    Args:
        path: A file, or a folder with ``model.safetensors``, whole or in parts.

    Attributes:
        path: As it was given.
        bytes_read: Of tensors, so far.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds no safetensors, or they are damaged or incomplete.
    """

    path: Path
    bytes_read: int

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.bytes_read = Path(path), 0
        self._files = _files(self.path)
        self._stored: dict[str, _Stored] = {}
        self._digest = hashlib.sha256()
        for file in self._files:
            self._stored.update(_read_header(file, self._digest))
        if not self._stored:
            raise ValueError(f"{path} holds no floating-point tensor.")

    @property
    def names(self) -> list[str]:
        """Names of the tensors, in the order of the files."""
        return list(self._stored)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self._stored[name].shape

    @property
    def size(self) -> int:
        """Bytes of all tensors together."""
        return sum(math.prod(s.shape) * s.dtype.itemsize for s in self._stored.values())

    @property
    def digest(self) -> str:
        """A fingerprint: names and shapes, and samples of the content."""
        found = self._digest.copy()
        for file in self._files:
            size = file.stat().st_size
            found.update(str(size).encode())
            with open(file, "rb", buffering=0) as stream:
                for place in sorted({size * k // _SAMPLES for k in range(_SAMPLES)}):
                    found.update(os.pread(stream.fileno(), _SAMPLE, place))
        return found.hexdigest()[:16]

    def read(self, name: str, rows: slice = slice(None)) -> Tensor:
        """Rows of a tensor along its first axis, in the type it is stored in, on the CPU."""
        stored = self._stored[name]
        start, stop = rows.indices(stored.shape[0])[:2] if stored.shape else (0, 1)
        shape = (stop - start, *stored.shape[1:]) if stored.shape else ()
        width = math.prod(stored.shape[1:]) * stored.dtype.itemsize
        raw = bytearray((stop - start) * width)
        if not raw:
            return torch.empty(shape, dtype=stored.dtype)
        with open(stored.path, "rb", buffering=0) as stream:
            _fill(stream, raw, stored.start + start * width)
        self.bytes_read += len(raw)
        return torch.frombuffer(raw, dtype=stored.dtype).view(shape)


def blocks(shape: tuple[int, ...], most: int) -> Iterator[slice]:
    """Rows of a tensor in parts of at most so many elements, or of one row."""
    rows = shape[0] if shape else 1
    each = max(1, most // max(1, math.prod(shape[1:])))
    for start in range(0, rows, each):
        yield slice(start, min(rows, start + each))


def open_checkpoints(paths: Sequence[str | os.PathLike[str]]) -> list[FileTensors]:
    """Checkpoints of one model.

    Raises:
        ValueError: If their tensors have other names or shapes.
    """
    found = [FileTensors(path) for path in paths]
    first = {name: found[0].shape(name) for name in found[0].names} if found else {}
    for other in found[1:]:
        theirs = {name: other.shape(name) for name in other.names}
        if odd := sorted(first.items() ^ theirs.items()):
            raise ValueError(
                f"{other.path} is not of the same model as {found[0].path}: "
                f"{len({name for name, _ in odd})} tensors differ in name or shape (first: "
                f"{odd[0][0]})."
            )
    return found


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file.")
    files = weight_files(path) if path.is_dir() else [path]
    if not files or any(file.suffix != ".safetensors" for file in files):
        raise ValueError(
            f"{path} holds no safetensors, which alone are read tensor by tensor; save it so "
            "(model.save_pretrained(folder)), or make a run of it (landscape import)."
        )
    return files


def _read_header(path: Path, digest: Any) -> Iterator[tuple[str, _Stored]]:
    damaged = f"{path} is damaged or cut short"
    size = path.stat().st_size
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
            raise ValueError(f"{damaged}: it does not begin as safetensors do.")
        text = stream.read(length)
    digest.update(text)
    try:
        header = json.loads(text)
        told = {n: (v["dtype"], v["shape"], v["data_offsets"]) for n, v in header.items()
                if n != "__metadata__"}  # fmt: skip
        tensors = [
            (name, _TYPES.get(kind), tuple(int(n) for n in shape), int(start), int(stop))
            for name, (kind, shape, (start, stop)) in told.items()
        ]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{damaged}: its header cannot be read ({error!r:.100}).") from None
    for name, dtype, shape, start, stop in tensors:
        if dtype is None:
            continue  # whole numbers
        wanted = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or not 0 <= start <= stop <= size - 8 - length:
            raise ValueError(f"{damaged}: {name} lies outside of it.")
        if stop - start != wanted:
            raise ValueError(f"{damaged}: {name} has {stop - start} bytes, and needs {wanted}.")
        yield name, _Stored(path, 8 + length + start, dtype, shape)


def _fill(stream: Any, raw: bytearray, start: int) -> None:
    view, done = memoryview(raw), 0
    stream.seek(start)
    while done < len(raw):
        count = stream.readinto(view[done:])
        if not count:
            raise ValueError(f"{stream.name} became shorter while it was read.")
        done += count
