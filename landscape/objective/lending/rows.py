"""Large embeddings and heads, whose weights are made some rows at a time.

An embedding needs the rows of the tokens that it is given, and a linear layer gives one output per
row: neither ever needs its whole weight. The blocks of a linear layer are tried on the model's own
weights first, for every shape of input: where a product by blocks rounds otherwise than the whole,
the whole is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import _disable_current_modes

from landscape.base.layout import Entry

LARGE = 2**22  # elements from which on weights are made by rows
_BLOCK = 2**21  # elements of a block of rows
_FEW = 4  # times as many rows as are looked up, from which on only those are made


class Parameter(Protocol):
    """A parameter that comes and goes; see `landscape.objective.lending.stream`."""

    entry: Entry
    parameter: nn.Parameter
    own: Tensor


class MakesRows(Protocol):
    """What makes rows of a parameter."""

    def rows(self, place: Any, each: Any, runs: Sequence[slice]) -> Tensor:
        """Some runs of rows, below each other; `place` is where they are read."""
        ...


Meet = Callable[[Any, Callable[[], Any]], Any]
ByRows = Callable[[MakesRows, Meet, Tensor], Any]


@dataclass(eq=False)
class Block:
    """Rows of a layer that are made together: passes meet there.

    Attributes:
        rows: They.
        holds: Bytes that a pass holds from there on until it has gone through all blocks.
    """

    rows: slice
    holds: int = 0


def by_rows(module: nn.Module, read: Sequence[Any], exact: dict[Any, bool]) -> ByRows | None:
    """How a module runs on some rows at a time; None if it needs all of them.

    What it gives returns None for an input for which all rows are needed.

    Args:
        module: The module.
        read: The parameters that it reads.
        exact: What is known of products by blocks; what is found is kept there.
    """
    if len(read) != 1 or read[0].entry.size < LARGE:
        return None
    if read[0].parameter is not getattr(module, "weight", None):
        return None
    if type(module) is nn.Embedding and module.max_norm is None:
        return _Embedding(read[0])
    if type(module) is nn.Linear and module.bias is None:
        return _Linear(read[0], exact)
    return None


class _Embedding:
    """Looks up rows that are made for it."""

    def __init__(self, weight: Parameter) -> None:
        self.weight = weight

    def __call__(self, make: MakesRows, meet: Meet, tokens: Tensor) -> Any:
        wanted = torch.unique(tokens)
        if _FEW * len(wanted) > len(self.weight.own):
            return None
        runs = list(_runs(wanted.tolist()))
        rows = meet(self, lambda: make.rows(self, self.weight, runs))
        return F.embedding(torch.searchsorted(wanted, tokens.contiguous()), rows)


class _Linear:
    """Computes the outputs of some rows at a time."""

    def __init__(self, weight: Parameter, exact: dict[Any, bool]) -> None:
        self.weight, self.exact = weight, exact
        self.blocks = [Block(rows) for rows in weight.entry.blocks(_BLOCK)]

    def __call__(self, make: MakesRows, meet: Meet, x: Tensor) -> Any:
        if x.numel() >= x.shape[-1] ** 2:
            return None  # what it gives is larger than the weight: nothing is saved
        key = self.weight.entry.name, tuple(x.shape), x.stride(), x.dtype
        if key not in self.exact:
            self.exact[key] = self._is_exact(x)
        if not self.exact[key]:
            return None
        shape, out = (*x.shape[:-1], len(self.weight.own)), None
        self.blocks[0].holds = math.prod(shape) * x.itemsize
        for block in self.blocks:
            rows = meet(block, lambda b=block: make.rows(b, self.weight, [b.rows]))
            out = x.new_empty(shape) if out is None else out
            out[..., block.rows] = F.linear(x, rows)
            del rows
        return out

    def _is_exact(self, x: Tensor) -> bool:
        """Whether blocks have the bits of the whole: all but the last are of one shape."""
        with torch.no_grad(), _disable_current_modes():
            whole = F.linear(x, self.weight.own)
            return all(
                torch.equal(F.linear(x, self.weight.own[b.rows]), whole[..., b.rows])
                for b in (self.blocks[0], self.blocks[-1])
            )


def _runs(numbers: list[int]) -> Iterator[slice]:
    """Increasing numbers as runs without gaps."""
    start = 0
    for k in range(1, len(numbers) + 1):
        if k == len(numbers) or numbers[k] != numbers[k - 1] + 1:
            yield slice(numbers[start], numbers[k - 1] + 1)
            start = k
