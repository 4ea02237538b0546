"""Devices by name, checked before anything is put on them."""

from __future__ import annotations

import torch


def checked_device(name: str) -> torch.device:
    """The device called ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ValueError: If the name is another one, or this machine has no such device.
    """
    kind, colon, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (colon and (kind == "cpu" or not index.isdigit())):
        raise ValueError(f"A device is cpu, cuda or cuda:N; not {name!r}.")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(index or 0) >= count:
            seen = f"cuda:0 to cuda:{count - 1}" if count else "no CUDA device"
            raise ValueError(f"device {name} was asked for, but torch sees {seen}; or use cpu.")
    return torch.device(name)
