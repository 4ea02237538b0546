"""Where the loss is convex: |λmin / λmax| over a plane."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from landscape.plots.caption import conditions, write_above
from landscape.plots.ground import ground_colormap
from landscape.plots.style import axes_or_new, figure_of
from landscape.results.curvature_map import CurvatureMap

QUANTITIES = {
    "ratio": "|λmin / λmax|",
    "largest": "λmax",
    "smallest": "λmin",
}


def plot_curvature_map(
    found: CurvatureMap,
    *,
    quantity: str = "ratio",
    most: float | None = None,
    bar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw a quantity of a curvature map, one square a point.

    Dots mark the points where λmin is not negative within its residual: the loss is convex there.

    Args:
        found: What to draw.
        quantity: A key of `QUANTITIES`.
        most: Value of the last colour; default: the largest, for the ratio 0.5 as in the paper.
        bar: Whether to draw the colour bar.
        ax: Where to draw; default: new axes.

    Raises:
        ValueError: If the quantity is unknown.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> spectrum = ls.hessian_spectrum(objective, top=2)
    >>> found = ls.curvature_map(objective, ls.eigen_plane(spectrum), resolution=3)
    >>> ax = ls.plot_curvature_map(found, quantity="largest")
    >>> ax.get_xlabel()
    'u₁ (λ1 = 100)'
    """
    if quantity not in QUANTITIES:
        raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}; not {quantity!r}.")
    ax = axes_or_new(ax)
    values = np.ma.masked_invalid(getattr(found, quantity))
    low = 0.0 if quantity == "ratio" else None
    if most is None and quantity == "ratio":
        most = 0.5
    mesh = ax.pcolormesh(
        found.alpha, found.beta, values, cmap=ground_colormap(), vmin=low, vmax=most,
        rasterized=True, shading="nearest", gid=quantity,
    )  # fmt: skip
    rows, columns = np.nonzero(found.convex & found.computed)
    ax.plot(
        found.alpha[columns], found.beta[rows], linestyle="", marker=".", markersize=2,
        color="white", gid="convex",
    )  # fmt: skip
    ax.set(xlabel=found.labels[0], ylabel=found.labels[1])
    for side in ("top", "right"):
        ax.spines[side].set_visible(True)
    (xx, xy), (_, yy) = found.gram
    if abs(xx - yy) < 0.1 * max(xx, yy) and abs(xy) < 0.1 * np.sqrt(xx * yy):
        ax.set_aspect("equal")
    if bar:
        beyond = most is not None and values.count() and float(values.max()) > most
        figure_of(ax).colorbar(
            mesh, cax=ax.inset_axes((1.02, 0, 0.035, 1)), label=QUANTITIES[quantity],
            extend="max" if beyond else "neither",
        )  # fmt: skip
    write_above(ax, conditions(found.settings))
    return ax
