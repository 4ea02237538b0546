"""Sizes of the gradient's entries, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landscape.base.provenance import provenance
from landscape.base.runs.format import HISTOGRAM_BINS, HISTOGRAM_LOWEST
from landscape.results.gradients import GradientHistogram

if TYPE_CHECKING:
    from landscape.base.runs.trajectory import Trajectory


def gradient_histogram(trajectory: Trajectory) -> GradientHistogram:
    """The histograms of |gradient| that the recorder counted at every step.

    Args:
        trajectory: A run recorded with ``gradient_histogram=True``.

    Returns:
        One histogram per optimizer step.

    Raises:
        ValueError: If none were counted.

    Source: Liu et al. 2020, arXiv:1908.03265, figure 2.

    >>> import landscape as ls
    >>> run = ls.Run("function/quadratic", "gd", lr=0.01, steps=8, gradient_histogram=True)
    >>> histogram = ls.gradient_histogram(ls.Trajectory(ls.record_run(run, "gd.h5")))
    >>> histogram.count.sum(axis=1).tolist()  # ten entries at every step
    [10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0]
    """
    counts = trajectory.gradient_histogram
    if counts is None:
        raise ValueError(
            f"{trajectory.path} holds no histograms of its gradients; record with "
            "gradient_histogram=True (landscape record --gradient-histogram)."
        )
    first = int(trajectory.steps[0]) + 1
    return GradientHistogram(
        name=trajectory.name,
        optimizer=str(trajectory.run.get("optimizer", "")),
        step=np.arange(first, first + len(counts)),
        edge=2.0 ** np.arange(HISTOGRAM_LOWEST, HISTOGRAM_LOWEST + HISTOGRAM_BINS - 1),
        count=counts,
        settings={"run": str(trajectory.path.name)},
        provenance=provenance(),
    )
