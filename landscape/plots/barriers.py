"""Barriers between all pairs of networks, as a matrix."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from landscape.plots.caption import conditions, write_above
from landscape.plots.names import literal
from landscape.plots.style import axes_or_new, figure_of
from landscape.plots.venues import small_text
from landscape.results.barriers import Barriers
from landscape.results.curves import Barrier
from landscape.results.words import is_gain, policies_of

_CITED = {"frankle2020": "Frankle et al. 2020", "entezari2022": "Entezari et al. 2022"}


def plot_barriers(
    barriers: Barriers,
    *,
    definition: Barrier = "entezari2022",
    metric: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the barriers of all pairs as a matrix, with the metric at the networks beside names.

    Args:
        barriers: What to draw.
        definition: ``entezari2022`` or ``frankle2020``; see `Barriers.height`.
        metric: Which metric; default: the loss.
        ax: Where to draw; default: new axes.

    Raises:
        ValueError: If the definition or the metric is unknown.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> import numpy as np
    >>> ends = [np.full(10, -1.0, "float32"), np.full(10, 1.0, "float32")]
    >>> found = ls.barriers(objective, ends, names=["left", "right"], resolution=5)
    >>> [text.get_text() for text in ls.plot_barriers(found).get_xticklabels()]
    ['left', 'right']
    """
    metric = metric or barriers.metrics[0]
    values = barriers.matrix(definition, metric=metric)
    ends, size = barriers.ends(metric=metric), len(barriers.names)
    ax = axes_or_new(ax)
    shown = np.ma.masked_where(np.eye(size, dtype=bool) | ~np.isfinite(values), values)
    top = float(shown.max()) if shown.count() else 1.0
    image = ax.imshow(shown, cmap="viridis", vmin=0, vmax=top or 1.0)
    errors = np.zeros_like(values)
    first, second = barriers.pair.T
    errors[first, second] = errors[second, first] = barriers.error(definition, metric=metric)
    for i, j in zip(*np.nonzero(~np.eye(size, dtype=bool)), strict=True):
        unsure = f"\n±{errors[i, j]:.1g}" if errors[i, j] > 0 else ""
        ax.text(
            j, i, f"{values[i, j]:.2g}{unsure}", ha="center", va="center", fontsize=small_text(),
            color="black" if values[i, j] > 0.6 * top else "white", gid="barrier",
        )  # fmt: skip
    labels = [literal(f"{name}: {end:.2g}") for name, end in zip(barriers.names, ends, strict=True)]
    ax.set_yticks(range(size), labels)
    ax.set_xticks(
        range(size),
        [literal(n) for n in barriers.names],
        rotation=45,
        ha="right",
        rotation_mode="anchor",
    )
    ax.tick_params(length=0)
    ax.set_ylabel(literal(f"network: its {metric}"))
    kind = "rise, no barrier: higher is better" if is_gain(metric) else "barrier"
    beside = ax.inset_axes((1.03, 0, 0.05, 1))
    bar = figure_of(ax).colorbar(image, cax=beside)
    bar.set_label(literal(f"{metric} {kind} ({_CITED[definition]})"))
    write_above(ax, " · ".join(filter(None, (conditions(barriers.settings), *_policies(barriers)))))
    return ax


def _policies(barriers: Barriers) -> list[str]:
    return [f"{len(barriers.alpha)} places, maximum refined", *policies_of(barriers)]
