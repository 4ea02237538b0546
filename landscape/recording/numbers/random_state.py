"""Random states as plain bytes: torch (CPU and CUDA), NumPy's and Python's global generators.

No pickle: each generator's state has a fixed size on a given machine and is written as it is.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

_WORDS = 624  # of the Mersenne twister, in NumPy and in Python
_NUMPY, _PYTHON = 4 * _WORDS + 24, 4 * (_WORDS + 1) + 16  # bytes


def random_state(*, cuda: bool = False) -> np.ndarray:
    """The state of the global random generators, uint8; a fixed length on one machine.

    Args:
        cuda: Include those of the CUDA devices.
    """
    _, keys, position, cached, value = np.random.get_state(legacy=True)
    _, words, gauss = random.getstate()
    parts = [
        torch.get_rng_state().numpy().tobytes(),
        np.asarray(keys, "<u4").tobytes(),
        struct.pack("<qqd", position, cached, value),
        np.array(words, "<u4").tobytes(),
        struct.pack("<qd", gauss is not None, gauss or 0.0),
    ]
    if cuda:
        parts += [state.numpy().tobytes() for state in torch.cuda.get_rng_state_all()]
    return np.frombuffer(b"".join(parts), np.uint8)


def restore_random_state(state: np.ndarray) -> None:
    """Set every global random generator as it was when `random_state` returned `state`.

    Raises:
        ValueError: If the state comes from a machine with other generators, or is damaged; nothing
            was set then.
    """
    for set_one in checked_random_state(state):
        set_one()


def checked_random_state(state: np.ndarray) -> list[Callable[[], Any]]:
    """What sets every generator as `state` says; each part was tried on a generator of its own.

    Raises:
        ValueError: If the state comes from a machine with other generators, or is damaged.
    """
    here = random_state()
    devices = torch.cuda.device_count() if state.size > here.size else 0
    if devices:
        here = random_state(cuda=True)
    if state.shape != here.shape:
        raise ValueError(
            f"The stored random state has {state.size} bytes, this machine's has {here.size} "
            "(another version of torch or other GPUs); pass random_state=False to go on without."
        )
    size, content = torch.get_rng_state().numel(), state.astype(np.uint8).tobytes()
    try:
        return [
            _torch_part(content[:size]),
            _numpy_part(content[size : size + _NUMPY]),
            _python_part(content[size + _NUMPY : size + _NUMPY + _PYTHON]),
            *_cuda_parts(content[size + _NUMPY + _PYTHON :], devices),
        ]
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"The stored random state is damaged ({str(error).splitlines()[0]}); pass "
            "random_state=False to go on without."
        ) from error


def _torch_part(content: bytes) -> Callable[[], Any]:
    state = _tensor(content)
    torch.Generator().set_state(state)
    return partial(torch.set_rng_state, state)


def _numpy_part(content: bytes) -> Callable[[], Any]:
    keys = np.frombuffer(content[: 4 * _WORDS], "<u4")
    position, cached, value = struct.unpack("<qqd", content[4 * _WORDS :])
    if not 0 <= position <= _WORDS:  # NumPy would read beyond the words
        raise ValueError(f"position {position} of {_WORDS} words")
    _check_cached(cached, value)
    state = ("MT19937", keys, position, cached, value)
    np.random.RandomState(0).set_state(state)
    return partial(np.random.set_state, state)


def _python_part(content: bytes) -> Callable[[], Any]:
    *words, position = np.frombuffer(content[: 4 * (_WORDS + 1)], "<u4").tolist()
    held, gauss = struct.unpack("<qd", content[4 * (_WORDS + 1) :])
    if position > _WORDS:
        raise ValueError(f"position {position} of {_WORDS} words")
    _check_cached(held, gauss)
    state = (3, (*words, position), gauss if held else None)
    random.Random(0).setstate(state)
    return partial(random.setstate, state)


def _cuda_parts(content: bytes, devices: int) -> Iterator[Callable[[], Any]]:
    for device in range(devices):
        part = content[device * len(content) // devices : (device + 1) * len(content) // devices]
        state = _tensor(part)
        torch.Generator(f"cuda:{device}").set_state(state)
        yield partial(torch.cuda.set_rng_state, state, device)


def _check_cached(flag: int, value: float) -> None:
    if flag not in (0, 1) or not math.isfinite(value):
        raise ValueError(f"a number held back {value}, {flag} times")


def _tensor(content: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)
