"""Precision: what the numbers are computed in.

single     float32 throughout; on GPUs too, where libraries would round convolutions otherwise
double     float64 throughout
bfloat16   weights in float32, matrix products and convolutions in bfloat16 (8 significant bits)
tf32       weights in float32, matrix products and convolutions in TF32 (11 bits), on NVIDIA GPUs
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal, get_args

import torch

Precision = Literal["single", "double", "bfloat16", "tf32"]
REDUCED = ("bfloat16", "tf32")


def check_precision(name: str, device: torch.device) -> None:
    """Refuse what is unknown or cannot be had.

    Raises:
        ValueError: If it is.
    """
    if name not in get_args(Precision):
        raise ValueError(
            f"precision must be one of {', '.join(get_args(Precision))}; not {name!r}."
        )
    if name == "tf32" and device.type != "cuda":
        raise ValueError(
            f"precision tf32 exists on NVIDIA GPUs only, and the device is {device}; use single, "
            "or bfloat16."
        )


@contextlib.contextmanager
def arithmetic(name: str, device: torch.device) -> Iterator[None]:
    """Inside, matrix products and convolutions run in this precision on this device."""
    if name == "bfloat16":
        with torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False):
            yield
        return
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = name == "tf32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        if device.type == "cuda":
            torch.backends.cudnn.allow_tf32 = convolutions
