"""Shares of a walk's segments with a property, with intervals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from landscape.base.result import Result


@dataclass(frozen=True, kw_only=True, eq=False)
class WalkStatistics(Result):
    """Shares of segments with a property, and heights, in each window of a walk.

    What it is not: a test over runs. The intervals treat segments as independent draws from one
    run; neighbouring segments are not independent, so the true uncertainty is larger.

    Attributes:
        name: The run.
        windows: Names of the windows.
        segments: Number of finite segments in each window.
        properties: ``barrier``, ``convex`` and ``interior minimum``, see `Walk`.
        fraction: Share of the segments with each property; NaN for an empty window.
        low: Lower end of the share's Wilson interval.
        high: Upper end.
        height: Quartiles of the height of the ends above the floor, shape (window, 3).
        height_error: Median standard error of these heights, from measuring on a subset: 0 on the
            whole data set, NaN where it is unknown. Segments share the samples, so the median
            height is no more certain than one.
        minimum_at: Quartiles of the minimum's place on its segment, shape (window, 3).
        floor: Quartiles of the valley floor, shape (window, 3).
        settings: Confidence, tolerance of convexity (``convexity``), and the walk's.
        provenance: Software, command, time.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> task = ls.load_task("function/quadratic")
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> statistics = ls.walk_statistics(ls.walk(objective, run, points=5))
    >>> dict(zip(statistics.properties, statistics.fraction[0].tolist()))
    {'barrier': 0.0, 'convex': 1.0, 'interior minimum': 0.0}
    """

    schema: ClassVar[str] = "landscape/walk-statistics"

    name: str
    windows: Annotated[tuple[str, ...], "window"]
    segments: Int64[np.ndarray, " window"]
    properties: Annotated[tuple[str, ...], "property"]
    fraction: Float64[np.ndarray, "window property"]
    low: Float64[np.ndarray, "window property"]
    high: Float64[np.ndarray, "window property"]
    height: Float64[np.ndarray, "window quartile"]
    height_error: Float64[np.ndarray, " window"] | None = None
    minimum_at: Float64[np.ndarray, "window quartile"]
    floor: Float64[np.ndarray, "window quartile"]
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
