"""What stands out in a run: every number beside its threshold."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from landscape.plots.names import literal
from landscape.plots.style import axes_or_new
from landscape.plots.venues import small_text
from landscape.results.diagnosis import Diagnosis

_FOUND, _QUIET = "#D55E00", "#999999"
_REACH = 100.0  # times the threshold, to either side


def plot_diagnosis(diagnosis: Diagnosis, *, ax: Axes | None = None) -> Axes:
    """Draw how far each number is from its threshold; what stands out is filled.

    A number beyond its threshold that does not stand out misses another condition of its check.
    Thresholds of zero are counts, drawn from one half on; numbers that are not known are left out.

    Args:
        diagnosis: What to draw.
        ax: Where to draw; default: new axes.

    >>> import landscape as ls
    >>> file = ls.record_run(ls.Run("function/quadratic", "gd", lr=0.03, steps=30), "gd.h5")
    >>> ls.plot_diagnosis(ls.diagnose(ls.Trajectory(file))).get_xlabel()
    'number / threshold'
    """
    ax = axes_or_new(ax)
    shown = np.flatnonzero(np.isfinite(diagnosis.value))
    for row, k in enumerate(shown):
        value, error, found = diagnosis.value[k], diagnosis.error[k], bool(diagnosis.found[k])
        away = error if error > 0 else 0.0
        low, place, high = np.clip(
            np.array([value - away, value, value + away]) / (diagnosis.threshold[k] or 0.5),
            1 / _REACH,
            _REACH,
        )
        color = _FOUND if found else _QUIET
        ax.plot([low, high], [row, row], color=color, linewidth=1.5, gid="error")
        ax.plot(
            place, row, "o", color=color if found else "white", markeredgecolor=color,
            gid="found" if found else "quiet",
        )  # fmt: skip
        unsure = f" ± {error:.1g}" if error > 0 else ""
        ax.text(
            1.01, row, f"{value:.3g}{unsure} ({diagnosis.threshold[k]:g})", va="center",
            fontsize=small_text(), transform=ax.get_yaxis_transform(),
        )  # fmt: skip
    ax.axvline(1, color="0.4", linewidth=0.8, linestyle="--", zorder=1)
    ax.set_xscale("log")
    ax.set_xlim(0.8 / _REACH, 1.25 * _REACH)
    ax.set_ylim(len(shown) - 0.5, -0.5)
    ax.set_yticks(range(len(shown)), [literal(diagnosis.check[k]) for k in shown])
    ax.set_xlabel("number / threshold")
    count = len(diagnosis.standing_out) or "nothing"
    title = (
        f"{diagnosis.name}: standing out of {len(shown)} checks: {count}; right: number (threshold)"
    )
    ax.set_title(literal(title), loc="left", fontsize=small_text())
    return ax
