"""The loss along a curve between two networks, beside the straight line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from landscape.base.progress import Interrupted, Progress
from landscape.base.provenance import fingerprint, provenance
from landscape.base.settings import joined
from landscape.base.statistics import without
from landscape.results.affine import Plane
from landscape.results.curve import Curve
from landscape.results.profile import Profile
from landscape.results.projection import Projection

if TYPE_CHECKING:
    from landscape.objective.objective import Objective

By = Literal["parameter", "length"]


def curve_profile(
    objective: Objective, curve: Curve, *, resolution: int = 61, by: By = "parameter"
) -> Profile:
    """Measure every metric along a curve and along the straight line between its ends.

    Args:
        objective: What to measure. With batch norm its policy must be ``recalibrated`` or
            ``batch``: points of a curve have no statistics of their own.
        curve: From `find_curve`.
        resolution: Places, both ends included; 61 in the paper.
        by: Whether places are equally far apart in the ``parameter`` t, over which the curve was
            trained, or in ``length`` along the curve.

    Returns:
        A profile of two lines, ``curve`` and ``straight line``, so that `Profile.barrier` compares
        them. Its mean over alpha is the average over t, or that over the length.

    Raises:
        ValueError: If statistics of batch norms would be wrong, or an option is none.

    Source: Garipov et al. 2018, arXiv:1802.10026, table 2 (min, max, and mean over the curve).

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> import numpy as np
    >>> a, b = np.full(10, -1.0, "float32"), np.full(10, 1.0, "float32")
    >>> curve = ls.find_curve(objective, a, b, steps=5)
    >>> profile = ls.curve_profile(objective, curve, resolution=3)
    >>> profile.names, profile.values.shape
    (('curve', 'straight line'), (2, 1, 3))
    """
    if by not in ("parameter", "length"):
        raise ValueError(f"by must be one of 'parameter', 'length'; not {by!r}.")
    if resolution < 3:
        raise ValueError(f"resolution must be at least 3; got {resolution}.")
    if objective.problem.conditions.batch_norm == "frozen":
        raise ValueError(
            "batch_norm='frozen' has no running statistics for the points of a curve; make the "
            "Objective with batch_norm='recalibrated', or 'batch'."
        )
    alpha = np.linspace(0, 1, resolution)
    t = alpha if by == "parameter" else curve.at_length(alpha)
    t[[0, -1]] = 0, 1
    along = curve.coordinates(t)
    line = np.zeros((resolution - 2, along.shape[1]))
    line[:, -1] = alpha[1:-1]  # the ends are the curve's
    at = objective.restrict(curve.points[0], curve.directions)
    with Progress("curve", len(along) + len(line)) as progress:
        try:
            found = at(np.concatenate([along, line]), progress=progress)
        except Interrupted:
            raise Interrupted from None
    places = np.arange(resolution)
    on_line = np.r_[0, resolution + places[:-2], resolution - 1]
    order = np.stack([places, on_line])
    label = "t" if by == "parameter" else "share of the curve's length"
    return Profile(
        alpha=alpha,
        metrics=objective.names,
        values=found.mean[:, order].swapaxes(0, 1),
        standard_error=found.standard_error[:, order].swapaxes(0, 1),
        names=("curve", "straight line"),
        label=label,
        settings=joined(objective.settings, {"kind": f"{curve.kind} curve", "by": by}),
        provenance=provenance(
            evaluation=objective.evaluation, cost=progress.cost, length=float(curve.length()),
            chord=float(np.linalg.norm(curve.directions[-1])),
        ),
    )  # fmt: skip


def project_curve(
    curve: Curve, plane: Plane, *, objective: Objective | None = None, resolution: int = 61
) -> Projection:
    """A curve seen on a plane; on that through its three points a quadratic one lies in it.

    Args:
        curve: What to project.
        plane: Where, for example ``plane_through(a, b, bend, axes="orthonormal")``.
        objective: When given, the loss is measured on the curve and at its projection.
        resolution: Places, equally spaced in t.

    Returns:
        A path for `plot_surface`; its steps count the places.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> import numpy as np
    >>> a, b = np.full(10, -1.0, "float32"), np.full(10, 1.0, "float32")
    >>> curve = ls.find_curve(objective, a, b, steps=5)
    >>> plane = ls.plane_through(a, b, curve.bends[0] + np.arange(10, dtype="float32"))
    >>> ls.project_curve(curve, plane, resolution=5).coordinates.shape
    (5, 2)
    """
    t = np.linspace(0, 1, resolution)
    located = [plane.coordinates(curve.at(float(place))) for place in t]
    coordinates = np.stack([c for c, _ in located])
    residual = np.array([r for _, r in located])
    loss = in_plane = None
    if objective is not None:
        at = objective.restrict(curve.points[0], curve.directions)
        loss = at(curve.coordinates(t)).mean[0]
        in_plane = objective.restrict(plane.origin, plane.directions)(coordinates).mean[0]
    inside = np.einsum("ti,ij,tj->", coordinates, plane.gram, coordinates)
    return Projection(
        name=f"{curve.kind} curve",
        optimizer="",
        step=np.arange(resolution),
        coordinates=coordinates,
        residual=residual,
        loss=loss,
        in_plane_loss=in_plane,
        shown=float(inside / max(inside + (residual**2).sum(), 1e-300)),
        settings=joined(without(plane.settings), {} if objective is None else objective.settings),
        provenance=provenance(plane_hash=fingerprint(plane.origin, plane.directions)),
    )
