"""Precision: what the numbers are computed in.

native     every tensor in its own type, as the user's own call computes; sums in float64
single     float32 throughout; on GPUs too, where libraries would round convolutions otherwise
double     float64 throughout
bfloat16   weights in float32, matrix products and convolutions in bfloat16 (8 significant bits)
tf32       weights in float32, matrix products and convolutions in TF32 (11 bits), on NVIDIA GPUs

Unless one is asked for, it is the model's own: single or double where all its tensors agree, else
native.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal, get_args

import torch
from torch import nn

Precision = Literal["single", "double", "native", "bfloat16", "tf32"]
REDUCED = ("bfloat16", "tf32")


def float_types(model: nn.Module) -> set[torch.dtype]:
    """Floating-point types of a model's tensors; those of the parts of complex ones."""
    tensors = (*model.parameters(), *model.buffers())
    floating = {t.dtype for t in tensors if t.is_floating_point()}
    return floating | {t.dtype.to_real() for t in tensors if t.is_complex()}


def own_precision(model: nn.Module) -> Precision:
    """The precision in which a model computes when its user calls it."""
    types = float_types(model)
    if types <= {torch.float32}:
        return "single"
    return "double" if types == {torch.float64} else "native"


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
    wanted = "high" if name == "tf32" else "highest"
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    short = name == "tf32"
    here = device.type == "cuda" and convolutions != short
    # These belong to the whole process; another thread may be training.
    if products != wanted:
        torch.set_float32_matmul_precision(wanted)
    if here:
        torch.backends.cudnn.allow_tf32 = short
    try:
        yield
    finally:
        if products != wanted:
            torch.set_float32_matmul_precision(products)
        if here:
            torch.backends.cudnn.allow_tf32 = convolutions
