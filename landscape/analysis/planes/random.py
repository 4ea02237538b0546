"""Directions: the lines and planes through parameter space on which the loss is measured.

A point with coordinates c lies at θ(c) = origin + Σ_k c_k · directions[k]. The directions need
be neither orthogonal nor of unit length: their Gram matrix is stored and every projection uses it.

Random directions are filter-normalized by default (Li et al. 2018, arXiv:1712.09913, section 4):
each filter of the direction gets the norm of the same filter of the origin, and biases and norm
parameters get zero. Directions that carry meaning (principal components, differences between
states) are never rescaled.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from landscape.analysis.planes.normalization import check_normalization, normalize
from landscape.base.layout import Entry, Kind, Layout
from landscape.base.statistics import recorded_with
from landscape.base.vector import Vector, layout_of
from landscape.results.affine import Line, Plane, affine
from landscape.results.construction import Construction
from landscape.results.seeded import Normalization, SeededLine, SeededPlane

if TYPE_CHECKING:
    from landscape.objective.objective import Objective

_HELD = 2**25  # parameters up to which directions are held in memory unless it is asked otherwise


@overload
def random_plane(
    origin: np.ndarray | Objective,
    layout: Layout | None = None,
    *,
    seed: int = 0,
    normalization: Normalization = "filter",
    ignore: Sequence[Kind] = ("bias", "norm"),
    select: str | None = None,
    stored: Literal[True] | None = None,
) -> Plane: ...
@overload
def random_plane(
    origin: Objective,
    layout: Layout | None = None,
    *,
    seed: int = 0,
    normalization: Normalization = "filter",
    ignore: Sequence[Kind] = ("bias", "norm"),
    select: str | None = None,
    stored: Literal[False],
) -> SeededPlane: ...
def random_plane(
    origin: np.ndarray | Objective,
    layout: Layout | None = None,
    *,
    seed: int = 0,
    normalization: Normalization = "filter",
    ignore: Sequence[Kind] = ("bias", "norm"),
    select: str | None = None,
    stored: bool | None = None,
) -> Plane | SeededPlane:
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
            filter; ``layer``: the same for whole tensors; ``gaussian``: a direction gets the
            norm of all weights that it moves; ``none``: raw normal numbers.
        ignore: Kinds of parameters whose entries are zero.
        select: A regular expression: move only the tensors whose names it finds, for example
            ``"layers.3."``; the others stay where they are.
        stored: False keeps a seed instead of vectors: the plane takes the memory of a few norms,
            its directions are made tensor by tensor while it is measured, and its origin is the
            model itself (`SeededPlane`). The default does so for models of more than 33 million
            parameters, of which a held plane would take several copies. The two kinds draw
            different numbers from a seed.

    Returns:
        The plane; one unit along an axis changes every filter by its own norm.

    Raises:
        ValueError: If an option is unknown, nothing would be moved, or a plane that is not stored
            is asked for around a vector.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> plane = ls.random_plane(objective)
    >>> plane.directions.shape, plane.gram.shape
    ((2, 8970), (2, 2))
    """
    options = {"seed": seed, "normalization": normalization, "ignore": ignore, "select": select}
    if _is_recipe(origin, layout, stored):
        return SeededPlane(**_recipe(origin, 2, **options))
    return Plane(**_random(origin, layout, 2, **options))


@overload
def random_line(
    origin: np.ndarray | Objective,
    layout: Layout | None = None,
    *,
    seed: int = 0,
    normalization: Normalization = "filter",
    ignore: Sequence[Kind] = ("bias", "norm"),
    select: str | None = None,
    stored: Literal[True] | None = None,
) -> Line: ...
@overload
def random_line(
    origin: Objective,
    layout: Layout | None = None,
    *,
    seed: int = 0,
    normalization: Normalization = "filter",
    ignore: Sequence[Kind] = ("bias", "norm"),
    select: str | None = None,
    stored: Literal[False],
) -> SeededLine: ...
def random_line(
    origin: np.ndarray | Objective,
    layout: Layout | None = None,
    *,
    seed: int = 0,
    normalization: Normalization = "filter",
    ignore: Sequence[Kind] = ("bias", "norm"),
    select: str | None = None,
    stored: bool | None = None,
) -> Line | SeededLine:
    """One random direction around a point; arguments as for `random_plane`.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> line = ls.random_line(objective, seed=1)
    >>> line.directions.shape, line.labels
    ((1, 8970), ('direction 1',))
    """
    options = {"seed": seed, "normalization": normalization, "ignore": ignore, "select": select}
    if _is_recipe(origin, layout, stored):
        return SeededLine(**_recipe(origin, 1, **options))
    return Line(**_random(origin, layout, 1, **options))


