"""How the Hessian's eigenvalues are distributed, smoothed for the eye."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from landscape.base.result import Result
from landscape.explorer.packing import packed
from landscape.results.spectral_density import SpectralDensity


def density(
    placed: Sequence[tuple[str, str, Result]], names: Sequence[str]
) -> list[dict[str, Any]]:
    """The mean density of the bulk over 1/100 of the range, and the eigenvalues known by name.

    A known eigenvalue stands as high as one would if it were smoothed too.
    """
    found = []
    for _, key, result in placed:
        if not isinstance(result, SpectralDensity):
            continue
        held = np.concatenate([result.node[result.weight > 1e-12], result.known])
        width = (float(np.ptp(held)) or 1.0) / 100
        grid = np.linspace(held.min() - 4 * width, held.max() + 4 * width, 600)
        one = 1 / (result.size * width * np.sqrt(2 * np.pi))
        bulk = result.smoothed(grid, width).mean(axis=0)
        found.append(
            {
                "name": key.removeprefix("density/"),
                "size": result.size,
                "value": packed(grid),
                "bulk": packed(np.where(bulk < 0.3 * one, np.nan, bulk)),
                "known": packed(result.known),
                "one": one,
            }
        )
    return found
