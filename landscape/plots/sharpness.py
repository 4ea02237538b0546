"""Sharpness along runs, against the threshold of each run's optimizer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from landscape.plots.caption import conditions, write_above
from landscape.plots.names import literal, plain
from landscape.plots.style import Look, axes_or_new, looks
from landscape.plots.venues import small_text
from landscape.results.curvature_path import CurvaturePath


def plot_sharpness(
    paths: CurvaturePath | Sequence[CurvaturePath],
    *,
    relative: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Draw the sharpness at the states of runs, and where their optimizers cease to be stable.

    Thresholds are thin dashed lines in the colour of their run; with `relative` they are all at 1.
    A run whose threshold is unknown has none. Batch sharpness, where it was measured, is dotted.

    Args:
        paths: What to draw.
        relative: Sharpness over threshold, for runs of several optimizers and rates.
        ax: Where to draw; default: new axes.

    Raises:
        ValueError: If there is nothing to draw.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> task = ls.load_task("function/quadratic")
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> path = ls.curvature_path(objective, run, every=4)
    >>> ls.plot_sharpness(path).get_ylabel()
    'sharpness (dashed: threshold)'
    """
    shown = [paths] if isinstance(paths, CurvaturePath) else list(paths)
    if not shown:
        raise ValueError("There is no path to draw.")
    ax = axes_or_new(ax)
    for path, look in zip(shown, looks([p.optimizer or p.name for p in shown]), strict=True):
        _draw(ax, path, look, relative)
    if relative:
        ax.axhline(1, color="0.4", linewidth=0.8, linestyle="--", gid="threshold", zorder=1)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("optimizer step")
    ax.set_ylabel("sharpness / threshold" if relative else "sharpness (dashed: threshold)")
    write_above(ax, conditions(shown[0].settings))
    ax.legend(fontsize=small_text(), loc="lower right" if relative else "best")
    return ax


def plot_gradient_share(
    paths: CurvaturePath | Sequence[CurvaturePath], *, ax: Axes | None = None
) -> Axes:
    """Draw the share of the gradient in the span of the top eigenvectors, along runs.

    At the edge of stability it is high because the steps oscillate along them, not because the
    training happens there (Song et al. 2024, arXiv:2405.16002).

    Args:
        paths: What to draw.
        ax: Where to draw; default: new axes.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> task = ls.load_task("function/quadratic")
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> path = ls.curvature_path(objective, run, every=4)
    >>> ls.plot_gradient_share(path).get_ylabel()
    'share of the gradient'
    """
    shown = [paths] if isinstance(paths, CurvaturePath) else list(paths)
    if not shown:
        raise ValueError("There is no path to draw.")
    ax = axes_or_new(ax)
    for path, look in zip(shown, looks([p.optimizer or p.name for p in shown]), strict=True):
        count = path.value.shape[1]
        ax.plot(path.step, path.top_share, **look.line, label=plain(f"{path.name}, top {count}"))
    ax.set(xlabel="optimizer step", ylabel="share of the gradient", ylim=(0, 1.02))
    ax.legend(fontsize=small_text())
    return ax


def plot_predicted_change(path: CurvaturePath, *, ax: Axes | None = None) -> Axes:
    """Draw the change of loss that the quadratic predicts for each update against the measured one.

    Points above the diagonal rose more, or fell less, than g·d + ½ dᵀHd. Both axes are linear near
    zero and logarithmic beyond.

    Args:
        path: What to draw.
        ax: Where to draw; default: new axes.

    Raises:
        ValueError: If no update was measured.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> task = ls.load_task("function/quadratic")
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> path = ls.curvature_path(objective, run, every=4)
    >>> ls.plot_predicted_change(path).get_xlabel()
    'predicted change of the loss'
    """
    known = np.isfinite(path.predicted) & np.isfinite(path.measured)
    if not known.any():
        raise ValueError(f"No update of {path.name} was measured; record consecutive states.")
    ax = axes_or_new(ax)
    x, y = path.predicted[known], path.measured[known]
    sizes = np.abs(np.concatenate([x, y]))
    small = float(np.quantile(sizes[sizes > 0], 0.1)) if (sizes > 0).any() else 1.0
    reach = 1.3 * float(sizes.max()) or 1.0
    line = np.linspace(-reach, reach, 2)
    ax.plot(line, line, color="0.6", linewidth=0.8, zorder=0, gid="equal")
    ax.axhline(0, color="0.85", linewidth=0.6, zorder=0)
    ax.axvline(0, color="0.85", linewidth=0.6, zorder=0)
    dots = ax.scatter(x, y, c=path.step[known], s=10, cmap="viridis", gid="updates", zorder=3)
    ax.set_xscale("symlog", linthresh=small)
    ax.set_yscale("symlog", linthresh=small)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach))
    far = [v for v in 10.0 ** np.arange(-12, 12) if small <= v <= reach][::-2][:2][::-1]
    far = far or [float(f"{reach / 1.3:.0e}")]
    ticks = [-v for v in far[::-1]] + [0.0, *far]
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(ticks)
        axis.set_minor_locator(NullLocator())
    ax.set(
        xlabel="predicted change of the loss", ylabel="measured change", title=literal(path.name)
    )
    figure = ax.get_figure()
    if figure is not None:
        figure.colorbar(dots, ax=ax, label="optimizer step")
    if (path.update_steps[known] > 1).any():
        write_above(ax, f"updates of up to {path.update_steps[known].max()} optimizer steps")
    return ax


def _draw(ax: Axes, path: CurvaturePath, look: Look, relative: bool) -> None:
    scale = path.threshold if relative else 1.0
    label = path.name + (f": {path.condition}" if path.condition else "")
    ax.plot(path.step, path.sharpness / scale, **look.line, label=plain(label), gid="sharpness")
    if np.isfinite(path.batch_sharpness).any():
        ax.plot(
            path.step, path.batch_sharpness / scale, color=look.color, linestyle=":",
            label=plain(f"{path.name}: batch sharpness"), gid="batch sharpness",
        )  # fmt: skip
    if not relative and np.isfinite(path.threshold).any() and np.isfinite(path.sharpness).any():
        ax.plot(
            path.step, path.threshold, color=look.color, linewidth=0.7, linestyle="--",
            gid="threshold", zorder=1,
        )  # fmt: skip
