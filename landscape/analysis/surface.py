"""The loss on a plane: a surface."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float64, Int64

from landscape.analysis.extent import Extent, box_of
from landscape.analysis.fast.surface import measure_sparingly
from landscape.directions import Plane
from landscape.progress import Interrupted, Progress
from landscape.provenance import fingerprint, provenance
from landscape.settings import canonical, devices, difference, joined
from landscape.store import Result

if TYPE_CHECKING:
    from landscape.analysis.projection import Projection
    from landscape.evaluation.engine import Engine
    from landscape.objective import Evaluation, Objective
    from landscape.restriction import Restriction


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
            `landscape.analysis.fast.surface`. None without a tolerance.
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
    accuracy: dict | None = None
    settings: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)

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
        settings = {k: v for k, v in self.settings.items() if k != "device"}
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
        return replace(
            self,
            values=np.where(new, other.values, self.values),
            standard_error=np.where(new, other.standard_error, self.standard_error),
            computed=self.computed | (new & other.computed),
            settings={**self.settings, **devices(self.settings, other.settings)},
            **held,
        )


def loss_surface(
    objective: Objective,
    plane: Plane,
    *,
    extent: Extent = 1.0,
    resolution: int | tuple[int, int] = 51,
    paths: Sequence[Projection] = (),
    margin: float = 0.15,
    resume: Surface | None = None,
    units: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
    shard: tuple[int, int] = (0, 1),
    buffers: np.ndarray | None = None,
    tolerance: float | None = None,
    budget: float | None = None,
    seed: int = 0,
) -> Surface:
    """Measure every metric on a regular grid of a plane.

    Args:
        objective: What to measure.
        plane: Where.
        extent: ``r`` for [-r, r]², (α_min, α_max, β_min, β_max), or ``trajectory`` for the box
            around `paths` (by default around the runs the plane was made from), widened by
            `margin`.
        resolution: Points along both axes, or (along α, along β).
        paths: Projected runs that ``extent="trajectory"`` should hold.
        margin: Share of the box added on every side for ``trajectory``.
        resume: An unfinished surface: if it is of the same plane, grid, data and settings, and up
            to three of its points have the same values today, only its missing points are
            measured; otherwise all of them.
        units: A folder that keeps what has been measured, unit by unit; after a crash the same
            call goes on where it stopped. Several machines may share it.
        engine: Whose workers measure, such as ``Processes(("cuda:0", "cuda:1"))`` or
            ``RayActors(4)``; None measures in this process.
        shard: (i, n): measure only the i-th of n parts (from 0), for job arrays; the surface then
            lacks the other parts. With a shared `units` folder any later call puts them together,
            without one `merge_surfaces` does. With a tolerance, `resume` from the merged shards
            measures what their points leave open.
        buffers: Recorded buffers to measure with, such as ``trajectory.buffers(index)``: the
            batch-norm statistics of that state; default: the model's own.
        tolerance: Accept an error of this share of the surface's range (5 to 95 % of its values;
            above it, of the height above the median), for example 0.01, and save what it allows:
            points are interpolated and samples left out. Compared with all samples at random
            points at the end; see `landscape.analysis.fast.surface`.
        budget: Instead of a tolerance: the smallest error that this many passes over the data
            give.
        seed: Seed of the order of samples and of the random points, with either of the two.

    Returns:
        The surface.

    Raises:
        ValueError: If the extent is empty, the resolution below two, or the plane belongs to
            another model, or the folder of units to another measurement; or if a tolerance is
            not between 0 and 1, or a budget is combined with shards.
        RuntimeError: If workers failed three times at the same points.
        Interrupted: On Ctrl-C; its `partial` is the unfinished surface, for `resume`.

    Source: Li et al. 2018, arXiv:1712.09913, section 4.
    """
    across, up = (resolution, resolution) if isinstance(resolution, int) else resolution
    if min(across, up) < 2:
        raise ValueError(f"resolution must be at least 2 along both axes; got {across}x{up}.")
    plane.check_filters(objective.layout)
    box = box_of(plane, extent, paths, margin)
    alpha, beta = np.linspace(box[0], box[1], across), np.linspace(box[2], box[3], up)
    grid = np.stack(np.meshgrid(alpha, beta), axis=-1).reshape(-1, 2)
    restriction = objective.restrict(plane.origin, plane.directions, buffers=buffers)
    recorded = {} if buffers is None else {"buffers": f"recorded, {fingerprint(buffers)}"}
    blank = Surface(
        alpha=alpha,
        beta=beta,
        metrics=objective.names,
        values=np.full((len(objective.names), up, across), np.nan),
        standard_error=np.full((len(objective.names), up, across), np.nan),
        computed=np.zeros((up, across), bool),
        gram=plane.gram,
        labels=plane.labels,
        explained=plane.explained,
        explained_null=plane.explained_null,
        settings=joined(plane.settings, objective.settings, recorded),
        provenance=provenance(plane_hash=fingerprint(plane.origin, plane.directions)),
    )
    index, count = shard
    if not 0 <= index < count:
        raise ValueError(f"shard is (i, n) with 0 ≤ i < n; got {shard}.")
    if tolerance is not None or budget is not None:
        return measure_sparingly(
            objective, plane, blank, grid, tolerance=tolerance, budget=budget, seed=seed,
            shard=shard, resume=resume, units=units, engine=engine, buffers=buffers,
        )  # fmt: skip
    known = blank
    if (
        resume is not None
        and resume.measured is None
        and not resume.differences(blank)
        and _still_holds(resume, restriction, grid)
    ):
        known = resume
    missing = np.flatnonzero(~known.computed)
    with Progress("surface", len(missing)) as progress:
        try:
            if units is None and engine is None and count == 1:
                found = restriction(grid[missing], progress=progress)
            else:
                found = restriction.in_units(
                    grid[missing],
                    what=blank.measurement,
                    folder=units,
                    engine=engine,
                    shard=shard,
                    progress=progress,
                )
        except Interrupted as stop:
            raise Interrupted(_filled(known, missing, stop.partial)) from None
    whole = _filled(known, missing, found)
    told: dict[str, Any] = {"evaluation": objective.evaluation, "cost": progress.cost}
    if found.observed_error is not None:  # of the lower precision, at a few points
        error = (float(e) for e in found.observed_error)
        told["observed_error"] = dict(zip(objective.names, error, strict=True))
    where = devices(known.settings, blank.settings)
    _warn_if_flat(whole)
    return replace(
        whole,
        settings={**blank.settings, **where},
        provenance={**blank.provenance, **told},
    )


def _warn_if_flat(surface: Surface) -> None:
    """Say that a surface is exactly flat: what its directions move has no effect on the loss."""
    values = surface.loss[surface.computed]
    if len(values) > 3 and np.isfinite(values).all() and np.ptp(values) == 0:
        warnings.warn(
            f"The surface is exactly flat: all {len(values)} points have the same "
            f"{surface.metrics[0]}, {values[0]:.6g}. Nothing the loss depends on moves along these "
            "directions; choose others, or a larger extent.",
            stacklevel=3,
        )


def _still_holds(surface: Surface, restriction: Restriction, grid: np.ndarray) -> bool:
    """Whether some of a surface's points have the same values when they are measured again."""
    done = np.flatnonzero(surface.computed)
    if not len(done):
        return False
    again = np.unique(done[[0, len(done) // 2, -1]])
    before = surface.values.reshape(len(surface.metrics), -1)[:, again]
    # Ways of evaluating agree to 1e-4; another loss, model or data does not.
    try:
        now = restriction(grid[again]).mean
    except Interrupted:
        raise Interrupted(surface) from None
    return np.allclose(now, before, rtol=1e-3, equal_nan=True)


def merge_surfaces(parts: Sequence[Surface]) -> Surface:
    """Put together surfaces that hold different points of one measurement.

    Args:
        parts: Surfaces of the same plane, grid, data and settings, for example all shards.

    Returns:
        One surface; where several parts hold a point, the first one's value.

    Raises:
        ValueError: If there is none, or they are of different measurements.
    """
    if not parts:
        raise ValueError("There is no surface to merge.")
    merged = parts[0]
    for number, part in enumerate(parts[1:], start=2):
        if problem := merged.differences(part):
            raise ValueError(f"Surface {number} is another measurement than the first: {problem}.")
        merged = merged.merged(part)
    return merged


def _filled(surface: Surface, points: np.ndarray, found: Evaluation) -> Surface:
    values, errors = surface.values.copy(), surface.standard_error.copy()
    computed = surface.computed.copy()
    rows, columns = np.unravel_index(points, computed.shape)
    values[:, rows, columns] = found.mean
    errors[:, rows, columns] = found.standard_error
    computed[rows, columns] = found.computed
    return replace(surface, values=values, standard_error=errors, computed=computed)
