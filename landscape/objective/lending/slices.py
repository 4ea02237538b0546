"""Linear layers whose weights are made and used one slice of their outputs at a time.

What was just made is still in a cache when it is multiplied with, and passes that wait for each
other share what their slices are made of while that is there too. The slices are tried on the
model's own weights first, for every shape of input: where products with them round otherwise than
with the whole, the whole is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from landscape.objective.lending.operations import unseen

LARGE = 2**22  # elements from which on weights are made by slices for one pass alone
_WORTH = 2**18  # and for passes that wait for each other
_BLOCK = 2**19  # elements of a slice
_LEAST = 256  # outputs of a slice: products that give fewer take longer
_EVEN = 16  # of which they are a multiple: where a slice begins is aligned

Meet = Callable[[Any, Any], Any]
Steps = Generator[None, None, Tensor]


class Sliced:
    """Computes the outputs of a linear layer slice by slice.

    Args:
        weight: The parameter that comes and goes.
        bias: The same of the bias, if there is one.
        axis: Of the outputs in the weight.
        exact: Which shapes of products are exact, as far as it is known; what is found is kept.

    Attributes:
        holds: Bytes that a pass holds from here on: what the layer gives.
    """

    def __init__(self, weight: Any, bias: Any, axis: int, exact: dict[Any, bool]) -> None:
        self.weight, self.bias, self.axis, self.exact = weight, bias, axis, exact
        shape = weight.own.shape
        self.outputs, self.inputs = shape[axis], shape[1 - axis]
        self.holds = 0
        count = max(1, min(math.ceil(weight.own.numel() / _BLOCK), self.outputs // _LEAST))
        each = _EVEN * math.ceil(self.outputs / count / _EVEN)
        starts = range(0, self.outputs, each)
        self.slices = [slice(start, min(self.outputs, start + each)) for start in starts]

    def __call__(self, make: Any, meet: Meet, x: Tensor) -> Any:
        """What the layer gives, or None where the whole weight is better made."""
        size, alone = self.weight.own.numel(), not getattr(make, "shared", False)
        if size < (LARGE if alone else _WORTH) or (self.axis and not getattr(make, "cuts", False)):
            return None
        if x.numel() >= self.inputs**2:
            return None  # what it gives is larger than the weight: nothing is saved
        key = tuple(self.weight.own.shape), self.axis, tuple(x.shape), x.stride(), x.dtype
        if key not in self.exact:
            self.exact[key] = self._is_exact(x)
        if not self.exact[key]:
            return None
        self.holds = x.numel() // self.inputs * self.outputs * x.itemsize
        return meet(self, self._steps(make, x))

    def _steps(self, make: Any, x: Tensor) -> Steps:
        """A step for every slice; what the layer gives at the end."""
        out, bias = x.new_empty(*x.shape[:-1], self.outputs), None
        for part in self.slices:
            place = self if self.axis else part  # where it is kept what slices are made of
            if self.bias is not None and bias is None:
                bias = make.rows(place, self.bias, [slice(0, self.outputs)])
            if self.axis:
                weight = make.columns(place, self.weight, part)
            else:
                weight = make.rows(place, self.weight, [part])
            self._multiply(x, weight, bias, part, out)
            del weight
            yield
        return out

    def _multiply(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, part: slice, out: Tensor
    ) -> None:
        with unseen():
            x = x.reshape(-1, self.inputs)
            weight, here = weight if self.axis else weight.t(), out.view(-1, self.outputs)[:, part]
            if bias is None:
                torch.mm(x, weight, out=here)
            else:
                torch.addmm(bias[part], x, weight, out=here)

    def _is_exact(self, x: Tensor) -> bool:
        """Whether slices have the bits of the whole: all but the last are of one shape."""
        own, bias = self.weight.own, None if self.bias is None else self.bias.own
        with unseen():
            if self.axis:
                whole = torch.addmm(bias, x.reshape(-1, self.inputs), own).view(*x.shape[:-1], -1)
            else:
                whole = nn.functional.linear(x, own, bias)
            out = torch.empty_like(whole, memory_format=torch.contiguous_format)
            for part in (self.slices[0], self.slices[-1]):
                self._multiply(x, own[:, part] if self.axis else own[part], bias, part, out)
            parts = [(out[..., p], whole[..., p]) for p in (self.slices[0], self.slices[-1])]
        return all(torch.equal(mine, theirs) for mine, theirs in parts)


def sliced(module: nn.Module, read: Sequence[Any], exact: dict[Any, bool]) -> Sliced | None:
    """How a module runs on slices of its weight; None if it is no linear layer as it came.

    Args:
        module: The module.
        read: The parameters that it reads.
        exact: What is known of products with slices; what is found is kept there.
    """
    transposed = f"{type(module).__module__}.{type(module).__name__}" == _CONV1D
    if not (transposed or type(module) is nn.Linear):
        return None
    of = {name: next((e for e in read if e.parameter is p), None) for name, p in _own(module)}
    weight, bias = of.get("weight"), of.get("bias")
    if weight is None or len(read) != len(of) or None in of.values() or len(of) > 2:
        return None
    if weight.own.numel() < _WORTH or weight.own.ndim != 2:
        return None
    return Sliced(weight, bias, int(transposed), exact)


_CONV1D = "transformers.pytorch_utils.Conv1D"  # x @ weight + bias


def _own(module: nn.Module) -> list[tuple[str, Any]]:
    return [(name, p) for name, p in module._parameters.items() if p is not None]
