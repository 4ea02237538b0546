"""Arrays in double precision: numpy's, or torch's on a device.

Torch is loaded by name when a device is asked for, so that drawing saved results needs none.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np


class Arrays:
    """The few operations that streamed sums are made of.

    Args:
        device: A torch device, such as ``cuda``; None is numpy.

    >>> Arrays(None).dots(np.array([[3.0, 4.0]]), np.array([[1.0, 1.0]]))
    array([7.])
    """

    def __init__(self, device: str | None) -> None:
        self._device = device
        self._library: Any = np if device is None else import_module("torch")

    def load(self, rows: np.ndarray) -> Any:
        """Values in double precision; they travel to a device as they are stored."""
        if self._device is None:
            return rows.astype(np.float64)
        return self._library.from_numpy(rows).to(self._device).double()

    def fetch(self, values: Any) -> np.ndarray:
        """Values as numpy's."""
        return values if self._device is None else values.cpu().numpy()

    def dots(self, a: Any, b: Any) -> Any:
        """Inner products of the rows, shape (rows,); `b` may be a single row."""
        if len(b) == 1:
            return self._library.einsum("sp,p->s", a, b[0])
        return self._library.einsum("sp,sp->s", a, b)

    def below(self, *parts: Any) -> Any:
        """Rows below one another."""
        return self._library.concatenate(parts)
