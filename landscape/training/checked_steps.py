"""CheckedSteps: a step that breaks the weights where nothing was broken before it is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.linalg import LinAlgError  # pyright: ignore[reportAttributeAccessIssue]

LATE = 50  # steps between two looks at a GPU, which would otherwise be waited for at each


class CheckedSteps:
    """Takes the steps of an optimizer, and tells one that fails from a training that diverges.

    Diverging is data: loss, gradients and weights grow until they, or the sums of their squares,
    are beyond the largest number, and nothing is said. The optimizer is at fault where these
    sums are finite for all weights and gradients, and the loss is, and the step leaves infinity
    or NaN in the weights; or where it cannot step at all.

    Args:
        name: What messages call the optimizer.
        optimizer: The optimizer.
        model: What it trains.
        needs_closure: Whether the closure goes to its step.
    """

    def __init__(
        self, name: str, optimizer: torch.optim.Optimizer, model: nn.Module, *, needs_closure: bool
    ) -> None:
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad and p.numel()]
        self._name, self._optimizer, self._needs_closure = name, optimizer, needs_closure
        self._named = dict(named)
        self._weights = [weight for _, weight in named]
        self._every = LATE if any(weight.is_cuda for weight in self._weights) else 1
        self._sound = _moderate(self._weights).all()
        self._broken = torch.zeros(len(named), dtype=torch.bool, device=self._sound.device)
        self._count = 0

    def step(self, closure: Callable[[], Tensor]) -> Tensor:
        """One step; returns the loss.

        Raises:
            ValueError: If the optimizer failed; the message names it and the first tensor.
        """

        def looked_at() -> Tensor:
            loss = closure()
            gradients = [w.grad for w in self._weights if w.grad is not None]
            self._sound = self._sound & loss.isfinite() & _moderate(gradients).all()
            return loss

        self._count += 1
        try:
            if self._needs_closure:
                loss = cast(Tensor, cast(Any, self._optimizer).step(looked_at))
            else:
                loss = looked_at()
                self._optimizer.step()
        except RuntimeError as error:
            if not isinstance(error, LinAlgError) and "overflow" not in str(error):
                raise
            raise ValueError(self._failed(error)) from error
        after = _moderate(self._weights)
        self._broken |= self._sound & ~after
        self._sound = after.all()
        if self._count % self._every == 0:
            self.check()
        return loss

    def check(self) -> None:
        """Refuse what has been broken so far.

        Raises:
            ValueError: If the optimizer broke a tensor.
        """
        if not self._broken.any():
            return
        for name, broken in zip(self._named, self._broken.tolist(), strict=True):
            if broken and not self._named[name].isfinite().all():
                raise ValueError(
                    f"{self._name} made {name} infinite or NaN by step {self._count}, though the "
                    "loss, gradients and weights before were finite; give it a smaller learning "
                    "rate or other options, or take another optimizer."
                )
        self._broken.zero_()

    def _failed(self, error: Exception) -> str:
        """What an optimizer that raised was doing."""
        for name, weight in self._named.items():
            state = self._optimizer.state.get(weight, {}).values()
            held = [weight, weight.grad, *state]
            if not all(t.isfinite().all() for t in held if isinstance(t, Tensor)):
                where = f"{name}, its gradient or what {self._name} keeps of it is not finite"
                break
        else:
            where = f"all of {', '.join(self._named)} are finite"
        return (
            f"{self._name} failed at step {self._count}: {where} ({error}); give it a smaller "
            "learning rate or other options, or take another optimizer."
        )


def _moderate(tensors: Iterable[Tensor]) -> Tensor:
    """For each tensor whether the sum of its squares is finite."""
    dense = [t.detach().coalesce().values() if t.is_sparse else t.detach() for t in tensors]
    if not dense:
        return torch.ones(0, dtype=torch.bool)
    return torch.stack(torch._foreach_norm(dense)).isfinite()  # pyright: ignore[reportPrivateImportUsage]
