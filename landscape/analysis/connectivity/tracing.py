"""Groups of units found by following the channels of a network through its graph (torch.fx)."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from landscape.analysis.connectivity.channels import FIXED, Channels, Label
from landscape.analysis.connectivity.permutations import Permutable

_ELEMENTWISE = (
    *(nn.ReLU, nn.LeakyReLU, nn.ReLU6, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid),
    *(nn.Hardswish, nn.Hardsigmoid, nn.Softplus, nn.Mish, nn.Identity, nn.Dropout, nn.Dropout2d),
)
_POOLS = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d),
    *(nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
)
_JOINING = {
    *(operator.add, operator.iadd, operator.mul, operator.imul, operator.sub, operator.truediv),
    *(torch.add, torch.mul, torch.sub, "add", "add_", "mul", "mul_", "sub"),
    *(torch.relu, torch.tanh, torch.sigmoid, F.relu, F.gelu, F.silu, F.tanh, F.elu, F.leaky_relu),
    *(F.dropout, "relu", "relu_", "tanh", "sigmoid", "contiguous", "float", "clone", operator.neg),
}
_POOLING = {F.avg_pool2d, F.max_pool2d, F.adaptive_avg_pool2d, F.avg_pool1d, F.max_pool1d}


@dataclass(frozen=True)
class _Value:
    shape: tuple[int, ...]
    axes: tuple[Label, ...]


def trace(
    model: nn.Module, arguments: Sequence[Any], keywords: Mapping[str, Any] | None = None
) -> Permutable:
    """Follow the channels of `model` from its example input to its output.

    Raises:
        ValueError: If torch.fx cannot follow the model.
    """
    try:
        graph = fx.symbolic_trace(model)
        given = inspect.signature(model.forward).bind(*arguments, **(keywords or {}))
        given.apply_defaults()
        found = Channels(model)
        _Follow(graph, found).run(*given.args, *given.kwargs.values())
    except Exception as problem:
        said = str(problem).partition("\n")[0][:120] or type(problem).__name__
        raise ValueError(
            f"The units of a {type(model).__name__} are not known and torch.fx cannot trace it "
            f"({said}); write its forward without branches on values, or align networks of "
            "another class."
        ) from problem
    return found.permutable()


class _Follow(fx.Interpreter):
    """Runs the graph on an example, and the labels of every value beside it."""

    def __init__(self, graph: fx.GraphModule, channels: Channels) -> None:
        super().__init__(graph)
        self.channels = channels
        self.values: dict[fx.Node, _Value] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor) and n.op != "output":
            axes = self._axes(n, tuple(result.shape))
            # An axis of length one has no order.
            fixed = (a if s > 1 else FIXED for a, s in zip(axes, result.shape, strict=True))
            self.values[n] = _Value(tuple(result.shape), tuple(fixed))
        if n.op == "output":
            self._pin(n, "the output")
        elif not isinstance(result, Tensor) and n.op != "placeholder":
            harmless = n.target in ("size", "dim", getattr)
            if not harmless:
                self._pin(n, f"{n.target} is not followed")
                self._tell(n)
        return result

    def _pin(self, node: fx.Node, why: str) -> tuple[Label, ...]:
        for given in node.all_input_nodes:
            for label in self.values[given].axes if given in self.values else ():
                self.channels.pin(label, why)
        return ()

    def _tell(self, node: fx.Node) -> None:
        """Name a layer whose own units are not followed."""
        called = self.fetch_attr(str(node.target)) if node.op == "call_module" else None
        if called is not None and next(called.parameters(), None) is not None:
            self.channels.told.append(f"{type(called).__name__} {node.target}: not followed")

    def _axes(self, node: fx.Node, shape: tuple[int, ...]) -> tuple[Label, ...]:
        fixed = (FIXED,) * len(shape)
        if node.op == "placeholder":
            return fixed
        if node.op == "get_attr":
            return self._parameter(str(node.target), shape)
        given = [self.values[a] for a in node.args if isinstance(a, fx.Node) and a in self.values]
        if node.op == "call_module" and given:
            axes = self._module(str(node.target), given[0], shape)
        else:
            axes = self._function(node, given, shape)
        if axes is None:
            called = self.fetch_attr(str(node.target)) if node.op == "call_module" else None
            what = getattr(node.target, "__name__", node.target)
            self._pin(node, f"{type(called).__name__ if called else what} is not followed")
            self._tell(node)
            return fixed
        return axes

    def _parameter(self, name: str, shape: tuple[int, ...]) -> tuple[Label, ...]:
        if name not in self.channels.known:
            return (FIXED,) * len(shape)
        found = []
        for axis, size in enumerate(shape):
            label = self.channels.new(size)
            self.channels.place(name, axis, label)
            found.append(label)
        return tuple(found)

    def _module(self, name: str, given: _Value, shape: tuple[int, ...]) -> tuple[Label, ...] | None:
        module, channels = self.fetch_attr(name), self.channels
        if isinstance(module, _ELEMENTWISE):
            return given.axes
        if isinstance(module, _POOLS):
            return self._pooled(given, shape)
        if isinstance(module, nn.Flatten):
            return self._flattened(given, shape)
        kinds = ("bias", "running_mean", "running_var", "weight")
        held = [k for k in kinds if getattr(module, k, None) is not None]
        if any(f"{name}.{k}" not in channels.known for k in held):
            return None  # a parametrized weight
        if type(module) is nn.Linear:
            channels.place(f"{name}.weight", 1, given.axes[-1])
            return (*given.axes[:-1], self._written(name, held, 0, module.out_features))
        if type(module) in (nn.Conv1d, nn.Conv2d, nn.Conv3d):
            return self._convolution(name, held, module, given, shape)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            for tensor in held:
                channels.place(f"{name}.{tensor}", 0, given.axes[1])
            return given.axes
        last = isinstance(module, nn.LayerNorm | nn.RMSNorm) and len(module.normalized_shape) == 1
        if last:
            for tensor in held:
                channels.place(f"{name}.{tensor}", 0, given.axes[-1])
            return given.axes
        return None

    def _written(self, name: str, held: Sequence[str], axis: int, units: int) -> Label:
        label = self.channels.new(units)
        self.channels.place(f"{name}.weight", axis, label)
        if "bias" in held:
            self.channels.place(f"{name}.bias", 0, label)
        key = (self.channels.known[f"{name}.weight"], axis)
        return self.channels.places[key]

    def _convolution(
        self, name: str, held: Sequence[str], module: Any, given: _Value, shape: tuple[int, ...]
    ) -> tuple[Label, ...] | None:
        if len(given.shape) != module.weight.dim():
            return None  # without a batch axis
        rest = (FIXED,) * (len(shape) - 2)
        for label in given.axes[2:]:
            self.channels.pin(label, "pixels are convolved")
        if module.groups == 1:
            self.channels.place(f"{name}.weight", 1, given.axes[1])
            return (given.axes[0], self._written(name, held, 0, module.out_channels), *rest)
        if module.groups == module.in_channels == module.out_channels:
            for tensor in ("weight", "bias"):
                if tensor in held:
                    self.channels.place(f"{name}.{tensor}", 0, given.axes[1])
            return (given.axes[0], given.axes[1], *rest)
        return None

    def _pooled(self, given: _Value, shape: tuple[int, ...]) -> tuple[Label, ...]:
        kept = 2
        for label in given.axes[kept:]:
            self.channels.pin(label, "pixels are pooled")
        return (*given.axes[:kept], *(FIXED,) * (len(shape) - kept))

    def _flattened(self, given: _Value, shape: tuple[int, ...]) -> tuple[Label, ...] | None:
        """Axes that are merged: their first may be permuted, in blocks of the others."""
        start = 0
        while start < len(shape) - 1 and given.shape[start] == shape[start]:
            start += 1
        end = len(given.shape) - (len(shape) - start - 1)
        if math.prod(given.shape[start:end]) != shape[start] or (
            given.shape[end:] != shape[start + 1 :]
        ):
            return None
        for label in given.axes[start + 1 : end]:
            self.channels.pin(label, "it is merged behind another axis")
        block = math.prod(given.shape[start + 1 : end])
        first = given.axes[start]
        return (*given.axes[:start], Label(first.units, first.block * block), *given.axes[end:])

    def _function(
        self, node: fx.Node, given: list[_Value], shape: tuple[int, ...]
    ) -> tuple[Label, ...] | None:
        if not given:
            return None
        target = node.target
        if target in _JOINING:
            return self._joined(given, shape)
        if target in _POOLING:
            return self._pooled(given[0], shape)
        if target in (torch.flatten, "flatten", "view", "reshape", torch.reshape):
            return self._flattened(given[0], shape)
        if target in (torch.mean, "mean", torch.sum, "sum"):
            return self._averaged(node, given[0])
        return None

    def _joined(self, given: list[_Value], shape: tuple[int, ...]) -> tuple[Label, ...]:
        axes: list[Label | None] = [None] * len(shape)
        for value in given:
            ahead = len(shape) - len(value.shape)
            for axis, (label, size) in enumerate(zip(value.axes, value.shape, strict=True)):
                if size == 1 and shape[ahead + axis] > 1:
                    continue  # broadcast
                known = axes[ahead + axis]
                axes[ahead + axis] = (
                    label
                    if known is None
                    else self.channels.join(known, label, "it meets a fixed order")
                )
        return tuple(label or FIXED for label in axes)

    def _averaged(self, node: fx.Node, given: _Value) -> tuple[Label, ...]:
        dim = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        keep = node.args[2] if len(node.args) > 2 else node.kwargs.get("keepdim", False)
        gone = range(len(given.shape)) if dim is None else dim
        gone = {d % len(given.shape) for d in ((gone,) if isinstance(gone, int) else gone)}  # pyright: ignore
        if keep:
            return tuple(FIXED if a in gone else x for a, x in enumerate(given.axes))
        return tuple(x for a, x in enumerate(given.axes) if a not in gone)
