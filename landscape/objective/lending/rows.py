"""Layers whose weights are made some rows at a time: large embeddings, and linear layers.

An embedding needs the rows of the tokens that it is given, and a linear layer gives one output per
row (`landscape.objective.lending.slices`): neither ever needs its whole weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from landscape.base.layout import Entry
from landscape.objective.lending import slices

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


def by_rows(module: nn.Module, read: Sequence[Any], exact: dict[Any, bool]) -> ByRows | None:
    """How a module runs on some rows at a time; None if it needs all of them.

    What it gives returns None for an input for which all rows are needed.

    Args:
        module: The module.
        read: The parameters that it reads.
        exact: What is known of products by blocks; what is found is kept there.
    """
    if type(module) is not nn.Embedding:
        return slices.sliced(module, read, exact)
    own = len(read) == 1 and read[0].parameter is module.weight
    if own and read[0].entry.size >= slices.LARGE and module.max_norm is None:
        return _Embedding(read[0])
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


def _runs(numbers: list[int]) -> Iterator[slice]:
    """Increasing numbers as runs without gaps."""
    start = 0
    for k in range(1, len(numbers) + 1):
        if k == len(numbers) or numbers[k] != numbers[k - 1] + 1:
            yield slice(numbers[start], numbers[k - 1] + 1)
            start = k
