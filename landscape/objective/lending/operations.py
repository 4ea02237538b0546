"""Torch's operations as this thread makes them, one by one, and where in memory tensors lie."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


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


def memory_of(tensor: Tensor) -> int:
    """Where in memory a tensor's storage begins; 0 for one without memory of its own."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError):
        return 0
