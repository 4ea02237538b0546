"""Measure points a chunk at a time; when memory is short, a smaller chunk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.base.progress import Progress
from landscape.objective.data.held import HeldData
from landscape.objective.strategies.choice import CHUNKED, STRATEGIES, Choice
from landscape.objective.strategies.memory import out_of_memory, points_that_fit
from landscape.objective.strategies.work import UnsuitableError, Work


def measure_chunks(
    work: Work,
    data: HeldData,
    choice: Choice,
    coordinates: np.ndarray,
    totals: Tensor,
    computed: np.ndarray,
    *,
    rebatch: bool,
    progress: Progress | None = None,
) -> Choice:
    """Fill in totals and the mask; what does not fit in memory is halved, and goes on.

    Args:
        work: The borrowed model and its points.
        data: The samples.
        choice: How to evaluate.
        coordinates: Shape (points, K).
        totals: To be filled in, shape (metrics, points, 6).
        computed: Set where a point was measured, shape (points,).
        rebatch: Whether batches may be halved too, once single points do not fit.
        progress: Told of finished points.

    Returns:
        The choice with the sizes that fitted.
    """
    work = replace(work, threads=choice.threads)
    if choice.chunk > 1 and choice.strategy in CHUNKED:
        fitting = points_that_fit(work, choice.batch_size)
        choice = replace(choice, chunk=min(choice.chunk, fitting))
    start, order = 0, None
    if choice.strategy == "streamed" and coordinates.shape[1]:
        order = np.lexsort(coordinates.T[::-1])  # the last coordinate changes fastest
    while start < len(coordinates):
        try:
            batches = data.batches(choice.batch_size)
            with STRATEGIES[choice.strategy](work) as measure:
                while start < len(coordinates):
                    part: Any = slice(start, start + choice.chunk)
                    part = part if order is None else order[part]
                    totals[:, part] = measure(coordinates[part], batches)
                    computed[part] = True
                    start += len(coordinates[part])
                    if progress is not None:
                        progress.advance(len(coordinates[part]))
        except (RuntimeError, MemoryError, UnsuitableError) as problem:
            if not out_of_memory(problem):
                raise
            size = min(choice.batch_size or 0, data.size)
            if choice.chunk > 1:
                fewer = min(choice.chunk, len(coordinates) - start) // 2 or 1
                choice = replace(choice, chunk=fewer)
            elif rebatch and size > 1:
                choice = replace(choice, batch_size=(size + 1) // 2)
            else:
                raise
            if work.loan.flat.is_cuda:
                torch.cuda.empty_cache()
    return choice
