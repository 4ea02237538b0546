"""The loss along straight lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from landscape.analysis.segment import Ends, describe_buffers, measured
from landscape.base.progress import Interrupted, Progress
from landscape.base.provenance import provenance
from landscape.base.settings import joined, of_all
from landscape.results.affine import Line
from landscape.results.profile import Profile

if TYPE_CHECKING:
    from landscape.objective.objective import Objective


def loss_line(
    objective: Objective,
    lines: Line | Sequence[Line],
    *,
    names: Sequence[str] | None = None,
    extent: tuple[float, float] = (-0.5, 1.5),
    resolution: int = 101,
    buffers: Sequence[Ends] | None = None,
    tolerance: float | None = None,
    seed: int = 0,
) -> Profile:
    """Measure every metric along one or several lines, at common coordinates.

    Args:
        objective: What to measure.
        lines: Where, for example `line_between(trajectory.initial, trajectory.final)`.
        names: One per line; default: numbers.
        extent: First and last coordinate.
        resolution: Number of points.
        buffers: For each line the recorded buffers at 0 and at 1, such as
            ``(trajectory.buffers(0), trajectory.buffers(-1))``: batch-norm statistics are then
            interpolated with the weights (and held beyond the ends). None uses the model's.
        tolerance: Leave out samples as far as the loss's error of 95 % stays within this share of
            its range along the line (5 to 95 %).
        seed: Seed of the order of samples, with a tolerance.

    Returns:
        One profile per line. Lines of several seeds have a `Profile.band`.

    Raises:
        ValueError: If there is no line, the extent is empty or the resolution below two.
        Interrupted: On Ctrl-C; nothing is kept.

    Source: Goodfellow et al. 2015, arXiv:1412.6544.
    """
    lines = [lines] if isinstance(lines, Line) else list(lines)
    names = [str(i + 1) for i in range(len(lines))] if names is None else list(names)
    if not lines or len(names) != len(lines):
        raise ValueError(f"Got {len(lines)} lines and {len(names)} names; give one name per line.")
    if buffers is not None and len(buffers) != len(lines):
        raise ValueError(f"Got {len(lines)} lines and {len(buffers)} pairs of buffers.")
    if not extent[0] < extent[1] or resolution < 2:
        raise ValueError(f"extent {extent} with {resolution} points is empty; give at least two.")
    for line in lines:
        line.check_filters(objective.layout)
    alpha = np.linspace(*extent, resolution)
    with Progress("line", len(lines) * resolution) as progress:
        try:
            found = [
                measured(
                    objective,
                    line.origin,
                    line.directions,
                    alpha,
                    buffers=ends,
                    tolerance=tolerance,
                    seed=seed,
                    progress=progress,
                )
                for line, ends in zip(lines, buffers or [None] * len(lines), strict=True)
            ]
        except Interrupted:
            raise Interrupted from None
    return Profile(
        alpha=alpha,
        metrics=objective.names,
        values=np.stack([line.mean for line in found]),
        standard_error=np.stack([line.standard_error for line in found]),
        names=tuple(names),
        label=lines[0].labels[0],
        settings={
            **joined(of_all([line.settings for line in lines]), objective.settings),
            "buffers": describe_buffers(objective, recorded=buffers is not None),
            **({} if tolerance is None else {"tolerance": tolerance, "order_seed": seed}),
        },
        provenance=provenance(evaluation=objective.evaluation, cost=progress.cost),
    )
