"""Inference-only algebra for convolutional nets: channels last, and batch norm folded.

In evaluation mode a batch norm is an affine map per channel, so it can be folded into the layer
before it: with s = γ / √(σ² + ε), W' = s W and b' = β + s (b - μ). This is exact to rounding and
saves one pass over the activations. The pairs are found by watching one forward pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from landscape.objective.family import combine
from landscape.objective.strategies.following import find_pairs
from landscape.objective.strategies.sequential import Place, one_by_one
from landscape.objective.strategies.work import (
    Measure,
    UnsuitableError,
    Work,
    needs_one_point_at_a_time,
    patched,
)

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@contextlib.contextmanager
def channels_last(work: Work) -> Iterator[Measure]:
    """One point after another, with convolution weights stored with channels last."""
    needs_one_point_at_a_time(work, gradients=True)
    if not any(len(entry.shape) == 4 for entry in work.loan.layout):
        raise UnsuitableError("the model has no trainable two-dimensional convolution")
    with weights_last(work) as place, one_by_one(work, place) as measure:
        yield measure


@contextlib.contextmanager
def folded(work: Work) -> Iterator[Measure]:
    """One point after another, batch norm folded into the layer before it, channels last."""
    needs_one_point_at_a_time(work, gradients=True)
    if work.recalibration is not None:
        raise UnsuitableError("batch norms are estimated anew at every point")
    pairs = norms_that_follow(work)
    if not pairs:
        raise UnsuitableError("no batch norm directly follows a convolution or linear layer")
    folds = [Fold(layer, norm) for layer, norm in pairs]
    forwards: dict[nn.Module, Any] = {fold.norm: _identity for fold in folds}
    forwards |= {fold.layer: _forward(fold.layer, fold.weight, fold.bias) for fold in folds}
    with weights_last(work) as place, patched(forwards):

        def place_folded(point: Sequence[float]) -> None:
            place(point)
            for fold in folds:
                fold.renew()

        with one_by_one(work, place_folded) as measure:
            yield measure


def norms_that_follow(work: Work) -> list[tuple[Any, Any]]:
    """Layers and the batch norms in evaluation mode that are given their very outputs."""
    modules = list(work.loan.model.modules())
    return find_pairs(
        work,
        [m for m in modules if type(m) in _LAYERS],
        [m for m in modules if type(m) in _NORMS and not m.training and m.running_mean is not None],
    )


class Fold:
    """The weight and bias of a layer with which its batch norm has nothing left to do."""

    def __init__(self, layer: Any, norm: Any) -> None:
        self.layer, self.norm = layer, norm
        self.weight = torch.empty_like(layer.weight, requires_grad=False)
        self.bias = self.weight.new_empty(len(self.weight))

    @torch.no_grad()
    def renew(self) -> None:
        """Fold the present weights."""
        layer, norm = self.layer, self.norm
        scale = torch.rsqrt(norm.running_var + norm.eps)
        if norm.weight is not None:
            scale = scale * norm.weight
        shift = norm.running_mean if layer.bias is None else norm.running_mean - layer.bias
        torch.mul(layer.weight, scale.view(-1, *[1] * (layer.weight.ndim - 1)), out=self.weight)
        torch.mul(shift, scale, out=self.bias).neg_()
        if norm.bias is not None:
            self.bias.add_(norm.bias)


def _forward(layer: Any, weight: Tensor, bias: Tensor) -> Any:
    if isinstance(layer, nn.Linear):
        return lambda x: nn.functional.linear(x, weight, bias)
    return lambda x: layer._conv_forward(x, weight, bias)


def _identity(x: Tensor) -> Tensor:
    return x


@contextlib.contextmanager
def weights_last(work: Work) -> Iterator[Place]:
    """Let the weights of two-dimensional convolutions lie in memory with channels last.

    The flat vector is permuted, and origin and directions with it, so that placing a point
    stays a few operations on one vector.
    """
    layout, loan = work.loan.layout, work.loan
    four = [entry for entry in layout if len(entry.shape) == 4]
    if not four:
        yield work.place
        return
    order = torch.arange(layout.size, device=loan.flat.device)
    for entry in four:
        order[entry.slice] = order[entry.slice].view(entry.shape).permute(0, 2, 3, 1).reshape(-1)
    origin, directions = work.origin[order], work.directions[:, order]
    flat = torch.empty_like(loan.flat)
    named = dict(loan.model.named_parameters())
    before = {entry.name: named[entry.name].data for entry in layout}
    try:
        for entry in layout:
            part = flat[entry.slice]
            if len(entry.shape) == 4:
                o, i, h, w = entry.shape
                named[entry.name].data = part.view(o, h, w, i).permute(0, 3, 1, 2)
            else:
                named[entry.name].data = part.view(entry.shape)

        def place(point: Sequence[float]) -> None:
            combine(flat, origin, directions, point)
            work.place_buffers(point)

        yield place
    finally:
        for name, data in before.items():
            named[name].data = data
