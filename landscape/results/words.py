"""What results say of themselves in prose: once, for the command line, captions and the page."""

from __future__ import annotations

import math
import re

import numpy as np

from landscape.base.shown import percent
from landscape.results.barriers import Barriers
from landscape.results.conditions import Conditions
from landscape.results.construction import Construction
from landscape.results.projection import Projection
from landscape.results.surface import Surface

_GAINS = {"acc", "accuracy", "auc", "bleu", "f1", "precision", "r2", "recall", "top1", "top5"}


def is_gain(metric: str) -> bool:
    """Whether a metric is better where it is higher, by its name.

    >>> is_gain("val_accuracy"), is_gain("loss")
    (True, False)
    """
    return not _GAINS.isdisjoint(re.split(r"[^a-z0-9]+", metric.lower()))


def plane_in_short(made: Construction) -> str:
    """How a plane was made, for a caption.

    >>> plane_in_short(Construction(kind="PCA", states=9, origin="final"))
    'PCA of 9 states, origin: final'
    """
    kind = made.kind or ""
    if kind == "random":
        return f"random directions, normalization: {made.normalization or 'none'}"
    if "PCA" in kind and made.origin is not None:
        states = "" if made.states is None else f" of {made.states} states"
        return f"{kind}{states}, origin: {made.origin}"
    return kind


def plane_in_full(made: Construction) -> str:
    """How a plane was made, with everything that can be chosen, as a sentence.

    >>> plane_in_full(Construction(kind="random", normalization="filter", seed=3, ignored=["bias"]))
    'Random, normalization filter, seed 3, directions leave out bias parameters.'
    """
    kind = (made.kind or "").strip()
    parts = [kind[:1].upper() + kind[1:]] if kind else []
    parts += [f"of {len(made.runs)} runs"] if made.runs is not None else []
    parts += [f"({made.states} states)"] if made.states is not None else []
    chosen = {"origin": made.origin, "normalization": made.normalization, "seed": made.seed}
    told = [f"{name} {value}" for name, value in chosen.items() if value is not None]
    if made.ignored:
        told.append(f"directions leave out {' and '.join(map(str, made.ignored))} parameters")
    text = ", ".join([*([" ".join(parts)] if parts else []), *told])
    return f"{text}." if text else ""


def plane_of(surface: Surface) -> str:
    """The plane of a surface as an object of a sentence, with how much of the runs it holds."""
    made = Construction.of(surface.settings)
    kind = made.kind or "given"
    plane = f"a plane {kind}" if kind.startswith(("through", "along")) else f"a {kind} plane"
    if kind == "random":
        norms = made.normalization or "none"
        which = "" if norms == "none" else f"{norms}-normalized "
        plane = f"a random {which}plane around the network at (0, 0)"
    if surface.explained is not None:
        plane += f" that holds {percent(surface.explained.sum())} of the variation"
        if surface.explained_null is not None:
            plane += f" (of random walks: {percent(surface.explained_null.sum())})"
    return plane


def samples_of(conditions: Conditions) -> str:
    """On how many samples it was measured; empty where that is not known.

    >>> samples_of(Conditions(samples=500, population=1498))
    '500 of 1,498 samples'
    """
    samples, population = conditions.samples, conditions.population
    if samples is None:
        return ""
    whole = population in (None, samples)
    return f"{samples:,} samples" if whole else f"{samples:,} of {population:,} samples"


def policies_of(barriers: Barriers) -> list[str]:
    """What was done to the networks before the lines between them were measured."""
    alignment = str(barriers.settings.get("alignment", "none"))
    told = [f"aligned by {alignment}"] if alignment != "none" else []
    return [*told, "statistics repaired"] if barriers.settings.get("repair") else told


def astray(surface: Surface, path: Projection) -> str:
    """How much of a path cannot be seen on a surface; empty where all of it lies there."""
    known = np.isfinite(path.coordinates).all(axis=1) & ~np.isinf(path.residual)
    ends = np.stack([surface.alpha[[0, -1]], surface.beta[[0, -1]]], axis=1)
    room = 1e-9 * np.ptp(ends, axis=0)
    inside = (path.coordinates >= ends[0] - room) & (path.coordinates <= ends[1] + room)
    outside, lost = int((known & ~inside.all(axis=1)).sum()), int((~known).sum())
    told = [f"{outside} of {len(known)} states outside"] if outside else []
    told += [f"{lost} of {len(known)} states not finite"] if lost else []
    return ", ".join(told)


def accuracy_of(surface: Surface, metric: str | None = None) -> list[str]:
    """What a surface within a tolerance saved and what error that left; nothing of others.

    Args:
        surface: Which surface.
        metric: Of which metric the error is; default: the first, the loss.
    """
    said = surface.accuracy
    if said is None or surface.measured is None:
        return []
    check, m = said["check"], surface.metrics.index(metric or surface.metrics[0])
    found = [
        f"{int(surface.measured.sum()):,} of {surface.measured.size:,} points were measured, "
        f"{said['passes']:,.1f} passes over the data instead of {said['full']:,}"
    ]
    if said.get("scouts"):
        found[0] += f"; {said['scouts']} samples at every point to find where to measure"
    if said["stated"][m] is None:
        found.append("the error is not known: give a larger budget")
    else:
        sentence = f"95 % of the points are within {100 * said['stated'][m]:.2g} % of the range"
        if check["points"] and check["largest"][m] is not None:
            sentence += (
                f"; at {check['points']} random points on all samples the error is "
                f"{100 * check['median'][m]:.2g} % (median) and {100 * check['largest'][m]:.2g} % "
                "(largest)"
            )
            if check.get("beyond") is not None:
                sentence += (
                    f"; with 95 % confidence at most {100 * check['beyond']:.2g} % of the points "
                    "are off by more"
                )
        found.append(sentence)
    if said["tolerance"] is not None and not said.get("reached", True):
        found.append(f"the tolerance of {100 * said['tolerance']:.2g} % was not reached")
    if surface.trusted is not None and not surface.trusted.all():
        found.append(f"{int((~surface.trusted).sum()):,} points are not to be trusted (hatched)")
    return found


def stated_error(surface: Surface, metric: str) -> str:
    """The error in words, for a colour bar; empty where every point was measured in full.

    For example ``95 % within ±0.5 % of its range``, and on a second line ``checked: over 90 %
    within ±0.9 %``: what random points that were measured in full say, with 95 % confidence.
    """
    if surface.accuracy is None:
        return ""
    stated = surface.accuracy["stated"][surface.metrics.index(metric)]
    if stated is None:
        return "error unknown"
    if not stated:
        return "every point exact"
    text = f"95 % within ±{100 * stated:.2g} % of its range"
    check = surface.accuracy.get("check", {})
    if not check.get("beyond"):
        return text
    largest = check["largest"][surface.metrics.index(metric)]
    if largest is None:
        return text
    within = math.floor(100 * (1 - check["beyond"]))
    return f"{text}\nchecked: over {within} % within ±{100 * largest:.2g} %"
