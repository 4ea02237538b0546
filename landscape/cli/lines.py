"""Which lines `landscape line` measures, and what is said of them and of a walk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from landscape.directions import Line, line_between, random_line
from landscape.trajectory import Trajectory

if TYPE_CHECKING:
    from landscape.analysis.line import Profile
    from landscape.analysis.walk import Walk

KINDS = ("initial-final", "between", "random", "update")
Ends = tuple[np.ndarray, np.ndarray]


def lines_of(
    kind: str, runs: Sequence[Trajectory], *, seed: int, seeds: int, step: int
) -> tuple[list[Line], list[str], list[Ends] | None]:
    """Lines of a kind, their names, and the buffers recorded at their ends where there are any.

    Raises:
        ValueError: If the kind is unknown, or does not suit the runs.
    """
    first = runs[0]
    if kind == "random":
        if seeds < 1:
            raise ValueError(f"--seeds must be at least 1; got {seeds}.")
        drawn = range(seed, seed + seeds)
        lines = [random_line(first.final, first.layout, seed=s) for s in drawn]
        return lines, [f"seed {s}" for s in drawn], None
    if kind == "initial-final":
        ends = [((run, 0), (run, -1)) for run in runs]
        names = [run.name for run in runs]
    elif kind == "between":
        if len(runs) < 2:
            raise ValueError("--kind between needs two runs or more.")
        ends = [((first, -1), (run, -1)) for run in runs[1:]]
        names = [f"{first.name} to {run.name}" for run in runs[1:]]
    elif kind == "update":
        at = first.nearest(step)
        if at + 1 >= len(first):
            raise ValueError(
                f"--step {step} has no update after it; {first.path} holds states up to step "
                f"{first.steps[-1]}."
            )
        ends = [((first, at), (first, at + 1))]
        names = [f"{first.name}, steps {first.steps[at]} to {first.steps[at + 1]}"]
    else:
        raise ValueError(f"--kind must be one of {', '.join(KINDS)}; not {kind!r}.")
    lines = [line_between(a.state(i), b.state(j)) for (a, i), (b, j) in ends]
    held = [(a.buffers(i), b.buffers(j)) for (a, i), (b, j) in ends]
    buffers = [(p, q) for p, q in held if p is not None and q is not None]
    return lines, names, buffers if len(buffers) == len(lines) else None


def said_of(profile: Profile) -> Iterator[str]:
    """One sentence per line: does the loss fall from 0 to 1, and over which barriers."""
    for name, monotone, rise in zip(
        profile.names, profile.monotone, profile.largest_increase, strict=True
    ):
        yield f"{name}: " + ("never rises" if monotone else f"rises by {rise:.3g} at most")
    try:
        means, chords = profile.barrier("frankle2020"), profile.barrier("entezari2022")
    except ValueError:  # 0 and 1 were not among the points
        return
    for name, mean, chord in zip(profile.names, means, chords, strict=True):
        yield (
            f"{name}: barrier {mean:.3g} above the mean of the ends (Frankle et al. 2020), "
            f"{chord:.3g} above the chord (Entezari et al. 2022)"
        )


def said_of_walk(walk: Walk) -> Iterator[str]:
    """One sentence per window and property of a walk."""
    from landscape.analysis.walk_statistics import walk_statistics

    found = walk_statistics(walk)
    for w, window in enumerate(found.windows):
        shares = [
            f"{name} {found.fraction[w, p]:.0%} ({found.low[w, p]:.0%}–{found.high[w, p]:.0%})"
            for p, name in enumerate(found.properties)
        ]
        error = np.nan if found.height_error is None else found.height_error[w]
        unsure = f" ± {error:.1g}" if error > 0 else ""
        yield (
            f"{window}, {found.segments[w]} segments: {', '.join(shares)}; "
            f"median height {found.height[w, 1]:.3g}{unsure} above the floor"
        )
