"""Number: what one scalar of a step may be."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def one_number(value: Any) -> float | Tensor:
    """The value as one real number; a tensor on a GPU stays one, to be fetched later.

    Raises:
        TypeError: If it is no real number.
        ValueError: If it is more or less than one.

    >>> one_number(3)
    3.0
    """
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ValueError(f"takes one number; got shape {tuple(value.shape)}.")
        if value.is_complex():
            raise TypeError("takes a real number; got a complex tensor.")
        if value.is_cuda:  # the writing thread fetches it: no waiting here
            return value.detach().clone()
        value = value.item()
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(
            f"takes a real number or a tensor of one; got {value!r:.80} of type "
            f"{type(value).__name__}."
        ) from None
