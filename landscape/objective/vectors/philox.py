"""Standard normal numbers from a counter: any of them is made without those before it.

Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") turns a key and a
counter into 256 random bits. They are cut into sixteen numbers of 16 bits, and number i becomes the
normal quantile of (i + ½) / 65,536, rounded to a multiple of 1/4,096. Nothing but integers and a
table is involved, so every device gives the same bits; sums of squares are exact in double
precision. The largest number is 4.33, the variance .9999.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

LEVELS = 4096  # per unit
_EACH = 16  # numbers that one step of the counter gives
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
_LOW = 0xFFFFFFFF
_WORTH = 4  # parts, from which on several threads make them
_NOTHING = np.zeros(4, np.uint64)

_thread = threading.local()


def key_of(seed: int, number: int, name: str) -> tuple[int, int]:
    """The key of a tensor of a direction: 128 bits.

    >>> key_of(0, 0, "weight") == key_of(0, 1, "weight")
    False
    """
    text = f"landscape/direction/1/{seed}/{number}/{name}".encode()
    digest = hashlib.sha256(text).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:16], "little")


def normals(key: tuple[int, int], start: int, count: int, device: torch.device) -> Tensor:
    """The numbers start, ..., start + count - 1 of a key, float32, shape (count,).

    >>> cpu, key = torch.device("cpu"), (1, 2)
    >>> torch.equal(normals(key, 5, 3, cpu), normals(key, 0, 9, cpu)[5:8])
    True
    """
    if device.type == "cpu":
        out = np.empty(count, np.float32)
        draw(key, start, out)
        return torch.from_numpy(out)
    first, skip = start // _EACH, start % _EACH
    steps = (skip + count + _EACH - 1) // _EACH
    pieces = _cut(philox(key, first, steps, device))[skip : skip + count]
    return torch.from_numpy(_table()).to(device)[pieces]


def draw(key: tuple[int, int], start: int, out: np.ndarray) -> None:
    """Write the numbers from start on into an array of one axis; several threads can at once."""
    first, skip = start // _EACH, start % _EACH
    steps = (skip + len(out) + _EACH - 1) // _EACH
    words = _generator(key, first).integers(0, 2**64, size=4 * steps, dtype=np.uint64)
    pieces = words.astype("<u8", copy=False).view("<u2")[skip : skip + len(out)]
    np.take(_table(), pieces, out=out, mode="wrap")  # without a copy for checking


def _generator(key: tuple[int, int], first: int) -> np.random.Generator:
    """What gives the words after a counter; every thread has one, which is put there."""
    found = getattr(_thread, "generator", None)
    if found is None:
        found = _thread.generator = np.random.Generator(np.random.Philox(key=0))
    found.bit_generator.state = {
        "bit_generator": "Philox",
        "state": {
            "counter": np.array([first, 0, 0, 0], np.uint64),
            "key": np.array(key, np.uint64),
        },
        "buffer": _NOTHING,
        "buffer_pos": len(_NOTHING),  # all of it is used up
        "has_uint32": 0,
        "uinteger": 0,
    }
    return found


def philox(key: tuple[int, int], first: int, steps: int, device: torch.device) -> Tensor:
    """What Philox4x64-10 gives for the counters first + 1, ..., first + steps.

    The same as `numpy.random.Philox(key=key, counter=first)`, by operations of torch.

    Returns:
        Words of 64 bits as int64, shape (4 · steps,).
    """
    counter = torch.arange(first + 1, first + steps + 1, dtype=torch.int64, device=device)
    a, b, c, d = counter, *(torch.zeros_like(counter) for _ in range(3))
    keys = list(key)
    for _ in range(10):
        low_a, high_a = _product(a, _MULTIPLIERS[0])
        low_c, high_c = _product(c, _MULTIPLIERS[1])
        a, b, c, d = (
            high_c ^ b ^ _signed(keys[0]),
            low_c,
            high_a ^ d ^ _signed(keys[1]),
            low_a,
        )
        keys = [(k + w) % 2**64 for k, w in zip(keys, _WEYL, strict=True)]
    return torch.stack([a, b, c, d], dim=1).reshape(-1)


def _product(x: Tensor, by: int) -> tuple[Tensor, Tensor]:
    """The lower and the upper 64 bits of a product of unsigned numbers."""
    low, high = x & _LOW, (x >> 32) & _LOW
    by_low, by_high = by & _LOW, by >> 32
    cross, other = low * by_high, high * by_low
    carry = (((low * by_low) >> 32) & _LOW) + (cross & _LOW) + (other & _LOW)
    upper = high * by_high + ((cross >> 32) & _LOW) + ((other >> 32) & _LOW) + (carry >> 32)
    return x * _signed(by), upper


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def _cut(words: Tensor) -> Tensor:
    """The four numbers of 16 bits in every word, the lowest first."""
    return torch.stack([(words >> shift) & 0xFFFF for shift in (0, 16, 32, 48)], 1).reshape(-1)


@functools.cache
def _table() -> np.ndarray:
    from scipy.special import ndtri  # loaded when it is needed

    half = ndtri((np.arange(32768) + 0.5) / 65536)
    rounded = np.rint(half * LEVELS).astype(np.float32) / np.float32(LEVELS)
    return np.concatenate([rounded, -rounded[::-1]])


def in_threads(make: Callable[[slice], Any], parts: Iterable[slice]) -> list[Any]:
    """What a function gives for parts of a vector, made by as many threads as torch has."""
    todo, threads = list(parts), torch.get_num_threads()
    if threads == 1 or len(todo) < _WORTH:
        return [make(part) for part in todo]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(make, todo))
