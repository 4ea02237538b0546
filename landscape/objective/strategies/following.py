"""Modules that follow each other directly, found by watching one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

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


@torch.no_grad()
def into_cross_entropy(work: Work, layers: Iterable[nn.Module]) -> set[nn.Module]:
    """Those of some layers whose very output a metric gives to the cross-entropy."""
    made: dict[int, tuple[nn.Module, Tensor]] = {}

    def watch(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        made[id(output)] = (module, output)

    hooks = [layer.register_forward_hook(watch) for layer in layers]
    reads = _CrossEntropies()
    try:
        work.place([0.0] * len(work.directions))
        with reads:
            for metric in work.metrics.values():
                metric(work.loan.model, work.sample[0][0])
    finally:
        for hook in hooks:
            hook.remove()
    return {made[id(given)][0] for given in reads.given if id(given) in made}


class _CrossEntropies(TorchFunctionMode):
    """Inside, notes what the cross-entropy is given."""

    def __init__(self) -> None:
        self.given: list[Any] = []
        super().__init__()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Note, and call."""
        if func is F.cross_entropy and args:
            self.given.append(args[0])
        return func(*args, **(kwargs or {}))
