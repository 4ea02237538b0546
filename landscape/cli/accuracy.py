"""What `landscape surface` says about tolerances: when one would pay, and what error one left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import typer

from landscape.analysis.sparing.grids import nested_levels
from landscape.analysis.sparing.observed_error import POINTS

if TYPE_CHECKING:
    from landscape.objective.objective import Objective
    from landscape.results.affine import Plane
    from landscape.results.surface import Surface

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


def said_of_accuracy(surface: Surface) -> list[str]:
    """One sentence on the work and one on the error of a surface with a tolerance."""
    said = surface.accuracy
    if said is None or surface.measured is None:
        return []
    check = said["check"]
    found = [
        f"{int(surface.measured.sum()):,} of {surface.measured.size:,} points measured, "
        f"{said['passes']:,.1f} passes over the data instead of {said['full']:,}"
    ]
    if said["scouts"]:
        found[0] += f"; {said['scouts']} samples at every point to find where to measure"
    if said["stated"][0] is None:
        found.append("the error is not known: give a larger budget")
    else:
        sentence = f"95 % of the points are within {100 * said['stated'][0]:.2g} % of the range"
        if check["points"] and check["largest"][0] is not None:
            sentence += (
                f"; at {check['points']} random points on all samples the error is "
                f"{100 * check['median'][0]:.2g} % (median) and {100 * check['largest'][0]:.2g} % "
                f"(largest); with 95 % confidence at most {100 * check['beyond']:.2g} % of the "
                "points are off by more"
            )
        found.append(sentence)
    if said["tolerance"] is not None and not said["reached"]:
        found.append(f"the tolerance of {100 * said['tolerance']:.2g} % was not reached")
    if surface.trusted is not None and not surface.trusted.all():
        found.append(f"{int((~surface.trusted).sum()):,} points are not to be trusted (hatched)")
    return found


def _told(seconds: float) -> str:
    if seconds < 100:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 6000 else f"about {seconds / 3600:.1f} h"
