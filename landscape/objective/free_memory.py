"""Memory that is free on a device, and errors that say there is none."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any

import torch


def out_of_memory(problem: BaseException) -> bool:
    """Whether an error, or the one that caused it, says that memory is short."""
    if isinstance(problem, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(problem, RuntimeError) and "not enough memory" in str(problem):
        return True  # of torch's allocator on a CPU
    return problem.__cause__ is not None and out_of_memory(problem.__cause__)


def free_bytes(device: torch.device) -> int | None:
    """Bytes that can still be taken on a device; None where the system does not say."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    found = []
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            found.append(1024 * int(line.split()[1]))
    most, used = _text("/sys/fs/cgroup/memory.max"), _text("/sys/fs/cgroup/memory.current")
    if most.isdigit() and used.isdigit():  # in a container
        found.append(max(0, int(most) - int(used)))
    return min(found, default=None)


def give_back() -> None:
    """Let the system have what the C library keeps for each thread of what that thread freed."""
    if (trim := _trim()) is not None:
        trim(0)


@functools.cache
def _trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another C library
        return None


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
