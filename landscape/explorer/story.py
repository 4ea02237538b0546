"""A page's story: sentences computed from the results, each with the view that shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import numpy as np

from landscape.results.path import PathMetrics
from landscape.results.projection import Projection
from landscape.results.walk import Walk

FIELDS = (
    "step", "view", "scale", "surface", "metric", "other", "compare", "difference", "hidden",
    "camera", "window", "clip", "trail", "drop", "fade", "colour", "speed", "time", "loop",
    "range", "pins",
)  # fmt: skip
"""What a scene may set: the fields of the page's address."""


@dataclass(frozen=True)
class Scene:
    """One scene: a sentence and the state of the page that shows it.

    Attributes:
        text: What is said.
        view: Fields of the page's address, for example ``{"step": 40, "view": "3d"}``.
        play: First and last step to play once when the scene begins.
    """

    text: str
    view: Mapping[str, Any] = field(default_factory=dict)
    play: tuple[int, int] | None = None


def told(story: Sequence[Scene | tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Scenes as the page reads them: {text, view: part of an address, play?}.

    Raises:
        ValueError: If a scene is no pair or sets what the page does not know.

    >>> told([("Adam turns.", {"step": 40, "hidden": [1, 2]})])
    [{'text': 'Adam turns.', 'view': 'step=40&hidden=1,2'}]
    """
    found = []
    for given in story:
        if not isinstance(given, Scene):
            if not (isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Mapping)):
                raise ValueError(f"A scene is a pair (sentence, {{field: value}}); not {given!r}.")
            given = Scene(*given)
        unknown = set(given.view) - set(FIELDS)
        if unknown:
            raise ValueError(
                f"A scene cannot set {', '.join(sorted(unknown))}; it can set {', '.join(FIELDS)}."
            )
        view = "&".join(f"{name}={_written(value)}" for name, value in given.view.items())
        play = {"play": list(given.play)} if given.play else {}
        found.append({"text": str(given.text), "view": view, **play})
    return found


def _written(value: Any) -> str:
    many = isinstance(value, Sequence) and not isinstance(value, str)
    return ",".join(quote(str(v)) for v in value) if many else quote(str(value))


def automatic_story(sources: Mapping[str, Any], content: Mapping[str, Any]) -> list[Scene]:
    """What can be said about any runs: start, parting, fastest, off the plane, angles, floor."""
    results = [r for found in sources.values() for r in found.values()]
    names = [run["name"] for run in content["runs"]]
    paths = _first_by_name([r for r in results if isinstance(r, Projection)], names)
    if len(names) < 1 or not paths or not content["surfaces"]:
        return []
    moves = _first_by_name([r for r in results if isinstance(r, PathMetrics)], names)
    walks = _first_by_name([r for r in results if isinstance(r, Walk)], names)
    scenes = [_start(paths), _parting(paths), _fastest(paths), _ends(paths)]
    scenes += [_off_plane(paths), _angles(moves, names), _floor(walks)]
    return [scene for scene in scenes if scene]


def _first_by_name(results: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for result in results:
        if result.name in names and result.name not in found:
            found[result.name] = result
    return found


def _number(value: float) -> str:
    return f"{value:.3g}"


def _start(paths: Mapping[str, Projection]) -> Scene | None:
    first = [p.loss[0] for p in paths.values() if p.loss is not None and np.isfinite(p.loss[0])]
    if not first:
        return None
    step = int(min(p.step[0] for p in paths.values()))
    last = int(max(p.step[-1] for p in paths.values()))
    who = f"{len(paths)} runs begin" if len(paths) > 1 else f"{next(iter(paths))} begins"
    loss = _number(min(first))
    if max(first) > 1.001 * min(first):
        loss = f"between {loss} and {_number(max(first))}"
    return Scene(
        f"{who} at loss {loss} and take {last - step} steps.", {"step": step}, (step, last)
    )


def _parting(paths: Mapping[str, Projection]) -> Scene | None:
    """The step at which two paths first are apart by a tenth of what they are at most."""
    named = list(paths.items())
    if len(named) < 2:
        return None
    steps = sorted(set.intersection(*(set(map(int, p.step)) for _, p in named)))
    if len(steps) < 3:
        return None
    places = np.stack([p.coordinates[np.searchsorted(p.step, steps), :2] for _, p in named])
    spread = np.linalg.norm(places - places.mean(0), axis=-1).max(0)
    if not np.isfinite(spread).any() or not np.nanmax(spread) > 0:
        return None
    step = steps[int(np.argmax(spread >= 0.1 * np.nanmax(spread)))]
    if step == steps[0]:
        return None  # they never were together
    text = (
        f"By step {step} the paths have parted: the runs are a tenth as far from each other "
        "in the plane as they will ever be."
    )
    return Scene(text, {"step": step})


def _fastest(paths: Mapping[str, Projection]) -> Scene | None:
    """Who first comes to half of the loss at the start."""
    reached = {}
    for name, path in paths.items():
        if path.loss is None or not path.loss[0] > 0:
            continue
        below = np.flatnonzero(path.loss <= path.loss[0] / 2)
        if len(below):
            reached[name] = int(path.step[below[0]])
    if not reached:
        return None
    name = min(reached, key=lambda n: reached[n])
    rest = [n for n in paths if n not in reached]
    others = sorted(step for n, step in reached.items() if n != name)
    text = f"{name} is the first at half of its loss at the start, at step {reached[name]}"
    if others:
        text += f"; the others need {others[0]}" + (f" to {others[-1]}" if len(others) > 1 else "")
    if rest:
        text += f"; {', '.join(rest)} never {'come' if len(rest) > 1 else 'comes'} there"
    return Scene(f"{text}.", {"step": reached[name], "view": "3d"})


def _ends(paths: Mapping[str, Projection]) -> Scene | None:
    last = {n: float(p.loss[-1]) for n, p in paths.items() if p.loss is not None}
    finite = {n: v for n, v in last.items() if np.isfinite(v)}
    if not finite:
        return None
    low, high = min(finite, key=lambda n: finite[n]), max(finite, key=lambda n: finite[n])
    text = f"At the end {low} is lowest, at loss {_number(finite[low])}"
    if len(finite) > 1 and finite[high] <= finite[low] * (1 + 1e-6):
        text = f"At the end {len(finite)} runs are at loss {_number(finite[low])}"
    elif high != low:
        text += f"; {high} is highest, at {_number(finite[high])}"
    step = int(max(p.step[-1] for p in paths.values()))
    return Scene(f"{text}.", {"step": step})


def _off_plane(paths: Mapping[str, Projection]) -> Scene | None:
    far = {n: float(np.nanmax(p.residual)) for n, p in paths.items() if len(p.residual)}
    far = {n: v for n, v in far.items() if np.isfinite(v)}
    if not far:
        return None
    name = max(far, key=lambda n: far[n])
    step = int(paths[name].step[int(np.nanargmax(paths[name].residual))])
    moved = float(np.nanmax(np.linalg.norm(paths[name].coordinates, axis=1)))
    text = (
        f"The plane does not show everything: {name} is {_number(far[name])} off it at step "
        f"{step}, where coordinates in the plane reach {_number(moved)}. Paths fade with that."
    )
    return Scene(text, {"step": step, "view": "3d", "fade": "on"})


def _angles(moves: Mapping[str, PathMetrics], names: Sequence[str]) -> Scene | None:
    median = {
        n: float(np.degrees(np.nanmedian(np.arccos(np.clip(m.cosine, -1, 1)))))
        for n, m in moves.items()
        if np.isfinite(m.cosine).any()
    }
    if not median:
        return None
    straight, bent = min(median, key=lambda n: median[n]), max(median, key=lambda n: median[n])
    text = f"{straight} goes straightest: half of its turns are below {median[straight]:.0f}°"
    if bent != straight:
        text += f"; with {bent} it is {median[bent]:.0f}°, and 90° means unrelated updates"
    hidden = [k for k, n in enumerate(names) if n not in (straight, bent)]
    return Scene(f"{text}.", {"hidden": hidden} if len(hidden) < len(names) else {})


def _floor(walks: Mapping[str, Walk]) -> Scene | None:
    """How often the loss between two steps dips below both ends."""
    segments = dips = 0
    for walk in walks.values():
        ends = np.minimum(walk.loss[:, 0], walk.loss[:, -1])
        good = np.isfinite(walk.loss).all(axis=1)
        segments += int(good.sum())
        dips += int((walk.loss.min(axis=1) < ends - 1e-6 * np.abs(ends))[good].sum())
    if not segments:
        return None
    step = int(min(walk.step[0] for walk in walks.values()))
    text = (
        f"Between consecutive steps the loss was measured on {segments} segments; on {dips} of "
        "them it is lower inside than at both ends: the step went across a valley's floor."
    )
    return Scene(text, {"step": step})
