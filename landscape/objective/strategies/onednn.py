"""One point after another, linear layers through oneDNN together with the activation that follows.

oneDNN adds the bias and applies the activation while a block of the product is in the cache, where
torch's own way passes over the memory three times.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor

from landscape.objective.strategies.following import find_pairs
from landscape.objective.strategies.sequential import one_by_one
from landscape.objective.strategies.work import (
    Measure,
    UnsuitableError,
    Work,
    needs_one_point_at_a_time,
    patched,
)


@contextlib.contextmanager
def through_onednn(work: Work) -> Iterator[Measure]:
    """Linear layers and what follows them as one operation of oneDNN."""
    if work.origin.device.type != "cpu" or work.rounding != torch.float32:
        raise UnsuitableError("it is for single precision on a CPU")
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        raise UnsuitableError("this torch lacks the operation")
    needs_one_point_at_a_time(work)
    modules = list(work.loan.model.modules())
    layers = [m for m in modules if type(m) is nn.Linear]
    if not layers:
        raise UnsuitableError("the model has no linear layer")
    follows = dict(find_pairs(work, layers, [m for m in modules if _activation(m)]))
    forwards: dict[nn.Module, Callable[..., Any]] = dict.fromkeys(follows.values(), _identity)
    for layer in layers:
        forwards[layer] = _forward(layer, *(_activation(follows.get(layer)) or ("none", "")))
    with patched(forwards), one_by_one(work, work.place) as measure:
        yield measure


def _activation(module: nn.Module | None) -> tuple[str, str] | None:
    """The name and option by which oneDNN knows an activation."""
    if type(module) is nn.GELU:
        return "gelu", module.approximate
    names = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid"}
    return (names[type(module)], "") if type(module) in names else None


def _forward(layer: nn.Linear, activation: str, option: str) -> Callable[[Tensor], Tensor]:
    multiply = torch.ops.mkldnn._linear_pointwise  # what torch's own compiler calls

    def forward(x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or is_functorch_wrapped_tensor(x):
            raise UnsuitableError("the loss differentiates")
        return multiply(x, layer.weight, layer.bias, activation, [], option)

    return forward


def _identity(x: Tensor) -> Tensor:
    return x
