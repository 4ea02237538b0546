"""Many points at once, for models whose trainable parameters all sit in linear layers.

Every batch is repeated once per point and runs through the model as one larger batch; each linear
layer is replaced by a batched matrix product, every point with its own weights. The first linear
layer sees only data, so its products are shared by all points of a plane,

    X W(c)ᵀ = X W₀ᵀ + Σ_k c_k X D_kᵀ,

and are computed once per batch. Everything else in the model sees samples, which it must treat
independently; the loss must give one value per sample.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from landscape.evaluation.data import map_tensors
from landscape.evaluation.softmax import few_classes
from landscape.evaluation.work import (
    Batches,
    Measure,
    UnsuitableError,
    Work,
    combine,
    patched,
    remembering,
)

_KEEP_BYTES = 2**28  # repeated data and shared products kept between chunks


@contextlib.contextmanager
def batched_linear(work: Work) -> Iterator[Measure]:
    """Batched matrix products with the first layer shared by the plane."""
    folder = _Folder(work)
    forwards = {m: folder.forward(m) for m in folder.layers}
    with (
        patched(forwards),
        remembering(work.loan.model) as forget,
        few_classes(),
    ):

        @torch.inference_mode()
        def measure(coordinates: np.ndarray, batches: Batches) -> Tensor:
            work.place_buffers([0.0] * len(work.directions))
            folder.move(coordinates)
            count = len(coordinates)
            out = torch.zeros(
                (len(work.metrics), count, 3), dtype=torch.float64, device=folder.origin.device
            )
            for batch, samples in batches:
                work.check()
                forget()
                repeated = folder.enter(batch)
                for row, (name, metric) in zip(out, work.metrics.items(), strict=True):
                    folder.shared = True
                    each = metric(work.loan.model, repeated)
                    if not (isinstance(each, Tensor) and each.shape == (count * samples,)):
                        raise UnsuitableError(f"{name!r} gives no value per sample")
                    each = each.view(count, samples)
                    row[:, 0] += each.sum(1, dtype=torch.float64)
                    row[:, 1] += each.double().square_().sum(1)
                    row[:, 2] += samples
            return out

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
        self.shared = False
        self._kept: dict[tuple[int, int], tuple[Any, Any]] = {}
        self._products: dict[int, list[Tensor]] = {}
        self._bytes = 0

    def move(self, coordinates: np.ndarray) -> None:
        """Take the weights of some points."""
        self.coordinates = torch.as_tensor(coordinates).to(self.origin)
        self.count = len(coordinates)
        self.theta = self.origin.new_empty((self.count, self.origin.numel()))
        for row, point in zip(self.theta, coordinates, strict=True):
            combine(row, self.origin, self.directions, point)

    def enter(self, batch: Any) -> Any:
        """The batch once per point."""
        self.batch = id(batch)
        key = (id(batch), self.count)
        if key not in self._kept:
            repeated = map_tensors(batch, lambda t: t.repeat(self.count, *[1] * (t.ndim - 1)))
            if not self._room(repeated):
                return repeated
            self._kept[key] = (batch, repeated)  # the batch too: its identity is the key
        return self._kept[key][1]

    def forward(self, layer: nn.Module) -> Any:
        """What replaces a layer's forward."""
        weight, bias = self.layers[layer]

        def linear(x: Tensor) -> Tensor:
            rows = x.reshape(self.count, -1, x.shape[-1])
            if self.shared:
                self.shared = False
                out = self._shared(rows[0], weight, bias)
            else:
                w = self.theta[:, weight.slice].view(self.count, *weight.shape).mT
                if bias is None:
                    out = torch.bmm(rows, w)
                else:
                    out = torch.baddbmm(self.theta[:, None, bias.slice], rows, w)
            return out.view(*x.shape[:-1], weight.shape[0])

        return linear

    def _shared(self, x: Tensor, weight: Any, bias: Any) -> Tensor:
        products = self._products.get(self.batch)
        if products is None:
            products = [
                F.linear(x, v[weight.slice].view(weight.shape), v[bias.slice] if bias else None)
                for v in (self.origin, *self.directions)
            ]
            if (self.batch, self.count) in self._kept and self._room(products):
                self._products[self.batch] = products
        out = products[0].expand(self.count, -1, -1)
        for k, product in enumerate(products[1:]):
            c = self.coordinates[:, k, None, None]
            out = torch.addcmul(out, product, c) if k == 0 else out.addcmul_(product, c)
        return out if len(products) > 1 else out.contiguous()

    def _room(self, tensors: Any) -> bool:
        sizes: list[int] = []
        map_tensors(tensors, lambda t: sizes.append(t.numel() * t.element_size()) or t)
        if self._bytes + sum(sizes) > _KEEP_BYTES:
            return False
        self._bytes += sum(sizes)
        return True
