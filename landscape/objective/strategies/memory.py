"""Memory: how many points are tried at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from landscape.objective.free_memory import free_bytes, out_of_memory
from landscape.objective.strategies.work import Work

__all__ = ["free_bytes", "out_of_memory", "points_that_fit"]

_SHARE = 0.5  # of what is free
_STACKS = 3  # a stack of parameter vectors, what it is computed from, and a layer's copy


def points_that_fit(work: Work, batch_size: int | None) -> int:
    """How many points can be measured together in half of the memory that is free, at least 1.

    A point costs its parameters and, for every sample of a batch, what the widest module takes in
    and gives out. That leaves out what happens inside functions; `out_of_memory` catches the rest.
    """
    free = free_bytes(work.loan.flat.device)
    if free is None:
        return 2**31
    batch, samples = work.sample[0]
    widest = _widest(work, batch) / samples * (batch_size or samples)
    each = _STACKS * work.loan.flat.nbytes + 2 * widest
    return max(1, int(_SHARE * free / each))


@torch.no_grad()
def _widest(work: Work, batch: object) -> int:
    """Bytes that the widest module takes in and gives out for one batch."""
    sizes = [0]

    def watch(module: nn.Module, given: tuple[Any, ...], output: object) -> None:
        tensors = [t for t in (*given, output) if isinstance(t, Tensor)]
        sizes.append(sum(t.nbytes for t in tensors))

    modules = [m for m in work.loan.model.modules() if not any(m.children())]
    modules = [m for m in modules if not isinstance(m, torch.jit.ScriptModule)]  # take no hooks
    hooks = [module.register_forward_hook(watch) for module in modules]
    try:
        work.rest()
        next(iter(work.metrics.values()))(work.loan.model, batch)
    finally:
        for hook in hooks:
            hook.remove()
    return max(sizes)
