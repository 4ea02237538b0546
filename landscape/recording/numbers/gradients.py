"""Gradients of an optimizer step, read before the step changes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from landscape.recording.slots import Flat

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


class Gradients:
    """The gradients that an optimizer step starts from, read before the step changes them.

    When the step is given a closure, the gradients are those after its first call, which is made
    at the present parameters; that call's value is the loss.

    Args:
        parameters: Whose gradients.
        into: Where to read them to at that moment; None: nowhere.
        between: Called before every call of a closure but the first; the gradients and the loss
            are then those of the last call. None keeps to the first one.

    Attributes:
        loss: What the closure returned; None without a closure.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        into: Callable[[], Flat | None],
        between: Callable[[Any], None] | None,
    ) -> None:
        self._parameters, self._into, self._between = parameters, into, between
        self.loss: Any = None

    def before_step(
        self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Arguments | None:
        """Read the gradients, or make the closure in `args` or `kwargs` do it.

        Args:
            optimizer: Whose step.
            args: Its arguments, the optimizer first.
            kwargs: Its arguments by name.

        Returns:
            The arguments with another closure; None when there is none.
        """
        self.loss = None
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if not callable(closure):
            self._read(optimizer)
            return None
        watched = self._watched(optimizer, closure)
        if len(args) > 1:
            return (args[0], watched, *args[2:]), kwargs
        return args, {**kwargs, "closure": watched}

    def _watched(self, optimizer: Any, closure: Callable[[], Any]) -> Callable[..., Any]:
        first = True

        def watched(*args: Any, **kwargs: Any) -> Any:
            nonlocal first
            if self._between is not None and not first:
                self._between(optimizer)
            loss = closure(*args, **kwargs)
            if first or self._between is not None:
                first = False
                self._read(optimizer)
                self.loss = loss.detach().clone() if isinstance(loss, Tensor) else loss
            return loss

        return watched

    def _read(self, optimizer: Any) -> None:
        flat = self._into()
        if flat is None:
            return
        flat.read([p.grad for p in self._parameters])
        scale = getattr(optimizer, "grad_scale", None)  # a fused step divides by it only later
        if isinstance(scale, Tensor):
            flat.vector.div_(scale.to(flat.vector.device))
