"""Evaluate one point after another: the weights are views of one flat vector."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.objective.metrics import sums
from landscape.objective.strategies.threads import crew
from landscape.objective.strategies.work import Batches, Measure, Work, remembering

Place = Callable[[Sequence[float]], None]
Each = Callable[[int, int, Any, int], None]  # metric, point, what it returned, of how many samples


@contextlib.contextmanager
def sequential(work: Work) -> Iterator[Measure]:
    """The plain strategy: place a point, run every batch, go on."""
    with one_by_one(work, work.place) as measure:
        yield measure


@contextlib.contextmanager
def one_by_one(work: Work, place: Place, *, each: Each | None = None) -> Iterator[Measure]:
    """Evaluate points one after another with a given way to place them; `each` is told values."""
    model, metrics = work.loan.model, work.metrics
    with crew(work) as share, remembering(work) as forget:
        now = 0

        def of_batches(batches: Batches) -> Tensor:
            found = [[] for _ in metrics]
            for number, (batch, samples) in enumerate(batches):
                work.check()
                forget()
                work.begin(number)
                for m, (name, metric) in enumerate(metrics.items()):
                    value = metric(model, batch)
                    found[m].append(sums(name, value, samples))
                    if each is not None:
                        each(m, now, value, samples)
            each_metric = [k[0] if len(k) == 1 else torch.stack(k).sum(0) for k in found]
            return _stacked(each_metric, 0)

        @torch.no_grad()
        def measure(coordinates: np.ndarray, batches: Batches) -> Tensor:
            nonlocal now
            out = []
            for index, point in enumerate(coordinates):
                now = index
                place(point)
                out.append(share(of_batches, batches))
            return _stacked(out, 1)

        yield measure


def _stacked(tensors: Sequence[Tensor], dim: int) -> Tensor:
    """As `torch.stack`; one alone is not copied."""
    return tensors[0].unsqueeze(dim) if len(tensors) == 1 else torch.stack(list(tensors), dim)
