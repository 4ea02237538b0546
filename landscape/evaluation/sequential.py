"""Evaluate one point after another: the weights are views of one flat vector."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from landscape.evaluation.crew import crew
from landscape.evaluation.metrics import sums
from landscape.evaluation.work import Batches, Measure, Work, remembering

Place = Callable[[Sequence[float]], None]


@contextlib.contextmanager
def sequential(work: Work) -> Iterator[Measure]:
    """The plain strategy: place a point, run every batch, go on."""
    with one_by_one(work, work.place) as measure:
        yield measure


@contextlib.contextmanager
def one_by_one(work: Work, place: Place) -> Iterator[Measure]:
    """Evaluate points one after another with a given way to place them."""
    model, metrics = work.loan.model, work.metrics
    alone = len(metrics) == 1
    with (
        crew(work) as share,
        contextlib.nullcontext() if alone else remembering(model) as forget,
    ):

        @torch.inference_mode()
        def of_batches(batches: Batches) -> Tensor:
            out = torch.zeros((len(metrics), 3), dtype=torch.float64, device=work.origin.device)
            for batch, samples in batches:
                work.check()
                if forget is not None:
                    forget()
                for row, (name, metric) in zip(out, metrics.items(), strict=True):
                    row += sums(name, metric(model, batch), samples)
            return out

        @torch.inference_mode()
        def measure(coordinates: np.ndarray, batches: Batches) -> Tensor:
            out = []
            for point in coordinates:
                place(point)
                out.append(share(of_batches, batches))
            return torch.stack(out, dim=1)

        yield measure
