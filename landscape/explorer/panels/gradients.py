"""How large the entries of the gradients were along the runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from landscape.base.result import Result
from landscape.explorer.packing import packed
from landscape.results.gradients import GradientHistogram

_LEAST = 1e-3  # share that a size must reach at some step to be shown
_MOST = 1000  # steps that are shown; of longer runs every n-th


def gradients(
    placed: Sequence[tuple[str, str, Result]], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Share of the entries in every factor of two, step by step."""
    found = []
    for _, _, result in placed:
        if not isinstance(result, GradientHistogram) or not len(result.step):
            continue
        every = -(-len(result.step) // _MOST)
        share = result.share[::every, 1:-1].T  # without the open ends
        seen = np.flatnonzero((share > _LEAST).any(axis=1))
        if not len(seen):
            continue
        shown = slice(seen[0], seen[-1] + 1)
        found.append(
            {
                "name": result.name,
                "run": names.index(result.name) if result.name in names else None,
                "every": every,
                "step": packed(result.step[::every], "i4"),
                "size": packed(result.edge[shown]),
                "share": packed(share[shown]),
                "zero": packed(result.share[::every, 0]),
            }
        )
    return found
