"""Checks of a run that need its states, or the loss: its plane, and its sharpness at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from landscape.analysis.check import Check
from landscape.analysis.planes.pca import pca_plane
from landscape.base.runs.trajectory import Trajectory
from landscape.base.shown import percent

if TYPE_CHECKING:
    from landscape.objective.objective import Objective

_STATES = 200  # of a run, that its plane is made from
_EDGE = 1.2  # at the edge of stability sharpness stays just above its threshold


def plane_of(run: Trajectory) -> Check:
    """What two components of a random walk show, over what those of the run show."""
    share = null = np.nan
    try:
        plane = pca_plane(run, origin="mean", max_states=_STATES)
    except ValueError:  # it diverged, or walked on a line
        pass
    else:
        if plane.explained is not None and plane.explained_null is not None:
            share, null = float(plane.explained.sum()), float(plane.explained_null.sum())
    value = null / share if share > 0 else np.nan
    return Check(
        "a plane like a random walk's", value, 0.0, 1.0, value > 1,
        f"a plane of two components shows {percent(share)} of this run, and {percent(null)} of a "
        "random walk of as many steps: it shows no structure",
        "read nothing into the shape of the path on it; look at distances and angles",
        "Antognini & Sohl-Dickstein 2018, arXiv:1806.08805", f"landscape surface {run.path}",
    )  # fmt: skip


def sharpness_of(run: Trajectory, objective: Objective) -> Check:
    """The sharpness at the end over the threshold of the run's optimizer, which may be unknown."""
    from landscape.analysis.curvature.path import curvature_path  # which loads torch

    path = curvature_path(objective, run, every=max(1, int(run.steps[-1])))
    threshold = float(path.threshold[-1])
    value, error = path.sharpness[-1] / threshold, path.residual[-1, 0] / threshold
    return Check(
        "sharpness", float(value), float(error), _EDGE, bool(value > _EDGE),
        f"the sharpness at the end over the threshold of stability, {path.condition or 'unknown'}",
        "a lower learning rate, or a warm-up",
        "Cohen et al. 2021, arXiv:2103.00065: runs that train well stay just above 1",
        f"landscape curvature {run.path} --every {max(1, int(run.steps[-1]) // 10)}",
    )  # fmt: skip
