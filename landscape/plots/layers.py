"""Weights and updates tensor by tensor, over optimizer steps."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from landscape.plots.names import literal, plain
from landscape.plots.path import running_mean
from landscape.plots.style import axes_or_new
from landscape.plots.venues import small_text
from landscape.results.layers import LayerMetrics

QUANTITIES = {
    "update_to_weight": "‖update‖ / ‖weights‖",
    "trust_ratio": "‖weights‖ / ‖update per unit of rate‖",
    "weight_norm": "‖weights‖",
    "update_norm": "‖update‖",
}
_DASHES = ("-", "--", "-.", ":")


def plot_layers(
    layers: LayerMetrics,
    *,
    quantity: str = "update_to_weight",
    only: str = "",
    smooth: int = 1,
    ax: Axes | None = None,
) -> Axes:
    """Draw one quantity of every tensor of a run, on a logarithmic axis.

    Colours go from the first layer (dark) to the last (light); dashes repeat every four.

    Args:
        layers: What to draw.
        quantity: A key of `QUANTITIES`.
        only: Only tensors whose names contain this, for example ``weight``.
        smooth: States in a running mean; 1 draws the measured values.
        ax: Where to draw; default: new axes.

    Raises:
        ValueError: If the quantity is unknown, or no tensor's name contains `only`.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> ls.plot_layers(ls.layer_metrics(run)).get_ylabel()
    '‖update‖ / ‖weights‖'
    """
    if quantity not in QUANTITIES:
        raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}; not {quantity!r}.")
    rows = [row for row, name in enumerate(layers.layers) if only in name]
    if not rows:
        raise ValueError(f"No tensor has {only!r} in its name; there are {list(layers.layers)}.")
    ax = axes_or_new(ax)
    values = getattr(layers, quantity)
    colors = colormaps["viridis"](np.linspace(0, 0.85, len(rows)))
    for place, (row, color) in enumerate(zip(rows, colors, strict=True)):
        y = running_mean(values[row], smooth)
        dash = _DASHES[place % len(_DASHES)]
        ax.plot(layers.step, y, color=color, linestyle=dash, label=plain(layers.layers[row]))
    note = f" (mean of {smooth})" if smooth > 1 else ""
    ax.set(xlabel="optimizer step", ylabel=QUANTITIES[quantity] + note, yscale="log")
    ax.set_title(literal(layers.name))
    ax.legend(fontsize=small_text())
    return ax
