"""The Hessian of the loss at one point, as an operator: products by double backward.

The gradient of every batch is computed once and its graph kept while that fits into memory; a
product is then one more backward pass. Nothing is ever approximated by differences: the operator
is the exact Hessian of what autograd differentiates (for rectifiers: almost everywhere, their
kinks carry no curvature). What autograd does not see is found out in
`landscape.objective.second_order.curvature_check`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from landscape.base.layout import Entry
from landscape.objective.free_memory import free_bytes, out_of_memory
from landscape.objective.policies.batchnorm import norms_of
from landscape.objective.second_order.differentiable import (
    dense,
    differentiable_sum,
    refused,
    twice_differentiable,
)
from landscape.objective.strategies.work import Work

if TYPE_CHECKING:

    class LinearOperator:
        """What scipy's, which has no annotations, is to those who use it."""

        shape: tuple[int, int]
        dtype: np.dtype

        def __init__(self, dtype: Any, shape: tuple[int, int]) -> None: ...
        def matvec(self, x: np.ndarray) -> np.ndarray:
            """The product with a vector."""
            ...

        def matmat(self, X: np.ndarray) -> np.ndarray:
            """The product with each column."""
            ...

        def __matmul__(self, x: np.ndarray) -> np.ndarray: ...
else:
    from scipy.sparse.linalg import LinearOperator

Around = Callable[[], contextlib.AbstractContextManager[Any]]

_MOST = 2048  # samples to a batch
_SHARE = 0.5  # of the free memory that kept graphs may take
_NEAR = 2**27  # bytes of one batch's graph on a processor: more of them leave its caches
_OF_PARAMETERS = 32  # or so many times the parameters' bytes, which every batch costs once


class _Graph(NamedTuple):
    """The gradient of one batch, able to be differentiated again."""

    gradients: tuple[Tensor | None, ...]
    total: Tensor
    weight: Tensor


