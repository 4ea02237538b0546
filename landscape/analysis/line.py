"""The loss along straight lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from jaxtyping import Float64

from landscape.directions import Line
from landscape.progress import Interrupted, Progress
from landscape.provenance import provenance
from landscape.store import Result

if TYPE_CHECKING:
    from landscape.objective import Objective


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile(Result):
    """Metrics along one or several lines, L_k(α) = loss(origin_k + α d_k).

    What it is not: the loss the optimizer saw; no run walks a straight line.

    Attributes:
        alpha: Coordinate along the lines, shape (alpha,), increasing.
        metrics: Names of the metrics; the first is the loss.
        values: ``values[k, m, i]`` is metric m of line k at alpha[i]; NaN and ±inf are kept.
        standard_error: Standard errors of `values`; 0 when the whole data set was used.
        names: One name per line, for legends.
        label: What alpha is, for the axis.
        settings: How the lines were chosen, batch-norm policy, data, precision.
        provenance: Software, command, time.
    """

    schema: ClassVar[str] = "landscape/profile"

    alpha: Float64[np.ndarray, " alpha"]
    metrics: Annotated[tuple[str, ...], "metric"]
    values: Float64[np.ndarray, "line metric alpha"]
    standard_error: Float64[np.ndarray, "line metric alpha"]
    names: Annotated[tuple[str, ...], "line"]
    label: str
    settings: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)

    @property
    def loss(self) -> np.ndarray:
        """The first metric, shape (line, alpha)."""
        return self.values[:, 0]


def loss_line(
    objective: Objective,
    lines: Line | Sequence[Line],
    *,
    names: Sequence[str] | None = None,
    extent: tuple[float, float] = (-0.5, 1.5),
    resolution: int = 101,
) -> Profile:
    """Measure every metric along one or several lines, at common coordinates.

    Args:
        objective: What to measure.
        lines: Where, for example `line_between(trajectory.initial, trajectory.final)`.
        names: One per line; default: numbers.
        extent: First and last coordinate.
        resolution: Number of points.

    Returns:
        One profile per line.

    Raises:
        ValueError: If there is no line, the extent is empty or the resolution below two.
        Interrupted: On Ctrl-C; nothing is kept.

    Source: Goodfellow et al. 2015, arXiv:1412.6544.
    """
    lines = [lines] if isinstance(lines, Line) else list(lines)
    names = [str(i + 1) for i in range(len(lines))] if names is None else list(names)
    if not lines or len(names) != len(lines):
        raise ValueError(f"Got {len(lines)} lines and {len(names)} names; give one name per line.")
    if not extent[0] < extent[1] or resolution < 2:
        raise ValueError(f"extent {extent} with {resolution} points is empty; give at least two.")
    alpha = np.linspace(*extent, resolution)
    with Progress("line", len(lines) * resolution) as progress:
        try:
            found = [
                objective.restrict(line.origin, line.directions)(alpha[:, None], progress=progress)
                for line in lines
            ]
        except Interrupted:
            raise Interrupted from None
    return Profile(
        alpha=alpha,
        metrics=found[0].metrics,
        values=np.stack([f.mean for f in found]),
        standard_error=np.stack([f.standard_error for f in found]),
        names=tuple(names),
        label=lines[0].labels[0],
        settings={**lines[0].settings, **objective.settings},
        provenance=provenance(),
    )
