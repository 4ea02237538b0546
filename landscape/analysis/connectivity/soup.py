"""Averages of networks: soups, and merging coefficients as a plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from landscape.analysis.fixed import warn_of_statistics
from landscape.analysis.planes.through import plane_through
from landscape.base.provenance import provenance
from landscape.base.vector import Vector, flat_vector, layout_of
from landscape.results.affine import Plane, affine
from landscape.results.construction import Construction
from landscape.results.soup import Soup

if TYPE_CHECKING:
    from landscape.objective.objective import Objective


def average(vectors: Sequence[np.ndarray], weights: Sequence[float] | None = None) -> np.ndarray:
    """The weighted average of networks, tensor by tensor; of fine-tuned ones a uniform soup.

    Args:
        vectors: Flat parameter vectors of one model, each of shape (P,).
        weights: One each; default: equal. They are divided by their sum.

    Returns:
        Shape (P,), summed in double precision, in the precision of the vectors.

    Raises:
        ValueError: If there is no vector, weights do not fit, or their sum is not positive.

    Source: Wortsman et al. 2022, arXiv:2203.05482; Izmailov et al. 2018, arXiv:1803.05407.

    >>> average([np.array([0.0, 1.0]), np.array([4.0, 1.0])], [3, 1]).tolist()
    [1.0, 1.0]
    """
    vectors = [flat_vector(vector) for vector in vectors]
    given = np.ones(len(vectors)) if weights is None else np.asarray(weights, np.float64)
    if not len(vectors) or given.shape != (len(vectors),) or not 0 < given.sum() < np.inf:
        raise ValueError(
            f"Got {len(vectors)} vectors and the weights {given.tolist()}; give one weight each, "
            "with a positive sum."
        )
    if len(shapes := {np.shape(vector) for vector in vectors}) > 1:
        raise ValueError(
            f"Vectors of the shapes {', '.join(map(str, sorted(shapes)))} are of different models; "
            "average those of one."
        )
    total = given[0] * vectors[0].astype(np.float64)
    for weight, vector in zip(given[1:], vectors[1:], strict=True):
        total = total + weight * vector.astype(np.float64)
    wide = any(vector.dtype == np.float64 for vector in vectors)
    return (total / given.sum()).astype(np.float64 if wide else np.float32)


def greedy_soup(
    objective: Objective,
    vectors: Sequence[np.ndarray],
    *,
    names: Sequence[str] | None = None,
    metric: str | None = None,
) -> Soup:
    """Average networks one by one, best first, keeping each by which the average gets no worse.

    Args:
        objective: Measures on held-out data: the choice must not see what is reported in the end.
            With batch norm take ``batch_norm="recalibrated"``.
        vectors: Networks of shape (P,), fine-tuned from one start; others have barriers between
            them (`barriers`).
        names: One each; default: numbers.
        metric: Of which metric, smaller is better; default: ``error`` where there is one, else the
            loss.

    Returns:
        The soup; with n networks 2 n points are measured.

    Source: Wortsman et al. 2022, arXiv:2203.05482, recipe 1.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> import numpy as np
    >>> soup = ls.greedy_soup(objective, [np.full(10, v, "float32") for v in (-1.0, 1.2, 9.0)])
    >>> soup.order.tolist(), soup.kept.tolist(), round(soup.vector[0].item(), 3)
    ([0, 1, 2], [True, True, False], 0.1)
    """
    names = [str(k) for k in range(1, len(vectors) + 1)] if names is None else list(names)
    if not len(vectors) or len(names) != len(vectors):
        raise ValueError(f"Got {len(vectors)} networks and {len(names)} names; give one each.")
    metric = metric or ("error" if "error" in objective.names else objective.names[0])
    if metric not in objective.names:
        raise ValueError(f"metric must be one of {', '.join(objective.names)}; not {metric!r}.")
    warn_of_statistics(objective, "all networks and averages", vectors)
    row, points = objective.names.index(metric), [objective.matched(v) for v in vectors]

    def measured(vector: np.ndarray) -> float:
        return float(objective.at(vector).mean[row, 0])

    score = np.array([measured(point) for point in points])
    order = np.argsort(score, kind="stable")  # NaN last
    kept, tried = np.zeros(len(points), bool), np.full(len(points), np.nan)
    best = np.inf
    for k in order.tolist():
        chosen = [points[j] for j in order.tolist() if kept[j]] + [points[k]]
        tried[k] = score[k] if len(chosen) == 1 else measured(average(chosen))
        if tried[k] <= best:
            kept[k], best = True, tried[k]
    if not kept.any():
        raise ValueError(f"No network has a finite {metric} on this data.")
    return Soup(
        names=tuple(names),
        metric=metric,
        score=score,
        order=order,
        tried=tried,
        kept=kept,
        uniform=measured(average(points)),
        vector=Vector(average([points[k] for k in order if kept[k]]), objective.layout),
        settings=objective.settings,
        provenance=provenance(evaluation=objective.evaluation),
    )


def task_plane(
    base: np.ndarray, first: np.ndarray, second: np.ndarray, *, names: Sequence[str] = ("1", "2")
) -> Plane:
    """Merging coefficients as coordinates: θ(λ₁, λ₂) = base + λ₁ τ₁ + λ₂ τ₂.

    τ_k is the task vector of a network, its difference from `base`. A surface on this plane shows
    at once what scaling (λ, 0), adding (1, 1), averaging (½, ½) and forgetting (-λ, 0) do.

    Args:
        base: The pretrained network, at (0, 0).
        first: A network fine-tuned from it, at (1, 0).
        second: Another, at (0, 1).
        names: What the two tasks are called.

    Source: Ilharco et al. 2023, arXiv:2212.04089.

    >>> import numpy as np
    >>> import landscape as ls
    >>> base, first, second = np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 2.0, 0])
    >>> ls.task_plane(base, first, second).directions.tolist()
    [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """
    plane = plane_through(base, first, second, names=("base", *names))
    labels = [f"λ₁ of {names[0]}", f"λ₂ of {names[1]}"]
    settings = {**plane.settings, **Construction(kind="two task vectors").settings()}
    origin = Vector(plane.origin, layout_of(plane.origin))
    return Plane(**affine(origin, list(plane.directions), labels, settings))
