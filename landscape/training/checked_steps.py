"""CheckedSteps: a step that breaks the weights where nothing was broken before it is an error."""

from __future__ import annotations

import math
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
        self._sound = _all_finite(_norms(self._weights))
        self._seen: list[Tensor] = []  # losses and norms of gradients since the last step
        self._steps: list[tuple[list[Tensor], list[Tensor]]] = []  # these, norms of weights after
        self._count = 0

    def step(self, closure: Callable[[], Tensor]) -> Tensor:
        """One step; returns the loss.

        Raises:
            ValueError: If the optimizer failed; the message names it and the first tensor.
        """

        def looked_at() -> Tensor:
            loss = closure()
            gradients = [w.grad for w in self._weights if w.grad is not None]
            self._seen += [loss.detach(), *_norms(gradients)]
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
        self._steps.append((self._seen, _norms(self._weights)))
        self._seen = []
        if self._count % self._every == 0:
            self.check()
        return loss

    def check(self) -> None:
        """Refuse what has been broken so far.

        Raises:
            ValueError: If the optimizer broke a tensor.
        """
        steps, self._steps = self._steps, []
        if not steps:
            return
        if _all_finite(steps[-1][1]):  # all there is to see, nearly always
            self._sound = True
            return
        broken: set[str] = set()
        for seen, weights in steps:
            finite = _finite(weights)
            if self._sound and all(_finite(seen)):
                broken |= {n for n, fine in zip(self._named, finite, strict=True) if not fine}
            self._sound = all(finite)
        for name in self._named:
            if name in broken and not self._named[name].isfinite().all():
                raise ValueError(
                    f"{self._name} made {name} infinite or NaN by step {self._count}, though the "
                    "loss, gradients and weights before were finite; give it a smaller learning "
                    "rate or other options, or take another optimizer."
                )

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


def _norms(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Their norms, which are infinite where the sum of squares is beyond the largest number."""
    dense = [t.detach().coalesce().values() if t.is_sparse else t.detach() for t in tensors]
    return list(torch._foreach_norm(dense)) if dense else []  # pyright: ignore[reportPrivateImportUsage]


def _finite(numbers: list[Tensor]) -> list[bool]:
    return [bool(number.isfinite().all()) for number in numbers]


def _all_finite(norms: list[Tensor]) -> bool:
    """Whether all are, by a single look where their sum is finite as well."""
    return not norms or math.isfinite(torch.stack(norms).sum()) or all(_finite(norms))
