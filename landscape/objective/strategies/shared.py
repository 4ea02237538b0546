"""Convolutional nets, several points for every batch, the first layer shared by the plane.

The first layer sees only data, and its output is linear in its weights,

    W(c) ∗ x = W₀ ∗ x + Σ_k c_k (D_k ∗ x),

so a batch is convolved once with the origin and once with every direction, and each point takes a
sum of a few tensors. That what the layer sees is the same at all points is looked at every time.
As many points take theirs at once as fit in a part of the processor's last cache, where the next
layer finds it. Everything else is as in `fused` beside this file, with the weights of all points
laid out before.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape.objective.metrics import sums
from landscape.objective.strategies.caches import last_cache
from landscape.objective.strategies.fused import Kitchen, layers_of_onednn, with_shortcuts
from landscape.objective.strategies.threads import crew
from landscape.objective.strategies.work import (
    Batches,
    Measure,
    UnsuitableError,
    Work,
    patched,
    remembering,
)

_PART = 4  # a fourth of the last cache is taken by what the first layer makes at once


@contextlib.contextmanager
def shared_first(work: Work) -> Iterator[Measure]:
    """Every batch at several points, with what the first layer makes of it shared by them."""
    layers = layers_of_onednn(work)
    if not any(isinstance(layer, nn.Conv2d) for layer in layers):
        raise UnsuitableError("the model has no two-dimensional convolution")
    points = _Points(work, layers)
    work = with_shortcuts(work)
    with (
        crew(work) as share,  # looks at a plain pass
        patched({layer: points.layer(layer) for layer in layers}),
        remembering(work) as forget,
    ):

        @torch.no_grad()
        def of_batches(batches: Batches) -> Tensor:
            total: Any = 0
            for number, (batch, samples) in enumerate(batches):
                each = []
                for point in range(points.count):
                    work.check()
                    forget()
                    work.begin(number)
                    points.enter(point)
                    values = []
                    for name, metric in work.metrics.items():
                        points.now.metric, points.now.first = name, None
                        values.append(sums(name, metric(work.loan.model, batch), samples))
                    each.append(torch.stack(values))
                points.leave()
                total = total + torch.stack(each, dim=1)
            return total

        @torch.no_grad()
        def measure(coordinates: np.ndarray, batches: Batches) -> Tensor:
            work.place_buffers([0.0] * len(work.directions))
            points.move(coordinates)
            return share(of_batches, batches)

        yield measure


class _Points(Kitchen):
    """Layers that compute with the weights of one of several points."""

    def __init__(self, work: Work, layers: list[Any]) -> None:
        super().__init__()
        if not work.fixed_buffers:
            raise UnsuitableError("buffers differ from point to point")
        self.work, self.now, self.chunk = work, threading.local(), 0
        named = {id(p): name for name, p in work.loan.model.named_parameters()}
        entries = {entry.name: entry for entry in work.loan.layout}
        self.entries = {
            layer: [None if p is None else entries.get(named[id(p)]) for p in _own(layer)]
            for layer in layers
        }
        for module in set(work.loan.model.modules()) - set(layers):
            if any(named[id(p)] in entries for p in module.parameters(recurse=False)):
                raise UnsuitableError(f"a {type(module).__name__} has trainable parameters")
        self.frozen = {
            layer
            for layer, own in self.entries.items()
            if any(p is not None and e is None for p, e in zip(_own(layer), own, strict=True))
        }

    def move(self, coordinates: np.ndarray) -> None:
        """Lay out the weights of some points."""
        c = torch.as_tensor(coordinates).to(self.work.origin)
        self.count, self.chunk = len(c), self.chunk + 1
        self.mix = torch.cat([torch.ones_like(c[:, :1]), c], dim=1)
        theta = torch.addmm(self.work.origin, c, self.work.directions)
        self.table = {layer: [self._parts(layer, t) for t in theta] for layer in self.entries}

    def _parts(self, layer: Any, theta: Tensor) -> tuple[Any, Any]:
        """A layer's weight and bias out of a flat vector."""
        found: list[Any] = [
            p if entry is None else theta[entry.slice].view(entry.shape)
            for p, entry in zip(_own(layer), self.entries[layer], strict=True)
        ]
        if isinstance(layer, nn.Conv2d):
            found[0] = found[0].contiguous(memory_format=torch.channels_last)
        return found[0], found[1]

    def enter(self, point: int) -> None:
        """Go on with a point."""
        self.now.point = point
        if point == 0:
            self.leave()

    def leave(self) -> None:
        """Forget what was shared by the points of a batch."""
        self.now.products = {}

    @property
    def point(self) -> Any:
        """The present point of this thread."""
        return self.chunk, self.now.point

    def weights(self, layer: Any) -> tuple[Tensor, Tensor | None]:
        """What a layer computes with at the present point."""
        return self.table[layer][self.now.point]

    def made(self, layer: Any, x: Tensor) -> Tensor:
        """What a layer makes; the first of a pass takes its part of what is shared."""
        if self.now.first is not None or layer in self.frozen:
            return super().made(layer, x)
        self.now.first = layer
        key = (self.now.metric, layer)
        if key not in self.now.products:
            self.now.products[key] = (x, x._version, self._products(layer, x), {})
        given, version, products, made = self.now.products[key]
        if given._version != version or not (given is x or torch.equal(given, x)):
            return super().made(layer, x)
        room = last_cache() // _PART // self.work.threads
        together = max(1, room // (products[0].numel() * products.element_size()))
        first = self.now.point // together * together
        if first not in made:
            made.clear()
            mixed = torch.mm(self.mix[first : first + together], products.flatten(1))
            made[first] = mixed.view(-1, *products.shape[1:])
        found = made[first][self.now.point - first]
        return found.permute(0, 3, 1, 2) if isinstance(layer, nn.Conv2d) else found

    def _products(self, layer: Any, x: Tensor) -> Tensor:
        """The layer's output at the origin and along the directions, with channels last."""
        found = []
        for vector in (self.work.origin, *self.work.directions):
            weight, bias = self._parts(layer, vector)
            if isinstance(layer, nn.Conv2d):
                found.append(layer._conv_forward(x, weight, bias).permute(0, 2, 3, 1))
            else:
                found.append(nn.functional.linear(x, weight, bias))
        return torch.stack(found)


def _own(layer: Any) -> tuple[Tensor, Tensor | None]:
    return layer.weight, layer.bias
