"""Averages of the weights along a run: SWA and EMA, companions of any optimizer."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from landscape.optim.hyperparameters import check_range

AVERAGES = ("swa", "ema")


class WeightAverage:
    r"""A running average θ̄ of parameters; training does not notice it.

    ``swa``: θ̄ = mean of θ over the updates counted (Izmailov et al. 2018, arXiv:1803.05407).
    ``ema``: θ̄ ← d θ̄ + (1 - d) θ after every update counted, from θ̄ = θ at the first
    (Polyak & Juditsky 1992 with exponential forgetting).

    Batch-norm statistics are no parameters: recompute them for θ̄ before evaluating, or measure
    with ``batch_norm="batch"``.

    Args:
        kind: ``swa`` or ``ema``.
        parameters: The live parameters.
        start: Number of updates that are not counted; until then θ̄ is θ.
        decay: d of ``ema``.

    Raises:
        ValueError: If the kind is unknown or a number is out of range.

    >>> w = torch.tensor([0.0])
    >>> average = WeightAverage("swa", [w])
    >>> for value in (1.0, 2.0, 6.0):
    ...     average.update() if w.fill_(value).any() else None
    >>> average.weights()
    [tensor([3.])]
    """

    decay: float
    start: int

    def __init__(
        self, kind: str, parameters: Iterable[Tensor], *, start: int = 0, decay: float = 0.99
    ) -> None:
        if kind not in AVERAGES:
            raise ValueError(f"average must be one of {', '.join(AVERAGES)}; not {kind!r}.")
        check_range("start", start, 0)
        check_range("decay", decay, 0, 1)
        self.kind, self.start, self.decay = kind, start, decay
        self._live = list(parameters)
        self._mean = [p.detach().clone() for p in self._live]
        self._seen = 0

    def __repr__(self) -> str:
        size = sum(p.numel() for p in self._live)
        return f"WeightAverage({self.kind} of {size:,} parameters, {self._seen} updates)"

    @torch.no_grad()
    def update(self) -> None:
        """Count the present parameters; call after every update."""
        self._seen += 1
        counted = self._seen - self.start
        later = 1 / max(1, counted) if self.kind == "swa" else 1 - self.decay
        weight = 1.0 if counted <= 1 else later
        for mean, live in zip(self._mean, self._live, strict=True):
            mean.lerp_(live, weight)

    def weights(self) -> list[Tensor]:
        """θ̄, in the order of the parameters."""
        return self._mean
