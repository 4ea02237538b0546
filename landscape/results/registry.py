"""Results by their schema, and all results of a file."""

from __future__ import annotations

import os
from typing import Any

import h5py

from landscape.base.files import SchemaError, groups, opened
from landscape.base.result import Result, read_group
from landscape.results.adaptive_rate import AdaptiveRate
from landscape.results.affine import Line, Plane
from landscape.results.alignment import Alignment
from landscape.results.barriers import Barriers
from landscape.results.checkpoints import CheckpointLine, CheckpointPlane
from landscape.results.curvature_map import CurvatureMap
from landscape.results.curvature_path import CurvaturePath
from landscape.results.curve import Curve
from landscape.results.diagnosis import Diagnosis
from landscape.results.gradients import GradientHistogram
from landscape.results.hessian_trace import HessianTrace
from landscape.results.layers import LayerMetrics
from landscape.results.path import PathMetrics
from landscape.results.profile import Profile
from landscape.results.projection import Projection
from landscape.results.seeded import SeededLine, SeededPlane
from landscape.results.soup import Soup
from landscape.results.spectral_density import SpectralDensity
from landscape.results.spectrum import Spectrum
from landscape.results.surface import Surface
from landscape.results.walk import Walk
from landscape.results.walk_statistics import WalkStatistics

RESULTS: dict[str, type[Result]] = {
    cls.schema: cls
    for cls in (
        Line,
        Plane,
        CheckpointLine,
        CheckpointPlane,
        Surface,
        Profile,
        Walk,
        WalkStatistics,
        PathMetrics,
        LayerMetrics,
        GradientHistogram,
        Projection,
        AdaptiveRate,
        Spectrum,
        CurvatureMap,
        CurvaturePath,
        HessianTrace,
        SpectralDensity,
        Barriers,
        Curve,
        Soup,
        Alignment,
        Diagnosis,
        SeededLine,
        SeededPlane,
    )
}


def load_results(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Every result in a file, by the name of its group.

    Raises:
        SchemaError: If the file is not HDF5, holds no result, or one of a newer version.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> surface = ls.loss_surface(objective, resolution=5)
    >>> surface.save("mine.results.h5", "surface/random")
    >>> list(ls.load_results("mine.results.h5"))
    ['surface/random']
    """
    with opened(path) as file:
        if "schema" in file.attrs:
            raise SchemaError(
                f"{path} is a recorded run; measure it first (landscape surface ...)."
            )
        found: dict[str, Any] = {}
        for name, schema in groups(file).items():
            if schema in RESULTS:
                group = file[name]
                assert isinstance(group, h5py.Group)
                found[name] = read_group(group, RESULTS)
            else:
                raise SchemaError(
                    f"{path}:{name} has schema {schema!r}, unknown here; upgrade landscape."
                )
        if not found:
            raise SchemaError(f"{path} holds no results of this package.")
        return found
