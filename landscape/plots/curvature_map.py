"""Where the loss is convex: |λmin / λmax| over a plane."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from landscape.plots.caption import conditions, write_above
from landscape.plots.frame import Cells, plane_transform, set_frame, shape_of
from landscape.plots.ground import ground_colormap
from landscape.plots.names import literal
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
    """Draw a quantity of a curvature map, one square a point, with true distances and angles.

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
    cells = Cells.around(found)
    place = plane_transform(cells, ax)
    mesh = ax.pcolormesh(
        cells.alpha, cells.beta, values, cmap=ground_colormap(), vmin=low, vmax=most,
        rasterized=True, gid=quantity, transform=place,
    )  # fmt: skip
    rows, columns = np.nonzero(found.convex & found.computed)
    ax.plot(
        found.alpha[columns], found.beta[rows], linestyle="", marker=".", markersize=2,
        color="white", gid="convex", transform=place,
    )  # fmt: skip
    ax.set(xlabel=literal(found.labels[0]), ylabel=literal(found.labels[1]))
    set_frame(ax, cells)
    if bar:
        beyond = most is not None and values.count() and float(values.max()) > most
        figure_of(ax).colorbar(
            mesh, cax=ax.inset_axes((1.02, 0, 0.035, 1)), label=QUANTITIES[quantity],
            extend="max" if beyond else "neither",
        )  # fmt: skip
    told = [conditions(found.settings), *shape_of(cells)]
    write_above(ax, " · ".join(filter(None, told)))
    return ax
