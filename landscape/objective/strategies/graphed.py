"""One point after another on a GPU, each batch's pass captured once and replayed as a CUDA graph.

The weights keep their place in memory, so a captured pass computes with whatever was placed there.
What must look at numbers on the way, for example a loss that calls `.item()`, cannot be captured
and is refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.objective.metrics import SUMS, sums
from landscape.objective.strategies.work import Batches, Measure, UnsuitableError, Work, remembering


@contextlib.contextmanager
def graphed(work: Work) -> Iterator[Measure]:
    """Place a point, replay every batch, go on."""
    device, model = work.loan.flat.device, work.loan.model
    if device.type != "cuda":
        raise UnsuitableError("CUDA graphs need a CUDA device")
    if work.nature.differentiates or work.nature.alone:
        raise UnsuitableError(work.nature.alone or "the loss differentiates")
    if work.threads > 1:
        raise UnsuitableError("threads are for CPUs")
    if work.recalibration is not None:
        raise UnsuitableError("batch norms are estimated anew at every point")
    kept: dict[int, tuple[Any, torch.cuda.CUDAGraph, Tensor]] = {}
    with torch.cuda.device(device), remembering(work) as forget:
        pool = torch.cuda.graph_pool_handle()

        def of_batch(batch: Any, samples: int) -> Tensor:
            forget()
            each = [sums(name, m(model, batch), samples) for name, m in work.metrics.items()]
            forget()
            return torch.stack(each)

        def captured(batch: Any, samples: int) -> tuple[torch.cuda.CUDAGraph, Tensor]:
            if id(batch) not in kept:
                graph = torch.cuda.CUDAGraph()
                try:
                    _warm_up(of_batch, batch, samples)
                    with torch.cuda.graph(graph, pool=pool):
                        found = of_batch(batch, samples)
                except torch.OutOfMemoryError:
                    raise
                except RuntimeError as problem:
                    raise UnsuitableError(f"it cannot be captured ({problem})") from problem
                kept[id(batch)] = batch, graph, found  # the batch too: its identity is the key
            return kept[id(batch)][1:]

        @torch.no_grad()
        def measure(coordinates: np.ndarray, batches: Batches) -> Tensor:
            shape = (len(work.metrics), len(coordinates), SUMS)
            out = torch.zeros(shape, dtype=torch.float64, device=device)
            for index, point in enumerate(coordinates):
                work.place(point)
                for batch, samples in batches:
                    work.check()
                    graph, found = captured(batch, samples)
                    graph.replay()
                    out[:, index] += found
            return out

        try:
            yield measure
        finally:
            torch.cuda.synchronize()  # nothing replays what is let go of here
            kept.clear()


def _warm_up(of_batch: Any, batch: Any, samples: int) -> None:
    """Run a pass on a stream of its own, as capturing needs, so that kernels are chosen before."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            of_batch(batch, samples)
    torch.cuda.current_stream().wait_stream(stream)
