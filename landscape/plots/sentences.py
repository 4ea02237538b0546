"""Captions: what a figure shows, in a sentence with its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from landscape.base.shown import percent
from landscape.base.statistics import said_of
from landscape.plots.caption import conditions
from landscape.plots.levels import ceiling_of, distinct, resolved, short
from landscape.plots.path import repeats_among
from landscape.plots.repeats import told
from landscape.plots.surface import metric_of
from landscape.results.barriers import Barriers
from landscape.results.construction import Construction
from landscape.results.path import PathMetrics
from landscape.results.profile import Profile
from landscape.results.projection import Projection
from landscape.results.surface import Surface
from landscape.results.walk import Walk
from landscape.results.words import accuracy_of, astray, plane_of


def surface_sentence(surface: Surface, metric: str, paths: Sequence[Projection]) -> str:
    """The plane, the runs on it, what was measured, and how."""
    said = [f"The {metric} on {plane_of(surface)}"]
    if paths:
        said[0] += f", with the paths of {_names([p.name for p in paths])}"
        farthest = np.concatenate([p.residual[np.isfinite(p.residual)] for p in paths])
        if farthest.size:
            said.append(f"the runs are up to {short(farthest.max())} away from the plane")
        said += [f"of {p.name} {where}" for p in paths if (where := astray(surface, p))]
        if whose := said_of(surface.settings, [p.settings for p in paths]):
            said.append(f"batch norm uses the running statistics of {whose}")
    said += [range_of(surface, metric), *accuracy_of(surface, metric), conditions(surface.settings)]
    return "; ".join(filter(None, said)) + "."


def range_of(surface: Surface, metric: str) -> str:
    """How many points, from where to where their values reach, and which are not told apart."""
    values, known = metric_of(surface, metric), surface.computed
    up, across = values.shape
    told = f"{across} × {up} points"
    if not known.all():
        told = f"{int(known.sum()):,} of {told} were measured"
    finite = values[known & np.isfinite(values)]
    lost = int(known.sum()) - finite.size
    if not finite.size:
        return f"{told}, no value is finite"
    ends = np.array([finite.min(), finite.max()])
    names = [short(end, 3) for end in ends]
    low, high = distinct(ends) if len(set(names)) < len(set(ends)) else names
    told += f", {low} to {high}"
    least, most = resolved(values, ceiling=ceiling_of(values, metric))
    if (above := float(np.mean(finite > most + 1e-9 * abs(most)))) > 0:
        told += f", {percent(above)} of them above the largest level, {short(most)}"
    if below := int((finite < least - 1e-9 * abs(least)).sum()):
        told += f", {below:,} of them below the smallest level, {short(least)}"
    return told + (f", {lost:,} more not finite" if lost else "")


def walk_sentence(walks: Sequence[Walk], *, with_paths: bool) -> str:
    """How many of the measured segments have a barrier and a minimum inside."""
    known = [np.isfinite(walk.loss).all(axis=1) for walk in walks]
    segments, lost = sum(int(k.sum()) for k in known), sum(int((~k).sum()) for k in known)
    barriers, inside = (
        sum(int(getattr(w, name)[k].sum()) for w, k in zip(walks, known, strict=True))
        for name in ("barrier", "interior_minimum")
    )
    said = [
        f"The {walks[0].metrics[0]} between consecutive states of {_names([w.name for w in walks])}"
        f": of {segments} segments {barriers} rise above both ends and {inside} have a minimum "
        "inside" + (f" ({lost} more are not finite)" if lost else ""),
        "below, the cosine of consecutive updates and the distance from the start"
        if with_paths else "",
        conditions(walks[0].settings),
    ]  # fmt: skip
    return "; ".join(filter(None, said)) + "."


def path_sentence(paths: Sequence[PathMetrics]) -> str:
    """Median angles between updates, over seeds where there are several."""
    groups = repeats_among(paths)
    said = ["Angles between updates, their lengths, distance and path length"]
    if len(groups) < len(paths):
        said[0] += ", median and range over seeds"
    angles = []
    for group in groups:
        known = [one.angle[np.isfinite(one.angle)] for one in group]
        if medians := [float(np.median(angle)) for angle in known if angle.size]:
            angles.append(f"{group[0].name} {told(medians, 3)}°")
    if angles:
        said.append(f"median angles: {', '.join(angles)}")
    if (every := max(int(np.diff(p.step).max(initial=1)) for p in paths)) > 1:
        said.append(f"between states up to {every} steps apart")
    return "; ".join(said) + "."


def profile_sentence(profile: Profile) -> str:
    """Along what, how far the metric rises on the way where all of it is known, and how."""
    kind = Construction.of(profile.settings).kind or ""
    ways = f"a {kind} and the straight line" if kind.endswith("curve") else "straight lines"
    said = [f"The {profile.metrics[0]} along {ways}: {_names(profile.names)}"]
    if kind == "between two points" and profile.whole:
        rises = profile.largest_increase
        known = np.isfinite(rises)
        if known.any():
            most = short(float(rises[known].max()))
            said.append(f"from start to end it never rises by more than {most}")
        if not known.all():
            said.append(f"on {int((~known).sum())} of {len(known)} it is not finite everywhere")
    settings = {k: v for k, v in profile.settings.items() if k != "kind" or v == "random"}
    return "; ".join(filter(None, [*said, conditions(settings)])) + "."


def barriers_sentence(barriers: Barriers) -> str:
    """The highest barrier of the loss, between whom, and how it was measured."""
    heights = barriers.refined("entezari2022")
    said = [f"Barriers between {len(barriers.names)} networks"]
    if (known := np.isfinite(heights)).any():
        highest = int(np.nanargmax(np.where(known, heights, np.nan)))
        i, j = barriers.pair[highest]
        error = barriers.error("entezari2022")[highest]
        unsure = f" ± {short(error, 1)}" if error > 0 else ""
        said.append(
            f"the highest of the {barriers.metrics[0]}, {short(heights[highest], 3)}{unsure} above "
            f"the chord, between {barriers.names[i]} and {barriers.names[j]}"
        )
    if not known.all():
        said.append(f"{int((~known).sum())} of {len(known)} are not finite")
    return "; ".join(filter(None, [*said, conditions(barriers.settings)])) + "."


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
