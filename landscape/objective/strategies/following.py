"""Modules that follow each other directly, found by watching one forward pass."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from landscape.objective.strategies.work import Work


@torch.no_grad()
def find_pairs(
    work: Work, first: Iterable[nn.Module], second: Iterable[nn.Module]
) -> list[tuple[Any, Any]]:
    """Modules of the second kind that are given the very output of one of the first.

    Args:
        work: The borrowed model.
        first: Modules whose outputs are followed.
        second: Modules that may receive them.

    Returns:
        The pairs in which both modules are called once per pass. Whether something else reads the
        output too is not seen: compare numbers before relying on that.
    """
    makers, takers = set(first), set(second)
    made: dict[int, tuple[nn.Module, Tensor]] = {}
    found: list[tuple[nn.Module, nn.Module]] = []
    calls: dict[nn.Module, int] = {}

    def watch(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        calls[module] = calls.get(module, 0) + 1
        if module in takers and args and id(args[0]) in made:
            found.append((made[id(args[0])][0], module))
        if module in makers:
            made[id(output)] = (module, output)

    hooks = [module.register_forward_hook(watch) for module in makers | takers]
    try:
        work.place([0.0] * len(work.directions))
        next(iter(work.metrics.values()))(work.loan.model, work.sample[0][0])
    finally:
        for hook in hooks:
            hook.remove()
    return [(a, b) for a, b in found if calls[a] == 1 and calls[b] == 1]
