"""What a walk shows, window by window: barriers, convexity, minima and the valley floor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from landscape.analysis.walk import Walk
from landscape.provenance import provenance
from landscape.store import Result

_PROPERTIES = ("barrier", "convex", "interior minimum")


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
    settings: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)


def walk_statistics(
    walk: Walk, *, tolerance: float = 0.01, confidence: float = 0.95
) -> WalkStatistics:
    """Summarise a walk in each of its windows.

    Args:
        walk: A measured walk.
        tolerance: Of convexity, see `Walk.convex`.
        confidence: Of the intervals.

    Returns:
        Shares with intervals, and quartiles.

    Raises:
        ValueError: If the confidence is not between 0 and 1.

    Source: the claims are those of Xing et al. 2018, arXiv:1802.08770; the interval is that of
    Wilson 1927, J. Am. Stat. Assoc. 22.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1; got {confidence}.")
    names = ("all",) if walk.windows is None else walk.windows
    finite = np.isfinite(walk.loss).all(axis=1)
    has = np.stack([walk.barrier, walk.convex(tolerance=tolerance), walk.interior_minimum], axis=1)
    inside = [walk.inside(index) & finite for index in range(len(names))]
    counts = np.array([chosen.sum() for chosen in inside])
    fraction = np.stack([has[c].mean(axis=0) if c.any() else np.full(3, np.nan) for c in inside])
    low, high = wilson_interval(fraction, counts[:, None], confidence=confidence)
    return WalkStatistics(
        name=walk.name,
        windows=names,
        segments=counts,
        properties=_PROPERTIES,
        fraction=fraction,
        low=low,
        high=high,
        height_error=np.array([_quartiles(walk.height_error[c])[1] for c in inside]),
        **{
            key: np.stack([_quartiles(getattr(walk, key)[c]) for c in inside])
            for key in ("height", "minimum_at", "floor")
        },
        settings={**walk.settings, "convexity": tolerance, "confidence": confidence},
        provenance=provenance(),
    )


def wilson_interval(
    fraction: np.ndarray, count: np.ndarray, *, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of a binomial share; sensible also at 0 and 1.

    >>> low, high = wilson_interval(np.array([0.0, 0.5]), np.array([10, 10]))
    >>> low.round(4), high.round(4)
    (array([0.    , 0.2366]), array([0.2775, 0.7634]))
    """
    from scipy.special import ndtri

    z = float(ndtri((1 + confidence) / 2))
    count = np.where(count > 0, count, np.nan)
    centre = (fraction + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = fraction * (1 - fraction) / count + z**2 / (4 * count**2)
    half = z * np.sqrt(spread) / (1 + z**2 / count)
    return (centre - half).clip(0), (centre + half).clip(max=1)


def _quartiles(values: np.ndarray) -> np.ndarray:
    return np.quantile(values, [0.25, 0.5, 0.75]) if len(values) else np.full(3, np.nan)
