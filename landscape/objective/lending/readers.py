"""Which module reads which parameter, seen in one pass, operation by operation."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.utils._pytree import tree_leaves

from landscape.base.layout import Layout
from landscape.objective.lending.operations import Operations, memory_of


def readers_of(
    model: nn.Module, layout: Layout, run: Callable[[], Any]
) -> tuple[dict[str, list[nn.Module | None]], Any, bool]:
    """The modules in whose forward each trainable parameter is read.

    A parameter that nobody reads in this pass (an expert that no token takes) is expected to be
    read by the modules that it is a parameter of.

    Args:
        model: The model, with its own weights.
        layout: Its trainable parameters.
        run: Runs the losses on a few samples.

    Returns:
        Name to modules; None stands for what reads it outside of every module of the model. What
        `run` returned. And whether it read anything of the model, buffers too.
    """
    named, mine = dict(model.named_parameters()), set(model.modules())
    places: dict[int, list[tuple[int, int, str]]] = {}
    for entry in layout:
        own = named[entry.name].data
        start = int(own.storage_offset())
        places.setdefault(memory_of(own), []).append((start, start + entry.size, entry.name))
    for buffer in model.buffers():
        if buffer.is_floating_point() and buffer.numel():
            start = int(buffer.storage_offset())
            places.setdefault(memory_of(buffer), []).append((start, start + buffer.numel(), ""))
    seen = _Reading(places)
    with _followed(seen, mine), seen, torch.no_grad():
        returned = run()
    found: dict[str, list[nn.Module | None]] = {}
    for entry in layout:
        readers = list(seen.found.get(entry.name, {}).values())
        parameter = named[entry.name]
        owners: list[nn.Module | None] = [
            m for m in model.modules() if any(p is parameter for p in m._parameters.values())
        ]
        found[entry.name] = readers or owners
    return found, returned, bool(seen.found)


class _Reading(Operations):
    """Notes which module runs when an operation takes something of a parameter's memory."""

    def __init__(self, places: dict[int, list[tuple[int, int, str]]]) -> None:
        self.places = places
        self.running: list[nn.Module] = []
        self.found: dict[str, dict[int, nn.Module | None]] = {}
        super().__init__()

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Look at what an operation is given, and run it."""
        reader = self.running[-1] if self.running else None
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, Tensor):
                at = tensor.storage_offset()
                for start, stop, name in self.places.get(memory_of(tensor), ()):
                    if start <= at < stop:
                        self.found.setdefault(name, {})[id(reader)] = reader
        return func(*args, **kwargs)


@contextlib.contextmanager
def _followed(seen: _Reading, mine: set[nn.Module]) -> Iterator[None]:
    """Inside, it is known which module of the model this thread runs."""
    thread = threading.get_ident()

    def enter(module: nn.Module, args: Any) -> None:
        if threading.get_ident() == thread and module in mine:
            seen.running.append(module)

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        if threading.get_ident() == thread and module in mine:
            seen.running.pop()

    hooks = [
        register_module_forward_pre_hook(enter),
        register_module_forward_hook(leave, always_call=True),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
