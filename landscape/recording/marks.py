"""Marks of tensors, by which it is known later whether they moved, without a copy of them."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import torch
from torch import Tensor


class Marks:
    """Check sums of tensors as they are now.

    Args:
        tensors: They; each is read once.

    >>> import torch
    >>> weight, bias = torch.ones(2, 3), torch.zeros(3)
    >>> marks = Marks([weight, bias])
    >>> bias[1] = -0.0  # another bit, no other number
    >>> marks.moved([weight, bias])
    [1]
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self._sums = [_sum(tensor) for tensor in tensors]

    def moved(self, tensors: Iterable[Tensor]) -> list[int]:
        """Which of the tensors differ by a bit or more."""
        pairs = enumerate(zip(self._sums, tensors, strict=True))
        return [k for k, (before, tensor) in pairs if before != _sum(tensor)]


def _sum(tensor: Tensor) -> tuple[torch.Size, int]:
    held = tensor.detach()
    held = held.to_dense() if held.is_sparse else held
    return held.shape, zlib.crc32(held.contiguous().view(-1).view(torch.uint8).numpy())
