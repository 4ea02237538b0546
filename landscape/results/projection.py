"""A run's states seen on a plane."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from landscape.base.result import Result


@dataclass(frozen=True, kw_only=True, eq=False)
class Projection(Result):
    """The least-squares projection of a run on a plane: a path.

    What it is not: the run. `residual` is what the plane does not show, and `loss` differs from
    `in_plane_loss` by exactly what the surface's height gets wrong about the run.

    Attributes:
        name: The run.
        optimizer: Its optimizer, for colours; may be empty.
        step: Optimizer step of every shown state, shape (state,).
        coordinates: Coordinates on the plane, shape (state, direction).
        residual: Euclidean distance of the state from the plane.
        loss: The measured loss at the state itself; None when no objective was given.
        in_plane_loss: The measured loss at its projection; None when no objective was given.
        shown: Share of this run's squared distance from the origin that lies in the plane.
        settings: Plane, data.
        provenance: Software, command, time, hash of the plane.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> task = ls.load_task("function/quadratic")
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> plane = ls.pca_plane(run)
    >>> path = ls.project(run, plane, objective=objective)
    >>> path.coordinates.shape, bool(path.residual.max() < 0.3)
    ((9, 2), True)
    """

    schema: ClassVar[str] = "landscape/projection"

    name: str
    optimizer: str
    step: Int64[np.ndarray, " state"]
    coordinates: Float64[np.ndarray, "state direction"]
    residual: Float64[np.ndarray, " state"]
    loss: Float64[np.ndarray, " state"] | None = None
    in_plane_loss: Float64[np.ndarray, " state"] | None = None
    shown: float
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
