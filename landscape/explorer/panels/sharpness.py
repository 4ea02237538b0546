"""Sharpness along the runs over the threshold of their optimizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from landscape.base.result import Result
from landscape.explorer.packing import packed
from landscape.results.curvature_path import CurvaturePath


def sharpness(
    placed: Sequence[tuple[str, str, Result]], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Step, sharpness and threshold of every run; λ1 where no condition is known."""
    found = []
    for _, _, path in placed:
        if not isinstance(path, CurvaturePath) or not path.computed.any():
            continue
        known = np.isfinite(path.sharpness[path.computed]).any()
        what = path.sharpness if known else path.value[:, 0]
        found.append(
            {
                "name": path.name,
                "run": names.index(path.name) if path.name in names else None,
                "condition": path.condition if known else "",
                "step": packed(path.step[path.computed], "i4"),
                "sharpness": packed(what[path.computed]),
                "threshold": packed(path.threshold[path.computed]),
            }
        )
    return found
