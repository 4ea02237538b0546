"""What the page holds: results sorted into runs, surfaces and lines, as plain JSON values."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from landscape.base.result import Result
from landscape.explorer.looks import page_looks
from landscape.explorer.notes import notes_on, sources_of
from landscape.explorer.packing import packed
from landscape.explorer.panels import panels_content
from landscape.plots.style import rank
from landscape.results.barriers import Barriers
from landscape.results.construction import Construction
from landscape.results.curvature_path import CurvaturePath
from landscape.results.gradients import GradientHistogram
from landscape.results.layers import LayerMetrics
from landscape.results.path import PathMetrics
from landscape.results.profile import Profile
from landscape.results.projection import Projection
from landscape.results.surface import Surface
from landscape.results.walk import Walk
from landscape.results.words import policies_of

Sources = Mapping[str, Mapping[str, Result]]
"""Name of a file (or "") to its results by name."""

_MOVES = ("cosine", "distance", "update_norm", "losses", "learning_rate")
_GRADIENTS = ("gradient_norm", "gradient_cosine")
_RUN_RESULTS = (Projection, PathMetrics, Walk, LayerMetrics, CurvaturePath, GradientHistogram)


def page_content(sources: Sources) -> dict[str, Any]:
    """Sort results into what the page draws.

    Results of the same run are found by the run's name; a projection belongs to the surfaces of
    the plane with the same hash. Numbers travel as float32: seven digits, half the size.

    Raises:
        ValueError: If there is nothing to draw.
    """
    placed = [(f, key, r) for f, results in sources.items() for key, r in results.items()]
    runs = _runs(placed)
    surfaces = [(f, key, r) for f, key, r in placed if isinstance(r, Surface)]
    lines = [(key, r) for _, key, r in placed if isinstance(r, Profile)]
    barriers = [r for _, _, r in placed if isinstance(r, Barriers)]
    if not (runs or surfaces or lines or barriers or panels_content(placed, list(runs))):
        raise ValueError(
            "These results hold nothing to draw; give surfaces, paths, walks, lines or barriers "
            f"(found: {sorted({type(r).__name__ for _, _, r in placed}) or 'nothing'})."
        )
    names = list(runs)
    appearance = page_looks(names, [_optimizer(results) for results in runs.values()])
    several = len({f for f, _, _ in surfaces}) > 1
    return {
        "runs": [
            {"name": name, "optimizer": _optimizer(results), **asdict(look), **_run(results)}
            for (name, results), look in zip(runs.items(), appearance, strict=True)
        ],
        "surfaces": [
            {
                "key": f"{f}:{key}" if several else key,
                **_surface(surface),
                "paths": _paths(surface, names, runs),
                "notes": notes_on(surface, _on_plane(surface, runs)),
            }
            for f, key, surface in surfaces
        ],
        "lines": [{"key": key, **_line(profile, names)} for key, profile in lines],
        "barriers": [_matrix(found, metric) for found in barriers for metric in found.metrics],
        "panels": panels_content(placed, names),
        "sources": sources_of(placed),
    }


def _runs(placed: Sequence[tuple[str, str, Result]]) -> dict[str, list[Any]]:
    """Results of every run by a name that is unique on the page, in the registry's order.

    Two results of one kind cannot be of one run: then the group's and the file's name tell apart
    what the run's own name does not.
    """
    by_name: dict[str, list[tuple[str, str, Any]]] = defaultdict(list)
    for file, key, result in placed:
        if isinstance(result, _RUN_RESULTS):
            by_name[result.name].append((file, key.rsplit("/", 1)[-1], result))
    found: dict[str, list[Any]] = {}
    for name, entries in by_name.items():
        for label in (
            lambda file, part, name=name: name,
            lambda file, part, name=name: f"{name} ({part})",
            lambda file, part, name=name: f"{name} ({file}, {part})",
        ):
            parts: dict[str, list[Any]] = defaultdict(list)
            for file, part, result in entries:
                parts[label(file, part)].append(result)
            if all(max(Counter(map(_slot, p)).values()) == 1 for p in parts.values()):
                break
        found.update(parts)
    return dict(sorted(found.items(), key=lambda item: rank(_optimizer(item[1]))))


def _slot(result: Result) -> tuple[str, str]:
    hash_ = result.provenance.get("plane_hash", "") if isinstance(result, Projection) else ""
    return (result.schema, str(hash_))


def _optimizer(results: Sequence[Any]) -> str:
    return next((r.optimizer for r in results if r.optimizer), results[0].name)


def _run(results: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(("path", "walk", "layers"))
    for result in results:
        if isinstance(result, PathMetrics):
            columns = [*_MOVES, *(name for name in _GRADIENTS if _holds(result, name))]
            found["path"] = {
                "step": packed(result.step, "i4"),
                **{column: packed(getattr(result, column)) for column in columns},
            }
        elif isinstance(result, LayerMetrics):
            found["layers"] = {
                "step": packed(result.step, "i4"),
                "names": list(result.layers),
                "ratio": packed(result.update_to_weight),
            }
        elif isinstance(result, Walk):
            found["walk"] = {
                "step": packed(result.step, "i4"),
                "next": packed(result.next_step, "i4"),
                "alpha": packed(result.alpha),
                "loss": packed(result.loss),
                "metric": result.metrics[0],
            }
    return found


def _holds(path: PathMetrics, name: str) -> bool:
    column = getattr(path, name)
    return column is not None and bool(np.isfinite(column).any())


def _surface(surface: Surface) -> dict[str, Any]:
    maps, erring = ((), ()) if surface.error is None else (surface.error, surface.metrics)
    return {
        "plane": _plane(surface),
        "alpha": packed(surface.alpha),
        "beta": packed(surface.beta),
        "metrics": [
            *surface.metrics,
            *(f"error of {name}" for name in erring),
        ],
        "values": [packed(values) for values in (*surface.values, *maps)],
        "error": [packed(values) for values in (*surface.standard_error, *(0 * m for m in maps))],
        "within": [packed(values) for values in (*maps, *(0 * m for m in maps))],
        "measured": None if surface.measured is None else packed(surface.measured, "u1"),
        "computed": packed(surface.computed, "u1"),
        "labels": list(surface.labels),
        "gram": packed(surface.gram),
        "explained": None if surface.explained is None else packed(surface.explained),
        "around": _around(surface),
        "null": None if surface.explained_null is None else packed(surface.explained_null),
    }


def _around(surface: Surface) -> str:
    """What lies at (0, 0), in words, when that is no mean of states."""
    return "the network at (0, 0)" if Construction.of(surface.settings).kind == "random" else ""


def _paths(
    surface: Surface, names: Sequence[str], runs: Mapping[str, Sequence[Any]]
) -> list[dict[str, Any]]:
    return [
        {
            "run": names.index(name),
            "step": packed(path.step, "i4"),
            "x": packed(path.coordinates[:, 0]),
            "y": packed(path.coordinates[:, 1]),
            "residual": packed(path.residual),
            "loss": None if path.loss is None else packed(path.loss),
            "inPlane": None if path.in_plane_loss is None else packed(path.in_plane_loss),
        }
        for name, path in _on_plane(surface, runs)
    ]


def _on_plane(surface: Surface, runs: Mapping[str, Sequence[Any]]) -> list[tuple[str, Projection]]:
    return [
        (name, path)
        for name, results in runs.items()
        for path in results
        if isinstance(path, Projection) and _plane(path) == _plane(surface)
    ]


def _line(profile: Profile, names: Sequence[str]) -> dict[str, Any]:
    asked = "asked" in profile.settings  # a slice of a plane, whose kind says nothing of it
    return {
        "alpha": packed(profile.alpha),
        "label": profile.label,
        "metric": profile.metrics[0],
        "names": list(profile.names),
        "runs": [names.index(name) if name in names else None for name in profile.names],
        "loss": packed(profile.loss),
        "kind": profile.names[0] if asked else Construction.of(profile.settings).kind or "",
    }


def _matrix(barriers: Barriers, metric: str) -> dict[str, Any]:
    return {
        "names": list(barriers.names),
        "metric": metric,
        "definition": "above the chord (Entezari et al. 2022)",
        "note": ", ".join(policies_of(barriers)),
        "values": packed(barriers.matrix("entezari2022", metric=metric)),
        "ends": packed(barriers.ends(metric=metric)),
    }


def _plane(result: Surface | Projection) -> str:
    return str(result.provenance.get("plane_hash", ""))
