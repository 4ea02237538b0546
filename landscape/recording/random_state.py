"""Random states as plain bytes: torch (CPU and CUDA), NumPy's and Python's global generators.

No pickle: each generator's state has a fixed size on a given machine and is written as it is.
"""

from __future__ import annotations

import random
import struct

import numpy as np
import torch

_WORDS = 624  # of the Mersenne twister, in NumPy and in Python


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
        ValueError: If the state comes from a machine with other generators.
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
    content = state.tobytes()
    size = torch.get_rng_state().numel()
    torch.set_rng_state(_tensor(content[:size]))
    content = content[size:]
    keys, content = np.frombuffer(content[: 4 * _WORDS], "<u4"), content[4 * _WORDS :]
    position, cached, value = struct.unpack("<qqd", content[:24])
    np.random.set_state(("MT19937", keys, position, cached, value))
    content = content[24:]
    words, content = content[: 4 * (_WORDS + 1)], content[4 * (_WORDS + 1) :]
    held, gauss = struct.unpack("<qd", content[:16])
    python = tuple(int(word) for word in np.frombuffer(words, "<u4"))
    random.setstate((3, python, gauss if held else None))
    content = content[16:]
    for device in range(devices):
        part = content[device * len(content) // devices : (device + 1) * len(content) // devices]
        torch.cuda.set_rng_state(_tensor(part), device)


def _tensor(content: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)
