"""Which lines `landscape line` measures, and what is said of them and of a walk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.base.runs.trajectory import Trajectory
from landscape.cli.checks import check_there
from landscape.results.affine import Line
from landscape.results.conditions import Conditions
from landscape.results.words import samples_of

if TYPE_CHECKING:
    from landscape.cli.options.measuring import Measuring
    from landscape.objective.objective import Objective
    from landscape.results.profile import Profile
    from landscape.results.walk import Walk

Ends = tuple[np.ndarray, np.ndarray]
Place = tuple[Trajectory, int]  # a run and the number of a state
Pair = tuple[Place, Place]


def lines_of(
    kind: str,
    runs: Sequence[Trajectory],
    objective: Objective,
    *,
    seed: int,
    seeds: int,
    step: int,
    points: str | None,
) -> tuple[list[Line], list[str], list[Ends] | None]:
    """Lines of a kind, their names, and the buffers recorded at their ends where there are any.

    Raises:
        ValueError: If the kind does not suit the runs.
    """
    from landscape.analysis.planes.random import random_line
    from landscape.analysis.planes.through import line_between

    if kind == "random":
        if seeds < 1:
            raise ValueError(f"--seeds must be at least 1; got {seeds}.")
        drawn = range(seed, seed + seeds)
        lines = [random_line(objective, seed=s) for s in drawn]
        return lines, [f"seed {s}" for s in drawn], None
    if kind == "gradient":
        places = [(run, run.nearest(step)) for run in runs]
        ends = [(place, place) for place in places]
        lines, names = map(list, zip(*(_descent(*at, objective) for at in places), strict=True))
    else:
        ends, names = _ends(kind, runs, step, points)
        lines = [line_between(a.state(i), b.state(j)) for (a, i), (b, j) in ends]
    held = [(a.buffers(i), b.buffers(j)) for (a, i), (b, j) in ends]
    buffers = [(p, q) for p, q in held if p is not None and q is not None]
    return lines, names, buffers if len(buffers) == len(lines) else None


def check_line(
    runs: Sequence[Path] | None, to: Sequence[Path] | None, measuring: Measuring, kind: str
) -> None:
    """Refuse options that name no line, or two.

    Raises:
        ValueError: If runs and networks are given, or neither.
        FileNotFoundError: If a network is not there.
    """
    check_there(to or [])
    alone = measuring.model is not None and not runs
    if to and not alone:
        raise ValueError("--to goes with --model and without runs: the line between two networks.")
    if not runs and not alone:
        raise ValueError("Give recorded runs (.h5), or --model FOLDER with --text FILE.")
    if alone and not to and kind != "random":
        raise ValueError(
            f"Around one network there are lines of --kind random, not {kind}; or give --to the "
            "folder of another."
        )


def lines_to(start: Path, ends: Sequence[Path]) -> tuple[list[Any], list[str], None]:
    """The lines from one network to others, which stay in their files, and their names."""
    from landscape.analysis.planes.checkpoints import checkpoint_line

    here = start.absolute().name
    return (
        [checkpoint_line(start, end) for end in ends],
        [f"{here} to {end.absolute().name}" for end in ends],
        None,
    )


def _ends(
    kind: str, runs: Sequence[Trajectory], step: int, points: str | None
) -> tuple[list[Pair], list[str]]:
    if kind == "between":
        return _between(runs, points)
    if kind == "initial-final":
        return [((run, 0), (run, -1)) for run in runs], [run.name for run in runs]
    ends = [((run, run.nearest(step)), (run, run.nearest(step) + 1)) for run in runs]
    for _, (run, after) in ends:
        if after >= len(run):
            raise ValueError(
                f"--step {step} has no update after it; {run.path} holds states up to step "
                f"{run.steps[-1]}."
            )
    return ends, [f"{a.name}, steps {a.steps[i]} to {a.steps[j]}" for (a, i), (_, j) in ends]


def _descent(run: Trajectory, at: int, objective: Objective) -> tuple[Line, str]:
    """Down the gradient of the whole data; one unit is a step of the rate recorded there."""
    frozen = objective.batch_norm == "frozen"
    gradient = objective.gradient(run.state(at), buffers=run.buffers(at) if frozen else None)
    rates = run.scalars.get("lr", np.zeros(0))
    step = int(run.steps[at])
    known = step < len(rates) and np.isfinite(rates[step])  # row u is about update u + 1
    rate = float(rates[step]) if known else 1.0
    name = f"{run.name}, step {step}, -{rate:g} · gradient"
    from landscape.analysis.planes.through import line_along

    return line_along(run.state(at), -rate * gradient, label="gradient steps"), name


def _between(runs: Sequence[Trajectory], points: str | None) -> tuple[list[Pair], list[str]]:
    """From a point of the first run to one of every other, or to another of its own."""
    first, others = runs[0], runs[1:]
    if points is None:
        if not others:
            raise ValueError("--kind between needs two runs or more, or two --points of one run.")
        pairs = [((first, -1), (run, -1)) for run in others]
        return pairs, [f"{first.name} to {run.name}" for run in others]
    texts = points.split(",")
    if len(texts) != 2:
        raise ValueError(f"--points takes two steps, for example 0,100 or 50,last; not {points!r}.")
    start = _place(first, texts[0])
    pairs = [(start, _place(run, texts[1])) for run in others or [first]]
    names = [
        f"{a.name} step {a.steps[i]} to {b.name} step {b.steps[j]}" for (a, i), (b, j) in pairs
    ]
    return pairs, names


def _place(run: Trajectory, text: str) -> Place:
    text = text.strip()
    if text in ("first", "last"):
        return run, 0 if text == "first" else -1
    if not text.isdigit():
        raise ValueError(f"--points takes steps, first or last; not {text!r}.")
    return run, run.nearest(int(text))


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
    if (tolerance := walk.settings.get("tolerance")) is not None:
        known = walk.uncertainty[np.isfinite(walk.uncertainty)]
        conditions = Conditions.of(walk.settings)
        stream = " of a stream" if conditions.stream else ""
        yield (
            f"measured on {samples_of(conditions)}{stream}: "
            f"differences along a segment are within {100 * tolerance:.3g} % of its range (95 %), "
            f"or within rounding, on {int((known <= tolerance).sum())} of {len(known)} segments "
            "whose error is known"
        )
