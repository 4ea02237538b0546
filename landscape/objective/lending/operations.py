"""Torch's operations as this thread makes them, one by one, and where in memory tensors lie."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes


class Operations(TorchDispatchMode):
    """Inside, every operation of this thread goes through `run`."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Not by torch, which loads its compiler for it: more than a second for every process."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """See an operation and run it."""
        return self.run(func, args, kwargs or {})

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call an operation."""
        return func(*args, **kwargs)


def unseen() -> AbstractContextManager[None]:
    """Inside, no mode sees the operations of this thread, and none is to be differentiated."""
    if torch._C._len_torch_dispatch_stack() or torch.is_grad_enabled():
        return _unseen()
    return contextlib.nullcontext()  # to look takes a fiftieth of the time


@contextlib.contextmanager
def _unseen() -> Iterator[None]:
    with torch.no_grad(), _disable_current_modes():
        yield


def memory_of(tensor: Tensor) -> int:
    """Where in memory a tensor's storage begins; 0 for one without memory of its own."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):
        return 0
