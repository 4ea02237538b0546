"""What most directions show: the mean and the spread over several random planes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from landscape.base.settings import of_all
from landscape.results.surface import Surface

_BAND = (0.1, 0.9)


def most_case(surfaces: Sequence[Surface]) -> Surface:
    """The mean of surfaces over random planes of several seeds, and where most of them lie.

    Args:
        surfaces: Of one grid, metrics and centre.

    Returns:
        A surface of the means, with the standard error of the mean over planes. Beside every metric
        it has the quantiles of 10 and 90 % over the planes, as ``loss, 10 %`` and ``loss, 90 %``.

    Source: Chen et al. 2025, arXiv:2505.17646, who call what most random directions show the
    most-case landscape.
    """
    values = np.stack([surface.values for surface in surfaces])
    mean, error = values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values))
    low, high = np.quantile(values, _BAND, axis=0)
    first, count = surfaces[0], len(surfaces)
    names = [f"{m}, {100 * q:.0f} %" for q in _BAND for m in first.metrics]
    blank = np.full_like(mean, np.nan)
    return replace(
        first,
        metrics=(*first.metrics, *names),
        values=np.concatenate([mean, low, high]),
        standard_error=np.concatenate([error, blank, blank]),
        computed=np.all([surface.computed for surface in surfaces], axis=0),
        gram=np.mean([surface.gram for surface in surfaces], axis=0),
        labels=tuple(f"{label} of {count} planes" for label in first.labels),
        rounding=None,
        settings={**of_all([surface.settings for surface in surfaces]), "planes": count},
    )