def _is_recipe(centre: np.ndarray | Objective, layout: Layout | None, stored: bool | None) -> bool:
    """Whether directions are kept as a recipe."""
    if isinstance(centre, np.ndarray) or layout is not None:
        if stored is False:
            raise ValueError(
                "Directions that are not stored have the model itself as their origin; pass the "
                "objective alone, random_plane(objective, stored=False)."
            )
        return False
    size = getattr(getattr(centre, "layout", None), "size", 0)
    return stored is False or (stored is None and size > _HELD)


def _recipe(
    objective: Any,
    count: int,
    *,
    seed: int,
    normalization: Normalization,
    ignore: Sequence[Kind],
    select: str | None,
) -> dict[str, Any]:
    from landscape.analysis.planes.seeded import recipe, still_tensors  # it loads torch

    if not hasattr(objective, "problem"):
        _parameters(objective)  # says what is expected
    check_normalization(normalization)
    moved = _moved(objective.layout, ignore, select)
    _tell_still(
        still_tensors(objective, moved, normalization), sum(e.kind == "weight" for e in moved)
    )
    made = replace(_made(seed, normalization, ignore, select), stored=False)
    return recipe(
        objective, moved, count, seed=seed, normalization=normalization, settings=made.settings()
    )


def _made(
    seed: int, normalization: Normalization, ignore: Sequence[Kind], select: str | None
) -> Construction:
    return Construction(
        kind="random", normalization=normalization, ignored=list(ignore), seed=seed, select=select
    )


def _moved(layout: Layout, ignore: Sequence[Kind], select: str | None) -> list[Entry]:
    """The tensors that directions move."""
    try:
        found = [e for e in layout if select is None or re.search(select, e.name)]
    except re.error as error:
        raise ValueError(f"select={select!r} is no regular expression: {error}.") from None
    moved = [entry for entry in found if entry.kind not in ignore and entry.size]
    if not moved:
        some = ", ".join(e.name for e in list(layout)[:3])
        raise ValueError(
            f"select={select!r} with ignore={list(ignore)} leaves no tensor to move; the model's "
            f"are {some}, …"
        )
    return moved


def _random(
    centre: np.ndarray | Objective,
    layout: Layout | None,
    count: int,
    *,
    seed: int,
    normalization: Normalization,
    ignore: Sequence[Kind],
    select: str | None,
) -> dict[str, Any]:
    check_normalization(normalization)
    origin, layout = _placed(centre, layout)
    if origin.shape != (layout.size,):
        raise ValueError(f"The origin has shape {origin.shape}; the layout asks ({layout.size},).")
    moved = {entry.name for entry in _moved(layout, ignore, select)}
    generator = np.random.default_rng(seed)
    directions = []
    for _ in range(count):
        direction = np.zeros(layout.size)
        for entry in layout:
            drawn = generator.standard_normal(entry.size)
            if entry.name in moved:
                direction[entry.slice] = drawn
        normalize(direction, origin, layout, normalization)
        directions.append(direction)
    _check_moved(directions[0], [e for e in layout if e.name in moved])
    labels = ["direction 1", "direction 2"][:count]
    made = _made(seed, normalization, ignore, select)
    settings = {**made.settings(), **recorded_with(centre)}
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


def _check_moved(direction: np.ndarray, moved: Sequence[Entry]) -> None:
    """Say which tensors a direction leaves where they are though it should move them."""
    weights = [e for e in moved if e.kind == "weight"]
    still = [entry.name for entry in weights if not direction[entry.slice].any()]
    _tell_still(still, len(weights))


def _tell_still(still: Sequence[str], weights: int) -> None:
    """Say which of so many weights are zero and stay so."""
    if not still:
        return
    names = f"{', '.join(still[:4])}{', …' if len(still) > 4 else ''}"
    remedy = (
        "Train first, use normalization='none', or take a plane through trained states "
        "(pca_plane, plane_through)."
    )
    if len(still) == weights:
        raise ValueError(
            f"All weights are zero ({names}), and normalized directions leave zero weights where "
            f"they are. {remedy}"
        )
    warnings.warn(
        f"{len(still)} of {weights} weights are zero and the normalized directions do not move "
        f"them ({names}): the surface shows the others only, and is flat where these multiply "
        f"them, as in a fresh low-rank adapter. {remedy}",
        stacklevel=5,
    )
