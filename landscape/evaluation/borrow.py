"""Borrow a model: evaluate it at other weights and give it back exactly as it was.

The model's own tensors are set aside and put back; they are never written to, so weights, buffers,
gradients, `requires_grad`, modes, attributes and random states are bit-identical afterwards,
whatever happens in between.
"""

from __future__ import annotations

import contextlib
import random
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from landscape.layout import Layout

_lent: weakref.WeakSet[nn.Module] = weakref.WeakSet()
_lending = threading.Lock()


@dataclass
class Loan:
    """What a borrowed model computes with.

    Attributes:
        model: The model, in evaluation mode.
        layout: Which slice of `flat` is which trainable parameter.
        flat: Flat vector that the parameters are views of, shape (P,).
        buffers_layout: Which slice of `buffers` is which floating-point buffer.
        buffers: Flat vector that the floating-point buffers are views of, shape (B,).
        others: The other buffers, as (in use, as they were).
    """

    model: nn.Module
    layout: Layout
    flat: Tensor
    buffers_layout: Layout
    buffers: Tensor
    others: list[tuple[Tensor, Tensor]]

    def reset_others(self) -> None:
        """Undo what the model wrote into integer buffers (counters)."""
        for used, original in self.others:
            used.copy_(original)


@contextlib.contextmanager
def borrowed(
    model: nn.Module,
    layout: Layout,
    buffers_layout: Layout,
    *,
    device: torch.device,
    dtype: torch.dtype,
) -> Iterator[Loan]:
    """Let the model compute with other weights and buffers, in evaluation mode.

    Args:
        model: The model.
        layout: Its trainable parameters; the others are used as they are.
        buffers_layout: Its floating-point buffers.
        device: Where to compute.
        dtype: Floating-point type to compute in.

    Yields:
        Vectors whose elements are the model's weights and buffers, holding the model's own values;
        inside, writing to them, or to attributes of modules, changes what the model computes.

    Raises:
        RuntimeError: If the model is lent already, to another thread or to a loss that measures.
    """
    with _alone(model), random_state_kept(device):
        owned = [(p, p.data) for p in model.parameters()]
        attributes = [(module, dict(module.__dict__)) for module in model.modules()]
        tables = [(module._buffers, dict(module._buffers)) for module in model.modules()]
        try:
            flat = torch.empty(layout.size, device=device, dtype=dtype)
            named = dict(model.named_parameters())
            for entry in layout:
                flat[entry.slice] = named[entry.name].data.reshape(-1)
                named[entry.name].data = flat[entry.slice].view(entry.shape)
            trainable = {entry.name for entry in layout}
            for name, parameter in named.items():
                if name not in trainable:
                    parameter.data = _like(parameter.data, flat)
            buffers, others = _replace_buffers(model, buffers_layout, flat)
            for module, _ in attributes:
                module.training = False
            yield Loan(model, layout, flat, buffers_layout, buffers, others)
        finally:
            for parameter, data in owned:
                parameter.data = data
            for table, contents in tables:
                table.clear()
                table.update(contents)
            for module, contents in attributes:
                module.__dict__.clear()
                module.__dict__.update(contents)


@contextlib.contextmanager
def _alone(model: nn.Module) -> Iterator[None]:
    """Lend a model only once at a time: two borrowers would give back each other's weights."""
    with _lending:
        if model in _lent:
            raise RuntimeError(
                "The model is being measured already, by another thread or from inside its own "
                "loss; measure a copy (copy.deepcopy), or one after the other."
            )
        _lent.add(model)
    try:
        yield
    finally:
        _lent.discard(model)


def _replace_buffers(
    model: nn.Module, layout: Layout, flat: Tensor
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    buffers = flat.new_empty(layout.size)
    slices = {entry.name: entry for entry in layout}
    others = []
    for name, buffer in model.named_buffers():
        if name in slices:
            entry = slices[name]
            buffers[entry.slice] = buffer.reshape(-1)
            used = buffers[entry.slice].view(entry.shape)
        else:
            used = buffer.to(flat.device, copy=True)
            others.append((used, buffer))
        for module in model.modules():  # a buffer shared by two modules stays shared
            for key, own in module._buffers.items():
                if own is buffer:
                    module._buffers[key] = used
    return buffers, others


def _like(tensor: Tensor, flat: Tensor) -> Tensor:
    return tensor.to(flat) if tensor.is_floating_point() else tensor.to(flat.device)


@contextlib.contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """Give the random generators of Python, numpy and torch back as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
