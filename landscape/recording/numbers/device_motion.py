"""DeviceMotion: the sums of `Motion` on a GPU, where gradients are not worth copying away."""

from __future__ import annotations

import torch
from torch import Tensor

from landscape.base.layout import Layout


class DeviceMotion:
    """What `Motion` computes, one step at a time, on the device of the parameters.

    It keeps four vectors of their size and needs room for two more.

    Args:
        layout: Where each tensor lies in the flat vectors.
        initial: θ_0, the point that distances are measured from, shape (P,).
        current: The parameters before the first step to come.
        update: The update that led to `current`, if known.
    """

    def __init__(
        self, layout: Layout, initial: Tensor, current: Tensor, update: Tensor | None = None
    ) -> None:
        sizes = [entry.size for entry in layout]
        self._lengths = torch.tensor(sizes, device=initial.device)
        self._unknown = torch.full(
            (len(sizes),), torch.nan, dtype=torch.float64, device=initial.device
        )
        self._initial, self._theta = initial, current.clone()
        self._update, self._gradient = update, torch.empty_like(initial)
        self._started = False

    def sums(self, theta: Tensor, gradient: Tensor) -> Tensor:
        """Products of the step to `theta`, taken along `gradient`; float64, shape (5, tensors)."""
        update, distance = theta - self._theta, theta - self._initial
        last = self._update
        rows = [
            self._dot(update, update),
            self._unknown if last is None else self._dot(update, last),
            self._dot(gradient, gradient),
            self._dot(gradient, self._gradient) if self._started else self._unknown,
            self._dot(distance, distance),
        ]
        self._update, self._started = update, True
        self._theta.copy_(theta)
        self._gradient.copy_(gradient)
        return torch.stack(rows)

    def _dot(self, a: Tensor, b: Tensor) -> Tensor:
        """Σ a·b over each tensor, float64."""
        product = a.double() * b
        return torch.segment_reduce(product, "sum", lengths=self._lengths, unsafe=True)
