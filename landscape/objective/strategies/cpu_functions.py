"""Cheaper ways to the same numbers, taken while a net runs on a CPU without gradients.

Torch's max pooling looks at one number after another; maxima of neighbouring rows, and then of
neighbouring columns, are taken many at a time. A softmax over ten classes that lie next to each
other in memory cannot use wide vector instructions; with the samples next to each other it can. A
rectifier whose input nobody else reads can write over it, which spares a pass through memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

MOST_CLASSES = 64  # whose softmax is taken with samples side by side
_PLAIN = {
    "weight": None,
    "size_average": None,
    "ignore_index": -100,
    "reduce": None,
    "reduction": "none",
    "label_smoothing": 0.0,
}


_POOLING = (F.max_pool2d, torch.max_pool2d)
_MOST_NEIGHBOURS = 4  # whose maxima are taken one after another


class Shortcuts(TorchFunctionMode):
    """Inside, some functions take a cheaper way.

    Args:
        fresh: Tells whether a layer has just made a tensor. A net that reads such a tensor again
            after the rectifier gets other numbers, which whoever uses this has to notice.
    """

    def __init__(self, fresh: Callable[[Tensor], bool]) -> None:
        self.fresh = fresh
        super().__init__()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Replace three functions, call every other."""
        kwargs = kwargs or {}
        if func in (F.relu, torch.relu, Tensor.relu) and args and self.fresh(args[0]):
            return torch.relu_(args[0])
        if func is F.cross_entropy and len(args) == 2 and {**_PLAIN, **kwargs} == _PLAIN:
            return _cross_entropy(*args)
        if func in _POOLING and (found := _max_pool(*args, **kwargs)) is not None:
            return found
        return func(*args, **kwargs)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    fits = (
        logits.device.type == "cpu"
        and logits.ndim == 2
        and 1 < logits.shape[1] <= MOST_CLASSES
        and target.dtype == torch.int64
        and target.shape == logits.shape[:1]
        and target.numel() > 0
    )
    if fits:
        logs = F.log_softmax(logits.T.contiguous(), dim=0)
        with contextlib.suppress(RuntimeError):  # of targets that are no class, as -100 to ignore
            return logs.gather(0, target[None])[0].neg_()
    return F.cross_entropy(logits, target, reduction="none")


def _max_pool(
    x: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | None:
    """Max pooling over windows that do not overlap; None where it is another."""
    rows, columns = _two(kernel_size)
    plain = _two(padding) == (0, 0) and _two(dilation) == (1, 1)
    alone = _two(stride or kernel_size) == (rows, columns)
    if (
        ceil_mode
        or return_indices
        or not (plain and alone and max(rows, columns) <= _MOST_NEIGHBOURS)
    ):
        return None
    if x.device.type != "cpu" or x.ndim != 4 or torch.is_grad_enabled():
        return None
    height, width = x.shape[2] // rows * rows, x.shape[3] // columns * columns
    if not (height and width and x.numel()):
        return None
    x = x[:, :, :height, :width]
    x = _largest([x[:, :, k::rows] for k in range(rows)])
    return _largest([x[..., k::columns] for k in range(columns)])


def _largest(parts: list[Tensor]) -> Tensor:
    found = parts[0]
    for part in parts[1:]:
        found = torch.maximum(found, part)
    return found


def _two(given: Any) -> tuple[Any, ...]:
    given = tuple(given) if isinstance(given, tuple | list) else (given,)
    return given if len(given) == 2 else (given[0], given[0])
