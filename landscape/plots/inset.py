"""An inset where one run sets the scale of a map: the others, drawn larger."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from landscape.plots.frame import on_paper
from landscape.results.projection import Projection
from landscape.results.surface import Surface

_WORTH = 1.5  # times larger than on the map, or an inset shows nothing new
_SIDE, _EDGE = 0.46, 0.02  # of the axes
_MARGIN = 0.12  # of the box

Box = tuple[float, float, float, float]


def crowd(surface: Surface, paths: Sequence[Projection]) -> Box | None:
    """The box around all runs but one, where an inset can show the others half as large again.

    Returns:
        x and y limits on paper (those of the axes), or None: no run sets the scale.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> crowd(ls.loss_surface(objective, resolution=5), []) is None
    True
    """
    if len(paths) < 3:
        return None
    place = on_paper(surface)
    walked = [place.transform(path.coordinates[_known(path)]) for path in paths]
    corners = place.transform(
        np.array([(a, b) for a in surface.alpha[[0, -1]] for b in surface.beta[[0, -1]]])
    )
    whole = np.ptp(corners, axis=0)
    found: list[tuple[float, Box]] = []
    for left_out in range(len(paths)):
        rest = np.concatenate([walked[k] for k in range(len(paths)) if k != left_out])
        if not len(rest):
            continue
        low, high = rest.min(axis=0), rest.max(axis=0)
        # As wide for its height as the map, so that the inset fills its corner.
        half = whole * max((high - low) / whole) * (0.5 + _MARGIN)
        middle = (low + high) / 2
        box = (
            middle[0] - half[0], middle[0] + half[0], middle[1] - half[1], middle[1] + half[1]
        )  # fmt: skip
        if half[0] > 0:
            found.append((float(_SIDE * whole[0] / (2 * half[0])), box))
    zoom, box = max(found, default=(0.0, None))
    return box if zoom >= _WORTH else None


def free_corner(ax: Axes, surface: Surface, paths: Sequence[Projection], box: Box) -> Axes | None:
    """Axes for `box` in the corner that no run enters; None where all four are taken."""
    place = on_paper(surface) + ax.transData - ax.transAxes
    ax.apply_aspect()
    walked = np.concatenate([place.transform(path.coordinates[_known(path)]) for path in paths])
    crowded = (ax.transData - ax.transAxes).transform(np.reshape(box, (2, 2)).T)
    taken = np.concatenate([walked, crowded, crowded.mean(axis=0)[None]])
    size = _SIDE + 2 * _EDGE
    for right, up in ((1, 1), (1, 0), (0, 1), (0, 0)):
        start = np.array([right, up]) * (1 - size)
        if ((taken >= start) & (taken <= start + size)).all(axis=1).any():
            continue
        x, y = start + _EDGE
        inner = ax.inset_axes((x, y, _SIDE, _SIDE), gid="inset")
        inner.set(xticks=[], yticks=[])
        for spine in inner.spines.values():
            spine.set_visible(True)
        return inner
    return None


def frame_inset(ax: Axes, inner: Axes, box: Box) -> None:
    """Show `box` in the inset, and where it lies on the map."""
    inner.set_xlim(box[0], box[1])
    inner.set_ylim(box[2], box[3])
    inner.set_aspect(ax.get_aspect())
    ax.indicate_inset_zoom(inner, edgecolor="black", alpha=0.6)


def _known(path: Projection) -> np.ndarray:
    return np.asarray(np.isfinite(path.coordinates).all(axis=1))
