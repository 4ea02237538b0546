"""How runs moved: angles, step lengths and distances over optimizer steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from landscape.plots.names import plain
from landscape.plots.repeats import plot_repeats
from landscape.plots.style import axes_or_new, looks, whole_steps
from landscape.results.path import PathMetrics

# name: (label of the axis, whether it is noisy from step to step)
QUANTITIES: dict[str, tuple[str, bool]] = {
    "angle": ("angle between updates [°]", True),
    "cosine": ("cosine of updates", True),
    "cosine_to_final": ("cosine to final − initial", True),
    "distance": ("‖θ − θ₀‖", False),
    "distance_squared": ("‖θ − θ₀‖²", False),
    "path_length": ("path length Σ‖update‖", False),
    "update_norm": ("‖update‖", True),
    "losses": ("mini-batch loss", True),
    "learning_rate": ("learning rate", False),
}


def plot_path(
    paths: PathMetrics | Sequence[PathMetrics],
    *,
    quantity: str = "angle",
    smooth: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one quantity of one or several runs over optimizer steps.

    Quantities that jump from step to step are drawn twice: faint as measured, and strong as the
    running mean over `smooth` states, which the axis names. Runs that differ in their seed alone
    are repeats of one another: drawn are their median, and a band that holds all of them.

    Args:
        paths: One run or several.
        quantity: A key of `QUANTITIES`.
        smooth: States in the running mean; 1 draws the measured values only; default: one
            twentieth of the states for noisy quantities.
        ax: Where to draw; default: new axes.

    Raises:
        ValueError: If there is no run or the quantity is unknown.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> ls.plot_path(ls.path_metrics(run), quantity="distance").get_ylabel()
    '‖θ − θ₀‖'
    """
    paths = [paths] if isinstance(paths, PathMetrics) else list(paths)
    if not paths:
        raise ValueError("No path was given; pass at least one.")
    if quantity not in QUANTITIES:
        raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}; not {quantity!r}.")
    label, noisy = QUANTITIES[quantity]
    if smooth is None:
        smooth = max(1, max(len(p.step) for p in paths) // 20) if noisy else 1
    ax = axes_or_new(ax)
    every = max(int(np.diff(p.step).max(initial=1)) for p in paths)
    groups = repeats_among(paths)
    styles = looks([group[0].optimizer or group[0].name for group in groups])
    for group, style in zip(groups, styles, strict=True):
        path, rows = group[0], [values_of(one, quantity) for one in group]
        means = [running_mean(y, smooth) for y in rows]
        if len(group) > 1:
            label = f"{path.name}, {len(group)} seeds"
            if lost := _unlike_the_rest(rows):
                label += f" ({lost} not finite somewhere)"
            plot_repeats(path.step, means, style, label=plain(label), ax=ax)
            continue
        if smooth > 1:
            ax.plot(path.step, *rows, color=style.color, alpha=0.25, linewidth=0.5, gid="measured")
        ax.plot(path.step, *means, **style.line, label=plain(path.name), gid="mean")
    notes = [f"mean of {smooth}"] if smooth > 1 else []
    notes += ["median and range"] if len(groups) < len(paths) else []
    if every > 1 and quantity in ("angle", "cosine", "cosine_to_final", "update_norm"):
        notes.append(f"states {every} steps apart")
    ax.set_xlabel("optimizer step")
    whole_steps(ax)
    ax.set_ylabel(label + (f"\n({', '.join(notes)})" if notes else ""))
    if quantity == "angle":
        ax.axhline(90, color="0.7", linewidth=0.6, zorder=0)
    if quantity.startswith("cosine"):
        ax.axhline(0, color="0.7", linewidth=0.6, zorder=0)
    if quantity == "update_norm":
        drawn = np.concatenate([values_of(p, quantity) for p in paths])
        drawn = drawn[np.isfinite(drawn) & (drawn > 0)]
        if drawn.size and drawn.max() > 30 * drawn.min():
            ax.set_yscale("log")
    if len(paths) > 1:
        ax.legend()
    return ax


def _unlike_the_rest(rows: Sequence[np.ndarray]) -> int:
    """How many rows have no number where others have one: the median there is of the others."""
    known = np.isfinite(np.stack(rows))
    return int((~known & known.any(axis=0)).any(axis=1).sum())


def repeats_among(paths: Sequence[PathMetrics]) -> list[list[PathMetrics]]:
    """The runs, those together that differ in their seed alone and were recorded at one pace."""
    groups: dict[Any, list[PathMetrics]] = {}
    for place, path in enumerate(paths):
        mark, seed = (path.settings.get(name) for name in ("repeats", "seed"))
        key = (mark, path.step.tobytes())
        seeds = [one.settings.get("seed") for one in groups.get(key, ())]
        groups.setdefault(place if mark is None or seed in seeds else key, []).append(path)
    return list(groups.values())


def values_of(path: PathMetrics, quantity: str) -> np.ndarray:
    """The measured values of a quantity, shape (state,)."""
    if quantity == "distance_squared":
        return path.distance**2
    return getattr(path, quantity)


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Centred mean over up to `width` values, leaving out NaN.

    >>> running_mean(np.array([1.0, np.nan, 3.0, 5.0]), 3).tolist()
    [1.0, 2.0, 4.0, 4.0]
    """
    if width <= 1:
        return values
    known = np.isfinite(values)
    window = np.ones(min(width, len(values)))
    total = np.convolve(np.where(known, values, 0.0), window, mode="same")
    count = np.convolve(known, window, mode="same")
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0.5)
