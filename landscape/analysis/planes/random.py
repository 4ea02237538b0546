"""Directions: the lines and planes through parameter space on which the loss is measured.

A point with coordinates c lies at θ(c) = origin + Σ_k c_k · directions[k]. The directions need
be neither orthogonal nor of unit length: their Gram matrix is stored and every projection uses it.

Random directions are filter-normalized by default (Li et al. 2018, arXiv:1712.09913, section 4):
each filter of the direction gets the norm of the same filter of the origin, and biases and norm
parameters get zero. Directions that carry meaning (principal components, differences between
states) are never rescaled.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analysis.planes.normalization import (
    Normalization,
    check_normalization,
    normalize,
)
from landscape.base.layout import Kind, Layout
from landscape.base.vector import Vector, layout_of
from landscape.results.affine import Line, Plane, affine

if TYPE_CHECKING:
    from landscape.objective.objective import Objective


def random_plane(
    origin: np.ndarray | Objective,
    layout: Layout | None = None,
    *,
    seed: int = 0,
    normalization: Normalization = "filter",
    ignore: Sequence[Kind] = ("bias", "norm"),
) -> Plane:
    """Two random directions around a point (Li et al. 2018, arXiv:1712.09913).

    The two are drawn independently and, as in the paper, not orthogonalised.

    A weight that is zero stays zero under a normalization (the second half of a fresh low-rank
    adapter): a warning names such tensors, and a plane that would move nothing is refused.

    Args:
        origin: The centre: an objective, for its model as it is, or a vector, shape (P,), usually
            a trained network.
        layout: Which of its entries are which tensor, and which axis counts filters; those of
            the model (`Objective.layout`, `Layout.of`) are certain, those of a run that was
            imported without a model are guesses. An origin with a layout is put in this order.
            Default: the objective's, or the one that the vector knows (a recorded state does).
        seed: Seed of the directions.
        normalization: ``filter``: each filter of a direction gets the norm of the origin's
            filter; ``layer``: the same for whole tensors; ``none``: raw normal numbers.
        ignore: Kinds of parameters whose entries are zero.

    Returns:
        The plane; one unit along an axis changes every filter by its own norm.
    """
    return Plane(**_random(origin, layout, 2, seed, normalization, ignore))


def random_line(
    origin: np.ndarray | Objective,
    layout: Layout | None = None,
    *,
    seed: int = 0,
    normalization: Normalization = "filter",
    ignore: Sequence[Kind] = ("bias", "norm"),
) -> Line:
    """One random direction around a point; arguments as for `random_plane`."""
    return Line(**_random(origin, layout, 1, seed, normalization, ignore))


def _random(
    centre: np.ndarray | Objective,
    layout: Layout | None,
    count: int,
    seed: int,
    normalization: Normalization,
    ignore: Sequence[Kind],
) -> dict[str, Any]:
    check_normalization(normalization)
    origin, layout = _placed(centre, layout)
    if origin.shape != (layout.size,):
        raise ValueError(f"The origin has shape {origin.shape}; the layout asks ({layout.size},).")
    generator = np.random.default_rng(seed)
    directions = []
    for _ in range(count):
        direction = np.zeros(layout.size)
        for entry in layout:
            drawn = generator.standard_normal(entry.size)
            if entry.kind not in ignore:
                direction[entry.slice] = drawn
        normalize(direction, origin, layout, normalization)
        directions.append(direction)
    _check_moved(directions[0], layout, ignore)
    settings = {
        "kind": "random",
        "normalization": normalization,
        "ignored": list(ignore),
        "seed": seed,
    }
    labels = ["direction 1", "direction 2"][:count]
    return affine(Vector(origin, layout), directions, labels, settings)


def _placed(centre: np.ndarray | Objective, layout: Layout | None) -> tuple[np.ndarray, Layout]:
    """A centre as a plain vector in the order of a layout."""
    vector = centre if isinstance(centre, np.ndarray) else _parameters(centre)
    layout = layout or layout_of(vector)
    if layout is None:
        raise ValueError(
            "A plain array does not say which of its entries are which tensor: pass the objective, "
            "random_plane(objective), or the layout, random_plane(origin, objective.layout)."
        )
    return np.asarray(layout.matched(vector)), layout


def _parameters(centre: Objective) -> np.ndarray:
    found = getattr(centre, "parameters", None)
    vector = found() if callable(found) else None
    if not isinstance(vector, np.ndarray):
        raise ValueError(
            "Directions are drawn around an objective or a flat vector; not around a "
            f"{type(centre).__name__}. Of a model: ls.Objective(model, loss, data)."
        )
    return vector


def _check_moved(direction: np.ndarray, layout: Layout, ignore: Sequence[Kind]) -> None:
    """Say which tensors a direction leaves where they are though it should move them."""
    moved = [e for e in layout if e.kind == "weight" and e.kind not in ignore and e.size]
    still = [entry.name for entry in moved if not direction[entry.slice].any()]
    if not still:
        return
    names = f"{', '.join(still[:4])}{', …' if len(still) > 4 else ''}"
    remedy = (
        "Train first, use normalization='none', or take a plane through trained states "
        "(pca_plane, plane_through)."
    )
    if len(still) == len(moved):
        raise ValueError(
            f"All weights are zero ({names}), and normalized directions leave zero weights where "
            f"they are. {remedy}"
        )
    warnings.warn(
        f"{len(still)} of {len(moved)} weights are zero and the normalized directions do not move "
        f"them ({names}): the surface shows the others only, and is flat where these multiply "
        f"them, as in a fresh low-rank adapter. {remedy}",
        stacklevel=4,
    )
