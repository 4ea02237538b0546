"""Borrow a model: evaluate it at other weights and give it back exactly as it was.

The model's own tensors are set aside and put back; they are never written to, so weights, buffers,
gradients, `requires_grad`, modes and random states are bit-identical afterwards, whatever happens
in between.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from landscape.layout import Layout

Place = tuple[dict, str]  # where a module keeps a buffer


@contextlib.contextmanager
def borrowed(
    model: nn.Module, layout: Layout, flat: Tensor, buffers_layout: Layout, buffers: Tensor | None
) -> Iterator[None]:
    """Let the model compute with the weights in `flat`, in evaluation mode.

    Args:
        model: The model.
        layout: Which slice of `flat` is which trainable parameter.
        flat: The flat vector that the parameters become views of, shape (P,); its device and
            type are those of the computation.
        buffers_layout: Which slice of `buffers` is which floating-point buffer.
        buffers: Flat buffers to use instead of the model's own, shape (B,); None uses copies of
            the model's own.

    Yields:
        Nothing; inside, writing to `flat` or `buffers` changes what the model computes.
    """
    modes = [(module, module.training) for module in model.modules()]
    owned = [(p, p.data) for p in model.parameters()]
    tables = [(module._buffers, dict(module._buffers)) for module in model.modules()]
    with _random_state(flat.device):
        try:
            named = dict(model.named_parameters())
            for entry in layout:
                named[entry.name].data = flat[entry.slice].view(entry.shape)
            trainable = {entry.name for entry in layout}
            for name, parameter in named.items():
                if name not in trainable:
                    parameter.data = _like(parameter.data, flat)
            _replace_buffers(model, buffers_layout, buffers, flat)
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for parameter, data in owned:
                parameter.data = data
            for table, contents in tables:
                table.clear()
                table.update(contents)
            for module, training in modes:
                module.training = training


def _replace_buffers(
    model: nn.Module, layout: Layout, buffers: Tensor | None, flat: Tensor
) -> None:
    given = {}
    if buffers is not None:
        given = {e.name: buffers[e.slice].view(e.shape) for e in layout}
    replaced: dict[int, Tensor] = {}  # a buffer shared by two modules stays shared
    for prefix, module in model.named_modules():
        for name, buffer in module._buffers.items():
            if buffer is None:
                continue
            full = f"{prefix}.{name}" if prefix else name
            if id(buffer) not in replaced:
                copy = given.get(full)
                replaced[id(buffer)] = _like(buffer, flat).clone() if copy is None else copy
            module._buffers[name] = replaced[id(buffer)]


def _like(tensor: Tensor, flat: Tensor) -> Tensor:
    return tensor.to(flat) if tensor.is_floating_point() else tensor.to(flat.device)


@contextlib.contextmanager
def _random_state(device: torch.device) -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
