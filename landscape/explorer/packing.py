"""A page's content as text: JSON and one block of columns, compressed together."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from typing import Any

import numpy as np


def packed(values: np.ndarray, dtype: str = "f4") -> dict[str, Any]:
    """An array as base64 of little-endian numbers with its shape; NaN and ±inf survive.

    >>> packed(np.array([1.0]))
    {'dtype': 'f4', 'shape': [1], 'data': 'AACAPw=='}
    """
    with np.errstate(over="ignore"):  # beyond float32 is inf, which the page shows as such
        array = np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("<"))
    return {
        "dtype": dtype,
        "shape": list(array.shape),
        "data": base64.b64encode(array.tobytes()).decode("ascii"),
    }


def packed_content(content: dict[str, Any]) -> str:
    """Base64 of gzip of: length of the JSON (4 bytes), the JSON, the columns.

    Columns leave the JSON for the block and say where they are (``at``); equal ones are stored
    once. Of every column all first bytes come first, then all second ones: that halves what is
    left of smooth numbers after compression and changes none.
    """
    block, places = bytearray(), {}
    text = json.dumps(_without_columns(content, block, places), allow_nan=False).encode()
    whole = struct.pack("<I", len(text)) + text + bytes(block)
    return base64.b64encode(gzip.compress(whole, 9, mtime=0)).decode("ascii")


def unpacked_content(text: str) -> dict[str, Any]:
    """The inverse of `packed_content`, with arrays in the places of columns."""
    whole = gzip.decompress(base64.b64decode(text))
    (length,) = struct.unpack_from("<I", whole)
    return _with_columns(json.loads(whole[4 : 4 + length]), whole[4 + length :])


def _without_columns(value: Any, block: bytearray, places: dict[bytes, int]) -> Any:
    if isinstance(value, list):
        return [_without_columns(v, block, places) for v in value]
    if not isinstance(value, dict):
        return value
    if not _is_column(value):
        return {name: _without_columns(v, block, places) for name, v in value.items()}
    raw = base64.b64decode(value["data"])
    size = np.dtype(value["dtype"]).itemsize
    ordered = np.frombuffer(raw, np.uint8).reshape(-1, size).T.tobytes()
    if ordered not in places:
        places[ordered] = len(block)
        block += ordered
    return {"dtype": value["dtype"], "shape": value["shape"], "at": places[ordered]}


def _with_columns(value: Any, block: bytes) -> Any:
    if isinstance(value, list):
        return [_with_columns(v, block) for v in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {"dtype", "shape", "at"}:
        return {name: _with_columns(v, block) for name, v in value.items()}
    kind = np.dtype(value["dtype"]).newbyteorder("<")
    length = int(np.prod(value["shape"])) * kind.itemsize
    ordered = np.frombuffer(block, np.uint8, length, value["at"])
    return ordered.reshape(kind.itemsize, -1).T.copy().view(kind).reshape(value["shape"])


def _is_column(value: dict[str, Any]) -> bool:
    return set(value) == {"dtype", "shape", "data"}
