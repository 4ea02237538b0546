"""Gradients of an optimizer step, read before the step changes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from landscape.recording.slots import Flat


class Gradients:
    """The gradients that an optimizer step starts from, read before the step changes them.

    When the step is given a closure, the gradients are those after its first call, which is made
    at the present parameters; that call's value is the loss.

    Args:
        parameters: Whose gradients.

    Attributes:
        loss: What the closure returned at its first call; None without a closure.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self._parameters = parameters
        self.loss: Any = None

    def before_step(
        self,
        optimizer: torch.optim.Optimizer,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        flat: Flat | None,
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Read the gradients into `flat`, or make the closure in `args` or `kwargs` do it."""
        self.loss = None
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if not callable(closure):
            self._read(optimizer, flat)
            return None
        watched = self._watched(optimizer, closure, flat)
        if len(args) > 1:
            return (args[0], watched, *args[2:]), kwargs
        return args, {**kwargs, "closure": watched}

    def _watched(
        self, optimizer: torch.optim.Optimizer, closure: Callable[[], Any], flat: Flat | None
    ) -> Callable[[], Any]:
        first = True

        def watched() -> Any:
            nonlocal first
            loss = closure()
            if first:
                first = False
                self._read(optimizer, flat)
                self.loss = loss.detach().clone() if isinstance(loss, Tensor) else loss
            return loss

        return watched

    def _read(self, optimizer: torch.optim.Optimizer, flat: Flat | None) -> None:
        if flat is None:
            return
        flat.read([p.grad for p in self._parameters])
        scale = getattr(optimizer, "grad_scale", None)  # a fused step divides by it only later
        if isinstance(scale, Tensor):
            flat.vector.div_(scale.to(flat.vector.device))
