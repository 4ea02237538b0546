"""Many points at once, for models whose trainable parameters all sit in linear layers.

Every batch is repeated once per point and runs through the model as one larger batch; each linear
layer is replaced by a batched matrix product, every point with its own weights. The first linear
layer sees only data, so its products are shared by all points of a plane,

    X W(c)ᵀ = X W₀ᵀ + Σ_k c_k X D_kᵀ,

and are computed once per batch. Everything else in the model sees samples, which it must treat
independently; the loss must give one value per sample.

A product with few columns, as of the layer that makes ten logits, is computed as its transpose: no
library is fast at narrow matrices, and the softmax over classes wants samples side by side.
"""

from __future__ import annotations

import contextlib
import math
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from landscape.objective.data.held import map_tensors
from landscape.objective.strategies.cpu_functions import MOST_CLASSES, Shortcuts
from landscape.objective.strategies.following import into_cross_entropy
from landscape.objective.strategies.threads import crew
from landscape.objective.strategies.work import (
    Batches,
    Measure,
    UnsuitableError,
    Work,
    needs_one_point_at_a_time,
    patched,
    remembering,
)

_KEEP_BYTES = 2**28  # repeated data and shared products kept between chunks
_ROWS = 16  # of a product with few terms at once: MKL takes three times as long for each of 32


@contextlib.contextmanager
def batched_linear(work: Work) -> Iterator[Measure]:
    """Batched matrix products with the first layer shared by the plane."""
    if torch.is_autocast_enabled(work.origin.device.type):
        raise UnsuitableError("lower precision is chosen operation by operation")
    needs_one_point_at_a_time(work, gradients=True)
    folder = _Folder(work)
    forwards = {m: folder.forward(m) for m in folder.layers}
    with (
        crew(work) as share,
        patched(forwards),
        remembering(work) as forget,
    ):

        def of_batches(batches: Batches) -> Tensor:
            found = [([], []) for _ in work.metrics]  # sums and sums of squares of every batch
            for batch, samples in batches:
                work.check()
                forget()
                repeated = folder.enter(batch)
                folder.now.used = 0
                for kept, (name, metric) in zip(found, work.metrics.items(), strict=True):
                    folder.now.shared, folder.now.metric = True, name
                    with Shortcuts(folder.fresh):
                        each = metric(work.loan.model, repeated)
                    if not (isinstance(each, Tensor) and each.shape == (folder.count * samples,)):
                        raise UnsuitableError(f"{name!r} gives no value per sample")
                    each = each.view(folder.count, samples).double()
                    kept[0].append(each.sum(1))
                    kept[1].append(torch.linalg.vecdot(each, each))
            out = torch.stack(
                [torch.stack([torch.stack(v).sum(0) for v in kept]) for kept in found]
            )
            weight = torch.full_like(out[:, :1], sum(samples for _, samples in batches))
            return torch.cat([out, weight, out[:, :1], weight, weight], dim=1).transpose(1, 2)

        @torch.no_grad()
        def measure(coordinates: np.ndarray, batches: Batches) -> Tensor:
            work.place_buffers([0.0] * len(work.directions))
            folder.move(coordinates)
            return share(of_batches, batches)

        yield measure


