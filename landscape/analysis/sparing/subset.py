"""As few samples as tell what is read from segments: differences of the loss along each.

All segments are to be measured on the same samples, or neighbours would not meet where they touch.
How many that takes is found on a few segments, in growing random subsets, each of which holds the
one before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from landscape.objective.evaluation import Evaluation
from landscape.objective.objective import Objective, subset_of
from landscape.results.curves import uncertainty

_SEGMENTS = 16  # on which the number of samples is found
_KEPT = 0.9  # share of them that keeps the tolerance; one that hardly moves may need all samples
_FIRST = 512  # samples to begin with
_JUMP = 4  # a subset is at most this much larger than the one before
_SPARE = 1.1  # more than was asked for, as that is an estimate
_MOST = 0.75  # of all samples; beyond it, all


def sparing(
    objective: Objective,
    segments: Sequence[int],
    measure: Callable[[Sequence[int], np.ndarray | None], dict[int, Evaluation]],
    *,
    tolerance: float,
    seed: int,
) -> tuple[np.ndarray | None, dict[int, Evaluation]]:
    """As many samples as nine in ten of a few finite segments ask for.

    A loss that tells only the mean of a batch, batches that cannot be cut anew, and batch norms
    that are estimated again at every point ask for all.

    Args:
        objective: On all samples.
        segments: All segments that are going to be measured, in order.
        measure: Measures some of them on some of the samples, by index, with their covariances.
        tolerance: How uncertain a difference of losses may be (error of 95 %), as a share of the
            range of its segment; rounding is always allowed.
        seed: Seed of the subsets.

    Returns:
        The samples, by index (None: all), and what is measured on them already, by segment.

    Raises:
        ValueError: If the tolerance is not between 0 and 1.
    """
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must be between 0 and 1, a share; got {tolerance}.")
    spread = np.linspace(0, len(segments) - 1, min(_SEGMENTS, len(segments)))
    few = [segments[i] for i in spread.round().astype(int)]
    size = objective.data.size
    step = objective.data.batch_size if objective.batch_norm == "batch" else 1
    count = _FIRST
    while objective.data.joined and objective.batch_norm != "recalibrated":
        count = math.ceil(count / step) * step
        if count > _MOST * size:
            break
        samples = subset_of(size, count, seed=seed)
        found = measure(few, samples)
        finite = [s for s in found.values() if np.isfinite(s.mean[0]).all()]  # only they need more
        beyond = [_beyond(s, tolerance, objective.precision) for s in finite] or [0.0]
        beyond = float(np.quantile(beyond, _KEPT, method="inverted_cdf"))
        if beyond <= 1:
            return samples, found
        if beyond == np.inf:
            break
        # s² (1/n - 1/N) shrinks by `beyond` when n grows to:
        wanted = 1 / (1 / size + (1 / count - 1 / size) / beyond)
        count = math.ceil(np.clip(_SPARE * wanted, count + 1, _JUMP * count))
    return None, measure(few, None)


def _beyond(segment: Evaluation, tolerance: float, precision: str) -> float:
    """How many times larger a segment's squared error is than it may be."""
    assert segment.covariance is not None
    told = {"precision": precision}
    found = float(uncertainty(segment.mean[0], segment.covariance, told)) / tolerance
    return np.inf if np.isnan(found) else found**2
