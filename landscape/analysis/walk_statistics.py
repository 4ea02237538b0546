"""What a walk shows, window by window: barriers, convexity, minima and the valley floor."""

from __future__ import annotations

import numpy as np

from landscape.base.provenance import provenance
from landscape.results.walk import Walk
from landscape.results.walk_statistics import WalkStatistics

_PROPERTIES = ("barrier", "convex", "interior minimum")


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

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> task = ls.load_task("function/quadratic")
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> statistics = ls.walk_statistics(ls.walk(objective, run, points=5))
    >>> dict(zip(statistics.properties, statistics.fraction[0].tolist()))
    {'barrier': 0.0, 'convex': 1.0, 'interior minimum': 0.0}
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
