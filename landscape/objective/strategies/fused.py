"""One point after another, every layer of oneDNN's joined with the sum and activation after it.

Convolutions lie with channels last, batch norms are folded into the layer before them, and max
pooling is taken as maxima of neighbours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor

from landscape.objective.strategies.cpu_functions import Shortcuts
from landscape.objective.strategies.deferred import Compute, Deferred, Recipe, computed
from landscape.objective.strategies.folded import Fold, norms_that_follow, weights_last
from landscape.objective.strategies.sequential import one_by_one
from landscape.objective.strategies.work import (
    Measure,
    UnsuitableError,
    Work,
    needs_one_point_at_a_time,
    patched,
)

_LAYERS = (nn.Conv2d, nn.Linear)
_ACTIVATIONS = ("relu", "tanh", "sigmoid")


@contextlib.contextmanager
def fused(work: Work) -> Iterator[Measure]:
    """Layers with what follows them as one operation of oneDNN."""
    layers = layers_of_onednn(work)
    pairs = [] if work.recalibration is not None else norms_that_follow(work)
    folds = [Fold(layer, norm) for layer, norm in pairs if layer in layers]
    kitchen = Kitchen()
    forwards: dict[nn.Module, Any] = {layer: kitchen.layer(layer) for layer in layers}
    forwards |= {fold.norm: kitchen.norm(fold) for fold in folds}
    with weights_last(work) as place, patched(forwards):

        def place_folded(point: Sequence[float]) -> None:
            kitchen.go_on()
            place(point)
            for fold in folds:
                fold.renew()

        with one_by_one(with_shortcuts(work), place_folded) as measure:
            yield measure


def layers_of_onednn(work: Work) -> list[Any]:
    """The linear layers and convolutions of a model that oneDNN may compute.

    Raises:
        UnsuitableError: If it may not.
    """
    if work.origin.device.type != "cpu" or work.rounding != torch.float32:
        raise UnsuitableError("it is for single precision on a CPU")
    if not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        raise UnsuitableError("this torch lacks the operations")
    needs_one_point_at_a_time(work)
    layers = [m for m in work.loan.model.modules() if _known(m)]
    if not layers:
        raise UnsuitableError("the model has no linear layer or two-dimensional convolution")
    return layers


class Kitchen:
    """Makes the forwards of layers and of the norms folded into them."""

    def __init__(self) -> None:
        self._points = 0
        self._shapes: dict[tuple[Any, ...], torch.Size] = {}

    @property
    def point(self) -> Any:
        """Names the present point."""
        return self._points

    def go_on(self) -> None:
        """There is another point."""
        self._points += 1

    def layer(self, layer: Any) -> Callable[[Tensor], Tensor]:
        """What replaces a layer's forward."""

        def forward(x: Tensor) -> Tensor:
            if torch.is_grad_enabled() or is_functorch_wrapped_tensor(x):
                raise UnsuitableError("the loss differentiates")
            x = computed(x)
            if x.dtype != layer.weight.dtype or (isinstance(layer, nn.Conv2d) and x.ndim != 4):
                raise UnsuitableError("a layer is given what oneDNN does not take")
            return self.made(layer, x)

        return forward

    def made(self, layer: Any, x: Tensor) -> Tensor:
        """What a layer makes."""
        compute = self._compute(layer, x, *self.weights(layer))
        return Deferred(self._recipe(layer, x, compute), x, self._shape(layer, x))

    def weights(self, layer: Any) -> tuple[Tensor, Tensor | None]:
        """What a layer computes with at the present point."""
        return layer.weight, layer.bias

    def norm(self, fold: Fold) -> Callable[[Tensor], Tensor]:
        """What replaces the forward of a batch norm."""
        own = type(fold.norm).forward

        def forward(x: Tensor) -> Tensor:
            recipe = x.recipe if isinstance(x, Deferred) and x.value is None else None
            if recipe is None or recipe.layer is not fold.layer or recipe.added is not None:
                return own(fold.norm, computed(x))
            given = recipe.read[0][0]
            compute = self._compute(fold.layer, given, fold.weight, fold.bias)
            return Deferred(replace(recipe, layer=fold, compute=compute), given, x.shape)

        return forward

    def _recipe(self, layer: Any, x: Tensor, compute: Compute) -> Recipe:
        after_sum = ("relu",) if isinstance(layer, nn.Conv2d) else ()
        wide = torch.backends.cpu.get_cpu_capability() == "AVX512"  # else its own gelu is faster
        activations = (*_ACTIVATIONS, "gelu") if wide else _ACTIVATIONS
        return Recipe(layer, compute, ((x, x._version),), activations, after_sum)

    def _compute(self, layer: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Compute:
        point = self.point
        multiply = _convolution if isinstance(layer, nn.Conv2d) else _product

        def compute(added: Tensor | None, activation: str, option: str) -> Tensor:
            if point != self.point:
                raise UnsuitableError("a layer's output is read at another point")
            return multiply(layer, x, weight, bias, added, activation, option)

        return compute

    def _shape(self, layer: Any, x: Tensor) -> torch.Size:
        if isinstance(layer, nn.Linear):
            return torch.Size([*x.shape[:-1], layer.out_features])
        key = (layer, x.shape)
        if key not in self._shapes:
            empty, weight = x.new_empty(x.shape, device="meta"), layer.weight.to("meta")
            own = (layer.stride, layer.padding, layer.dilation, layer.groups)
            self._shapes[key] = nn.functional.conv2d(empty, weight, None, *own).shape
        return self._shapes[key]


def _convolution(
    layer: Any,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    added: Tensor | None,
    activation: str,
    option: str,
) -> Tensor:
    own = (list(layer.padding), list(layer.stride), list(layer.dilation), layer.groups)
    convolve = torch.ops.mkldnn._convolution_pointwise
    if added is None:
        return convolve(x, weight, bias, *own, activation, [], option)
    then = None if activation == "none" else activation
    return convolve.binary(x, added, weight, bias, *own, "add", None, then, [], None)


def _product(
    layer: Any,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    added: Tensor | None,
    activation: str,
    option: str,
) -> Tensor:
    multiply = torch.ops.mkldnn._linear_pointwise
    if added is not None:
        return multiply.binary(x, added, weight, bias, "add")
    if activation == "none":
        return nn.functional.linear(x, weight, bias)
    return multiply(x, weight, bias, activation, [], option)


def _known(module: nn.Module) -> bool:
    if type(module) is nn.Conv2d:
        return module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return type(module) is nn.Linear


def with_shortcuts(work: Work) -> Work:
    """The work with metrics inside which some functions take a cheaper way."""

    def cheaper(metric: Any) -> Any:
        def within(model: nn.Module, batch: Any) -> Any:
            with Shortcuts(lambda made: False):
                return metric(model, batch)

        return within

    return replace(work, metrics={name: cheaper(m) for name, m in work.metrics.items()})
