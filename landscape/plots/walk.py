"""The walk: the loss an optimizer crossed from each recorded state to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from landscape.plots.caption import conditions, write_above
from landscape.plots.names import literal, plain
from landscape.plots.style import Look, looks, whole_steps
from landscape.results.walk import Walk


def plot_walk(
    walks: Walk | Sequence[Walk],
    *,
    metric: str = "loss",
    floor: bool | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the loss interpolated between consecutive recorded states, over optimizer steps.

    The line is continuous over the segments; dots are the recorded states themselves. The floor,
    the smallest value on each segment, is drawn below it, shaded up to the line. It is read on
    another straight line at each step, so its bumps are weak evidence of barriers.

    Measured on a subset, the loss has a band of ± one standard error. Most of that error is common
    to neighbouring points; the bars on the floor are the standard errors of its distance from the
    ends alone.

    Args:
        walks: One walk, or several to compare.
        metric: Which metric of the walks.
        floor: Whether to draw the floor; default: for a single walk.
        ax: Where to draw; default: new axes, one panel per window of steps where the walk has
            gaps.

    Returns:
        The axes; of several panels the first (all are ``ax.figure.axes``).

    Raises:
        ValueError: If there is no walk, or the metric is unknown.

    Source: Xing et al. 2018, "A Walk with SGD", arXiv:1802.08770, figures 1 and 2.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> task = ls.load_task("function/quadratic")
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> walk = ls.walk(objective, run, points=3)
    >>> ls.plot_walk(walk).get_ylabel()
    'loss'
    """
    walks = [walks] if isinstance(walks, Walk) else list(walks)
    if not walks:
        raise ValueError("No walk was given; pass at least one.")
    for walk in walks:
        if metric not in walk.metrics:
            raise ValueError(f"metric must be one of {', '.join(walk.metrics)}; not {metric!r}.")
    floor = len(walks) == 1 if floor is None else floor
    if ax is not None:
        _draw(ax, walks, metric, floor)
        return ax
    panels = windows(walks)
    figure = plt.figure(layout="constrained")
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for panel, (first, last) in zip(grid, panels, strict=True):
        _draw(panel, [within(walk, first, last) for walk in walks], metric, floor)
        panel.set_xlim(first, last)
        panel.label_outer()
        if panel is not grid[0]:
            panel.set_title("", loc="left")
    return grid[0]


def windows(walks: Sequence[Walk]) -> list[tuple[int, int]]:
    """Ranges (first, last) of steps that the walks cover without a gap, in order."""
    spans = sorted(
        {(int(a), int(b)) for w in walks for a, b in zip(w.step, w.next_step, strict=True)}
    )
    found = [spans[0]]
    for start, end in spans[1:]:
        first, last = found[-1]
        if start > last:
            found.append((start, end))
        else:
            found[-1] = (first, max(last, end))
    return found


def within(walk: Walk, first: int, last: int) -> Walk:
    """The part of a walk between two optimizer steps; may be empty."""
    kept = (walk.step >= first) & (walk.next_step <= last)
    return replace(
        walk,
        step=walk.step[kept],
        next_step=walk.next_step[kept],
        values=walk.values[kept],
        standard_error=walk.standard_error[kept],
        covariance=None if walk.covariance is None else walk.covariance[kept],
    )


def curve(walk: Walk, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values along a walk as one line; NaN breaks it where states are missing.

    Args:
        walk: The walk.
        values: One per segment and place, shape (segment, alpha).
    """
    x = walk.step[:, None] + walk.alpha * (walk.next_step - walk.step)[:, None]
    breaks = 1 + np.flatnonzero(walk.step[1:] != walk.next_step[:-1])
    places = breaks * len(walk.alpha)
    return np.insert(x.ravel(), places, np.nan), np.insert(values.ravel(), places, np.nan)


def _draw(ax: Axes, walks: Sequence[Walk], metric: str, floor: bool) -> None:
    for walk, style in zip(walks, looks([w.optimizer or w.name for w in walks]), strict=True):
        if len(walk.step):
            _draw_one(ax, walk, metric, style, floor)
    ax.set_xlabel("optimizer step")
    ax.set_ylabel(literal(metric))
    whole_steps(ax)
    note = [conditions(walks[0].settings)]
    known = [np.isfinite(w.values[:, w.metrics.index(metric)]).all(axis=1) for w in walks]
    if lost := sum(int((~one).sum()) for one in known):
        note.append(f"{lost} of {sum(len(w.step) for w in walks)} segments not finite")
    if any((walk.standard_error > 0).any() for walk in walks):
        note.append("band: ± one standard error")
        if floor and metric == walks[0].metrics[0]:
            note.append("bars: that of the height alone")
    write_above(ax, " · ".join(filter(None, note)))
    drawn = np.concatenate([w.values[:, w.metrics.index(metric)].ravel() for w in walks])
    drawn = drawn[np.isfinite(drawn)]
    if drawn.size and drawn.min() > 0 and drawn.max() > 10 * drawn.min():
        ax.set_yscale("log")
    ax.legend()


def _draw_one(ax: Axes, walk: Walk, metric: str, style: Look, floor: bool) -> None:
    m = walk.metrics.index(metric)
    values = walk.values[:, m]
    x, y = curve(walk, values)
    ax.plot(x, y, **style.line, linewidth=0.9, label=plain(walk.name), gid="walk", zorder=3)
    _, error = curve(walk, walk.standard_error[:, m])
    if (error > 0).any():
        ax.fill_between(
            x, y - error, y + error, color=style.color, alpha=0.15, linewidth=0, gid="error"
        )
    states = np.concatenate([walk.step, walk.next_step])
    at_states = np.concatenate([values[:, 0], values[:, -1]])
    ax.plot(
        states, at_states, linestyle="", marker="o", markersize=2.2, color=style.color,
        label="recorded states" if floor else None, gid="states", zorder=4,
    )  # fmt: skip
    if not floor:
        return
    lowest = np.argmin(np.where(np.isnan(values), np.inf, values), axis=1)
    where = walk.step + walk.alpha[lowest] * (walk.next_step - walk.step)
    height = values[np.arange(len(values)), lowest]
    gaps = 1 + np.flatnonzero(walk.step[1:] != walk.next_step[:-1])
    ax.plot(
        np.insert(where, gaps, np.nan), np.insert(height, gaps, np.nan), color="0.25",
        linestyle=":", label="floor", gid="floor", zorder=2,
    )  # fmt: skip
    if m == 0 and (walk.height_error > 0).any():
        ax.errorbar(
            where, height, yerr=walk.height_error, fmt="none", ecolor="0.25", elinewidth=0.8,
            capsize=1.5, gid="height error", zorder=2,
        )  # fmt: skip
    below = np.interp(x, where, height, left=np.nan, right=np.nan)
    ax.fill_between(x, below, y, color=style.color, alpha=0.15, linewidth=0, gid="height")
