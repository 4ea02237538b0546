"""The loss on a plane: a surface."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float64, Int64

from landscape.base.result import Result
from landscape.base.settings import canonical, devices, difference
from landscape.base.statistics import without


@dataclass(frozen=True, kw_only=True, eq=False)
class Surface(Result):
    """Metrics on a grid of points of a plane, L(α_i, β_j) = loss(origin + α_i d_1 + β_j d_2).

    What it is not: the loss around a path that leaves the plane. A path's projection lies on the
    surface, its states in general do not.

    Attributes:
        alpha: Coordinates along the first direction (x), shape (alpha,), increasing.
        beta: Coordinates along the second direction (y), shape (beta,), increasing.
        metrics: Names of the metrics; the first is the loss.
        values: ``values[m, j, i]`` is metric m at (alpha[i], beta[j]); NaN and ±inf are kept.
        standard_error: Standard errors of `values` over the choice of samples; 0 when the whole
            data set was used, NaN when unknown.
        computed: False where a point was neither measured nor, for a surface with a tolerance,
            estimated from others.
        gram: Inner products of the two directions.
        labels: What the axes are.
        explained: Share of variation along each axis, for planes from PCA.
        explained_null: The same shares for a random walk.
        settings: Plane, normalization, batch-norm policy, data, precision.
        provenance: Software, command, time, hash of the plane.
        measured: Which points were measured; None: all that are computed. The others come from
            interpolation.
        samples: Samples each point was measured on, 0 where it was not; None: all.
        error: Estimated error of `values` from interpolation and from the choice of samples, of
            about 95 %, in the metrics' units; None without a tolerance.
        trusted: False where the error is not known, or far beyond the tolerance; None: all.
        moments: Of an unfinished surface with a tolerance, to go on with it: what is known of the
            samples' means and deviations.
        accuracy: How the error was kept and what was observed; see
            `landscape.analysis.sparing.surface`. None without a tolerance.
        rounding: The share of the displacement from the centre that the parameters' own types
            rounded away, ‖rounded - θ‖ / ‖θ - θ(0)‖; None where nothing was, or nobody counted.

    >>> import landscape as ls
    >>> task = ls.load_task("digits/mlp")
    >>> objective = ls.Objective(task.model, task.loss, task.train, samples=32)
    >>> surface = ls.loss_surface(objective, resolution=5)
    >>> surface.loss.shape, surface.alpha.tolist()
    ((5, 5), [-1.0, -0.5, 0.0, 0.5, 1.0])
    """

    schema: ClassVar[str] = "landscape/surface"

    alpha: Float64[np.ndarray, " alpha"]
    beta: Float64[np.ndarray, " beta"]
    metrics: Annotated[tuple[str, ...], "metric"]
    values: Float64[np.ndarray, "metric beta alpha"]
    standard_error: Float64[np.ndarray, "metric beta alpha"]
    computed: Bool[np.ndarray, "beta alpha"]
    gram: Float64[np.ndarray, "direction direction_2"]
    labels: Annotated[tuple[str, ...], "direction"]
    explained: Float64[np.ndarray, " direction"] | None = None
    explained_null: Float64[np.ndarray, " direction"] | None = None
    measured: Bool[np.ndarray, "beta alpha"] | None = None
    samples: Int64[np.ndarray, "beta alpha"] | None = None
    error: Float64[np.ndarray, "metric beta alpha"] | None = None
    trusted: Bool[np.ndarray, "beta alpha"] | None = None
    moments: Float64[np.ndarray, "moment row beta alpha"] | None = None
    accuracy: dict[str, Any] | None = None
    rounding: Float64[np.ndarray, "beta alpha"] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def loss(self) -> np.ndarray:
        """The first metric, shape (beta, alpha)."""
        return self.values[0]

    def differences(self, other: Surface) -> str:
        """What keeps both from being measurements of the same points; empty when nothing does."""
        if self.provenance.get("plane_hash") != other.provenance.get("plane_hash"):
            return "the planes differ"
        for axis in ("alpha", "beta"):
            mine, theirs = getattr(self, axis), getattr(other, axis)
            if not np.array_equal(mine, theirs):
                ends = [f"{a.size} points from {a[0]:g} to {a[-1]:g}" for a in (mine, theirs)]
                return f"{axis} differs ({ends[0]}; {ends[1]})"
        if self.metrics != other.metrics:
            return f"the metrics differ ({', '.join(self.metrics)}; {', '.join(other.metrics)})"
        return difference(self.settings, other.settings)

    @property
    def measurement(self) -> str:
        """A text for all parts of this measurement, wherever they are measured."""
        settings = {k: v for k, v in without(self.settings).items() if k != "device"}
        return canonical([settings, self.metrics, self.provenance["plane_hash"]])

    def merged(self, other: Surface) -> Surface:
        """Both together; where both hold a point, this one's value.

        Of unfinished surfaces with a tolerance it is the value on more samples; a finished one
        is the whole. The setting ``device`` names all devices that took part.
        """
        new = other.computed & ~self.computed
        held: dict[str, np.ndarray] = {}
        if self.accuracy is None and other.accuracy is not None:
            return other
        if self.moments is not None and other.moments is not None:
            new = np.asarray(other.samples) > np.asarray(self.samples)
            for name in ("measured", "samples", "moments"):
                held[name] = np.where(new, getattr(other, name), getattr(self, name))
        if self.rounding is not None and other.rounding is not None:
            held["rounding"] = np.where(new, other.rounding, self.rounding)
        return replace(
            self,
            values=np.where(new, other.values, self.values),
            standard_error=np.where(new, other.standard_error, self.standard_error),
            computed=self.computed | (new & other.computed),
            settings={**self.settings, **devices(self.settings, other.settings)},
            **held,
        )