class _Folder:
    """Linear layers that compute with one weight per point; see the file's head."""

    def __init__(self, work: Work) -> None:
        model, layout = work.loan.model, work.loan.layout
        self.origin, self.directions = work.origin, work.directions
        entries = {id(p): e for n, p in model.named_parameters() for e in layout if e.name == n}
        self.layers: dict[nn.Module, tuple[Any, Any]] = {}
        for module in model.modules():
            own = [p for p in module.parameters(recurse=False) if id(p) in entries]
            if type(module) is nn.Linear and module.weight.requires_grad:
                bias = None if module.bias is None else entries.get(id(module.bias))
                if module.bias is not None and bias is None:
                    raise UnsuitableError("a linear layer has a frozen bias")
                self.layers[module] = (entries[id(module.weight)], bias)
            elif own:
                raise UnsuitableError(f"a {type(module).__name__} has trainable parameters")
        if not self.layers:
            raise UnsuitableError("no linear layer is trainable")
        if not work.fixed_buffers:
            raise UnsuitableError("buffers differ from point to point")
        narrow = [m for m in self.layers if isinstance(m, nn.Linear)]
        narrow = [m for m in narrow if m.out_features <= MOST_CLASSES]
        self.transposed = into_cross_entropy(work, narrow)
        self.transposed |= {m for m in narrow if m.out_features == 1}  # lies in memory as ever
        self.theta = self.origin.new_empty((0, self.origin.numel()))
        self._views: dict[nn.Module, tuple[Tensor, Tensor | None]] = {}
        self.now = threading.local()  # of each thread's pass: batch, metric, shared, made …
        self._kept: dict[tuple[int, int], tuple[Any, Any]] = {}
        self._products: dict[tuple, Tensor] = {}
        self._bytes = 0

    def move(self, coordinates: np.ndarray) -> None:
        """Take the weights of some points."""
        c = torch.as_tensor(coordinates).to(self.origin)
        self.weights = torch.cat([torch.ones_like(c[:, :1]), c], dim=1).split(_ROWS)
        self.count = len(coordinates)
        if len(self.theta) != self.count:
            self.theta = self.origin.new_empty((self.count, self.origin.numel()))
            self._views = {layer: self._parts(layer) for layer in self.layers}
        self.theta.copy_(self.origin)
        for k, direction in enumerate(self.directions):
            self.theta.addcmul_(c[:, k, None], direction)

    def _parts(self, layer: nn.Module) -> tuple[Tensor, Tensor | None]:
        """Views of a layer's weights and biases, as its product takes them."""
        weight, bias = self.layers[layer]
        w = self.theta[:, weight.slice].view(self.count, *weight.shape)
        b = None if bias is None else self.theta[:, bias.slice]
        if layer in self.transposed:
            return w, None if b is None else b[:, :, None]
        return w.mT, None if b is None else b[:, None]

    def enter(self, batch: Any) -> Any:
        """The batch once per point."""
        self.now.batch = id(batch)
        key = (id(batch), self.count)
        if key not in self._kept:
            repeated = map_tensors(batch, lambda t: t.repeat(self.count, *[1] * (t.ndim - 1)))
            if not self._room(repeated):
                return repeated
            self._kept[key] = (batch, repeated)  # the batch too: its identity is the key
        return self._kept[key][1]

    def fresh(self, tensor: Tensor) -> bool:
        """Whether a tensor is what a layer has just made."""
        made = getattr(self.now, "made", None)
        return not torch.is_grad_enabled() and made is not None and made() is tensor

    def forward(self, layer: nn.Module) -> Any:
        """What replaces a layer's forward."""
        weight, bias = self.layers[layer]

        def linear(x: Tensor) -> Tensor:
            if torch.is_grad_enabled():  # a loss that differentiates: nothing is kept or reused
                rows = x.reshape(self.count, -1, x.shape[-1])
                w = self.theta[:, weight.slice].view(self.count, *weight.shape).mT
                out = torch.bmm(rows, w)
                if bias is not None:
                    out = out + self.theta[:, None, bias.slice]
                return out.view(*x.shape[:-1], weight.shape[0])
            with torch._C.DisableTorchFunction():  # `Shortcuts` would look at every call
                rows = x.reshape(self.count, -1, x.shape[-1])
                if self.now.shared:
                    self.now.shared = False
                    out = self._shared(rows[0], weight, bias)
                else:
                    out = self._product(rows, layer, weight.shape[0])
                out = out.view(*x.shape[:-1], weight.shape[0])
            self.now.made = weakref.ref(out)
            return out

        return linear

    def _product(self, rows: Tensor, layer: nn.Module, columns: int) -> Tensor:
        w, b = self._views[layer]
        if layer in self.transposed:
            out = self._memory(columns, *rows.shape[:2]).permute(1, 2, 0)
            into, a, w = out.mT, w, rows.mT
        else:
            into = out = self._memory(*rows.shape[:2], columns)
            a = rows
        if b is None:
            torch.bmm(a, w, out=into)
        else:
            torch.baddbmm(b, a, w, out=into)
        return out

    def _shared(self, x: Tensor, weight: Any, bias: Any) -> Tensor:
        # What a metric gives the first layer of a batch depends on no weight.
        key = (self.now.batch, self.now.metric, weight.name)
        products = self._products.get(key)
        if products is None:
            products = torch.stack(
                [
                    F.linear(x, v[weight.slice].view(weight.shape), v[bias.slice] if bias else None)
                    for v in (self.origin, *self.directions)
                ]
            )
            if (self.now.batch, self.count) in self._kept and self._room(products):
                self._products[key] = products
        out = self._memory(self.count, *products.shape[1:])
        for c, part in zip(self.weights, out.flatten(1).split(_ROWS), strict=True):
            torch.mm(c, products.flatten(1), out=part)
        return out

    def _memory(self, *shape: int) -> Tensor:
        """Room for what a layer makes, the same for every batch: new memory costs page faults."""
        held, size = self.now.__dict__.setdefault("memory", []), math.prod(shape)
        if self.now.used == len(held):
            held.append(self.origin.new_empty(size))
        if held[self.now.used].numel() < size:
            held[self.now.used] = self.origin.new_empty(size)
        self.now.used += 1
        return held[self.now.used - 1][:size].view(shape)

    def _room(self, tensors: Any) -> bool:
        sizes: list[int] = []
        map_tensors(tensors, lambda t: sizes.append(t.numel() * t.element_size()) or t)
        if self._bytes + sum(sizes) > _KEEP_BYTES:
            return False
        self._bytes += sum(sizes)
        return True
