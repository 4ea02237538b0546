"""What `landscape surface` says before it measures: when a tolerance would pay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import typer

from landscape.analysis.sparing.grids import nested_levels
from landscape.analysis.sparing.observed_error import POINTS

if TYPE_CHECKING:
    from landscape.objective.objective import Objective
    from landscape.results.affine import Plane

_LONG = 60.0  # seconds


def propose_tolerance(objective: Objective, plane: Plane, size: tuple[int, int]) -> None:
    """Say how long the full surface takes, and what a tolerance would save, if that is long."""
    across, up = size
    if min(size) < 2:
        return  # it will be refused
    corners = np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
    choice = objective.restrict(plane.origin, plane.directions).prepare(
        np.resize(corners, (across * up, 2))
    )
    seconds = choice.seconds * across * up
    points = sum(int(level.new.sum()) for level in nested_levels((up, across))[:2]) + POINTS
    if seconds > _LONG and points < across * up / 2:
        typer.echo(
            f"All {across * up:,} points take {_told(seconds)}. With --tolerance 1% a smooth "
            f"surface takes {_told(seconds * points / (across * up))} or less, a rough one more, "
            "and the error is stated."
        )


def _told(seconds: float) -> str:
    if seconds < 100:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 6000 else f"about {seconds / 3600:.1f} h"