class Hessian(LinearOperator):
    """∂²L/∂θ² of the mean loss L at one point, over all data; made by `Objective.hessian`.

    A symmetric `scipy.sparse.linalg.LinearOperator`: ``H @ v``, ``H.matvec(v)``, or handed to
    ``scipy.sparse.linalg.eigsh``. Weight decay is not part of it (it adds its λ to every
    eigenvalue). It works inside its ``with`` only, where the model is lent to it.

    Attributes:
        shape: (n, n), n parameters of the block.
        dtype: float64; the model computes in its objective's precision, sums are double.
        gradient: ∂L/∂θ at the point, for the block, shape (n,).
        loss: L at the point.
        count: Products computed so far.
        entries: The tensors of the block, as they lie in the flat vector.
        slices: Where each of them lies in a vector of the block.
        device: Where it is computed.
    """

    device: torch.device
    entries: tuple[Entry, ...]
    gradient: np.ndarray
    loss: float
    count: int

    def __init__(
        self,
        work: Work,
        data: Any,
        entries: Sequence[Entry],
        around: Around,
        *,
        rebatch: bool = False,
    ) -> None:
        size = sum(e.size for e in entries)
        super().__init__(np.float64, (size, size))
        self.entries, self.count, self.device = tuple(entries), 0, work.loan.flat.device
        self._size = work.loan.layout.size
        self._work, self._around, self._data = work, around, data
        self._begin = getattr(work, "begin", lambda number: None)  # of random numbers in the loss
        named = dict(work.loan.model.named_parameters())
        self._parameters = [named[entry.name] for entry in entries]
        ends = np.cumsum([entry.size for entry in entries])
        self.slices: list[slice] = [
            slice(end - e.size, end) for end, e in zip(ends, entries, strict=True)
        ]
        self._kept: list[_Graph] = []
        free = free_bytes(self.device)
        self._room = float("inf") if free is None else _SHARE * free
        self._each = self._bytes_per_sample(*(work.sample if rebatch else data.batches())[0])
        self._batches = data.batches(self._largest() if rebatch else None)
        self._open = True
        sums = self._sum(None)
        self.loss, self.gradient = float(sums[-1]), sums[:-1]

    def block(self, vector: np.ndarray) -> np.ndarray:
        """The block's part of a flat vector, shape (n,)."""
        return np.concatenate([vector[entry.slice] for entry in self.entries])

    def embed(self, block: np.ndarray) -> np.ndarray:
        """A vector of the block as a flat vector, with zeros elsewhere, shape (P,)."""
        whole = np.zeros(self._size, block.dtype)
        for entry, part in zip(self.entries, self.slices, strict=True):
            whole[entry.slice] = block[part]
        return whole

    def quotients(self, vectors: np.ndarray, *, parts: int = 32) -> tuple[np.ndarray, np.ndarray]:
        """Curvatures vᵀH_b v of about so many batches b, shape (vectors, batches), and weights.

        Their weighted mean is vᵀHv, their spread says how well a subset knows it.
        """
        size = max(1, self._data.size // parts) if self._data.joined else None
        values, weights = [], []
        for batch in self._data.batches(size):
            graph = self._graph(*batch)
            rows = [self._parts(v) for v in vectors]
            found = [self._product(graph, row, keep=True) for row in rows]
            values.append([_dot(row, parts_) for row, parts_ in zip(rows, found, strict=True)])
            weights.append(float(graph.weight))
        return np.array(values).T / np.array(weights), np.array(weights)

    def along_gradient(self, index: np.ndarray) -> float:
        """g_Bᵀ H_B g_B / ‖g_B‖² of the loss on one batch of samples."""
        batch = self._data.take(torch.from_numpy(index).to(self.device))
        graph = self._graph(batch, len(index))
        rows = [
            torch.zeros(entry.shape, device=self.device) if g is None else g.detach()
            for g, entry in zip(graph.gradients, self.entries, strict=True)
        ]
        product = self._product(graph, rows, keep=False)
        square = _dot(rows, rows)
        return _dot(rows, product) / float(graph.weight) / square if square else 0.0

    def close(self) -> None:
        """Let go of the graphs; no product afterwards."""
        self._open = False
        self._kept.clear()

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        if not self._open:
            raise ValueError("The Hessian was used outside its `with`; its model is given back.")
        if np.iscomplexobj(x):
            raise ValueError("The Hessian multiplies real vectors; got complex numbers.")
        self.count += 1
        vector = np.asarray(x, np.float64).reshape(-1)
        if not np.isfinite(vector).all():
            return np.full(vector.shape, np.nan)
        return self._sum(vector)

    def _adjoint(self) -> Any:
        return self

    def _transpose(self) -> Any:
        return self

    def _sum(self, vector: np.ndarray | None) -> np.ndarray:
        """The product with a vector; None: the gradient, followed by the loss."""
        while True:
            try:
                return self._summed(vector)
            except (RuntimeError, MemoryError) as problem:
                if not out_of_memory(problem) or not self._smaller():
                    raise

    def _summed(self, vector: np.ndarray | None) -> np.ndarray:
        work, first = self._work, vector is None
        n = self.shape[0]
        out = torch.zeros(n + first, dtype=torch.float64, device=work.loan.flat.device)
        weights = torch.zeros((), dtype=torch.float64, device=out.device)
        rows = [] if vector is None else self._parts(vector)
        for number, (batch, samples) in enumerate(self._batches):
            work.check()
            held = number < len(self._kept)
            if not held:
                self._begin(number)
            graph = self._kept[number] if held else self._graph(batch, samples)
            if not held and number == len(self._kept) and self._fits(number):
                self._kept.append(graph)
                held = True
            weights += graph.weight
            parts = graph.gradients if first else self._product(graph, rows, keep=held)
            for place, part in zip(self.slices, parts, strict=True):
                if part is not None:
                    out[place] += dense(part).detach().reshape(-1)
            if first:
                out[n] += graph.total
        return (out / weights).cpu().numpy()

    def _fits(self, number: int) -> bool:
        """Whether the graphs up to this batch may be kept."""
        return self._each * sum(n for _, n in self._batches[: number + 1]) <= self._room

    def _largest(self) -> int:
        """Samples to a batch: many, but a quarter of the room and a processor's caches count."""
        room, size = self._room / 4, self._work.loan.flat.nbytes
        if self.device.type == "cpu":
            room = min(room, max(_NEAR, _OF_PARAMETERS * size))
        return int(max(1, min(_MOST, room / max(self._each, 1))))

    def _bytes_per_sample(self, batch: Any, samples: int) -> float:
        """What the graph of a gradient holds for each sample, seen on one batch."""
        sizes: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            if tensor.layout is not torch.strided:
                return tensor
            storage = tensor.untyped_storage()
            sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            self._graph(batch, samples)
        own = self._work.loan.flat.untyped_storage().data_ptr()
        return sum(size for place, size in sizes.items() if place != own) / samples

    def _smaller(self) -> bool:
        """Keep no graphs from now on; when none was kept, cut the batches in half."""
        if self._room:
            self._room = 0.0
            self._kept.clear()
            return True
        largest = max(samples for _, samples in self._batches)
        if not self._data.joined or largest < 2 or any(m.training for m in self._modules()):
            return False
        self._batches = self._data.batches(-(-largest // 2))
        return True

    def _modules(self) -> list[Any]:
        return list(norms_of(self._work.loan.model))

    def _graph(self, batch: Any, samples: int) -> _Graph:
        loss = next(iter(self._work.metrics.values()))
        with self._around(), twice_differentiable(self._work.loan.model):
            total, weight = differentiable_sum(loss, self._work.loan.model, batch, samples)
            with refused():
                gradients = torch.autograd.grad(
                    total, self._parameters, create_graph=True, allow_unused=True
                )
        full = tuple(None if g is None else dense(g) for g in gradients)
        return _Graph(full, total.detach().double(), weight.detach().double().to(total.device))

    def _product(
        self, graph: _Graph, rows: Sequence[Tensor], *, keep: bool
    ) -> Sequence[Tensor | None]:
        pairs = [
            (g, row)
            for g, row in zip(graph.gradients, rows, strict=True)
            if g is not None and g.requires_grad
        ]
        if not pairs:  # linear in every parameter
            return [None] * len(self._parameters)
        with self._around(), refused():
            return torch.autograd.grad(
                [g for g, _ in pairs],
                self._parameters,
                [row for _, row in pairs],
                retain_graph=keep,
                allow_unused=True,
            )

    def _parts(self, vector: np.ndarray) -> list[Tensor]:
        flat = torch.from_numpy(np.ascontiguousarray(vector, np.float64))
        flat = flat.to(self._work.loan.flat)
        return [
            flat[place].view(entry.shape)
            for place, entry in zip(self.slices, self.entries, strict=True)
        ]


def _dot(rows: Sequence[Tensor], parts: Sequence[Tensor | None]) -> float:
    pairs = zip(rows, parts, strict=True)
    return float(sum((r.double() * dense(p).double()).sum() for r, p in pairs if p is not None))
