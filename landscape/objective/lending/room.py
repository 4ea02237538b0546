"""Memory that is used again: to touch new memory takes longer than to compute what goes there."""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

_SMALL = 2**18  # bytes below which an allocator has some at hand
_PAGE = 2**21  # of the larger pages that systems have
_COUNTED = hasattr(torch._C, "_storage_Use_Count")  # else nothing is known to be free


class Room:
    """Gives tensors in memory that it gave before, once nothing refers to that any more.

    It holds as many buffers as were in use together, each as large as was asked of it.

    >>> import torch
    >>> room = Room()
    >>> first = room.empty((256, 512), torch.float32, torch.device("cpu"))
    >>> second = room.empty((256, 512), torch.float32, torch.device("cpu"))
    >>> place, view = first.data_ptr(), second[0]
    >>> del first, second  # of the second, a view is left
    >>> room.empty((512, 256), torch.float32, torch.device("cpu")).data_ptr() == place
    True
    """

    def __init__(self) -> None:
        self._held: list[tuple[Tensor, torch.UntypedStorage]] = []

    def empty(self, shape: Sequence[int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """A tensor that holds anything."""
        size = math.prod(shape) * dtype.itemsize
        if size < _SMALL or not _COUNTED:
            return torch.empty(*shape, dtype=dtype, device=device)
        free = [b for b in self._held if b[0].device == device and _is_free(b[1])]
        fitting = [b for b in free if len(b[0]) >= size]
        if fitting:
            buffer = min(fitting, key=lambda b: len(b[0]))[0]
        else:
            if free:
                worst = max(free, key=lambda b: len(b[0]))[1]
                self._held = [b for b in self._held if b[1] is not worst]
                del free, fitting, worst
            buffer = _buffer(size, device)
            self._held.append((buffer, buffer.untyped_storage()))
        return buffer[:size].view(dtype).view(*shape)


def _buffer(size: int, device: torch.device) -> Tensor:
    """Memory of so many bytes; of the processor's in large pages, which are found faster."""
    if device.type != "cpu" or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.empty(size, dtype=torch.uint8, device=device)
    pages = mmap.mmap(-1, size + _PAGE)
    with contextlib.suppress(OSError):  # a system without them
        pages.madvise(mmap.MADV_HUGEPAGE)
    whole = torch.frombuffer(pages, dtype=torch.uint8)
    start = -whole.data_ptr() % _PAGE
    part: Any = torch.empty(0, dtype=torch.uint8)  # no view of the whole: nothing else refers to it
    return part.set_(whole.untyped_storage(), start, (size,), (1,))


def _is_free(storage: torch.UntypedStorage) -> bool:
    """Whether only the tensor that is held and this object refer to some memory."""
    return torch._C._storage_Use_Count(storage._cdata) == 2  # pyright: ignore
