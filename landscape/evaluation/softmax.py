"""Cross-entropy over few classes, computed with the classes outermost.

A softmax over ten classes that lie next to each other in memory cannot use wide vector
instructions; with the samples next to each other it can. The values are the same to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_MOST_CLASSES = 64
_PLAIN = {
    "weight": None,
    "size_average": None,
    "ignore_index": -100,
    "reduce": None,
    "reduction": "none",
    "label_smoothing": 0.0,
}


class few_classes(TorchFunctionMode):  # noqa: N801 - used as a context manager
    """Inside, `F.cross_entropy` of (samples, classes) logits on a CPU runs class by class."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Replace the one function this is about, call every other."""
        kwargs = kwargs or {}
        if func is F.cross_entropy and len(args) == 2 and {**_PLAIN, **kwargs} == _PLAIN:
            return _cross_entropy(*args)
        return func(*args, **kwargs)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    fits = (
        logits.device.type == "cpu"
        and logits.ndim == 2
        and 1 < logits.shape[1] <= _MOST_CLASSES
        and target.dtype == torch.int64
        and target.shape == logits.shape[:1]
        and target.numel() > 0
    )
    if not fits or target.min() < 0:  # negative targets are to be ignored
        return F.cross_entropy(logits, target, reduction="none")
    logs = F.log_softmax(logits.T.contiguous(), dim=0)
    return logs.gather(0, target[None])[0].neg_()
