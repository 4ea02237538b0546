"""What a surface does not show, in sentences, and where every result came from."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from landscape.base.result import Result
from landscape.base.statistics import said_of
from landscape.results.conditions import Conditions
from landscape.results.construction import Construction
from landscape.results.projection import Projection
from landscape.results.surface import Surface
from landscape.results.words import accuracy_of, plane_in_full, samples_of


def notes_on(surface: Surface, paths: Sequence[tuple[str, Projection]] = ()) -> list[list[str]]:
    """Pairs of a heading and a sentence about one surface and the paths on it, by run."""
    settings, conditions = surface.settings, Conditions.of(surface.settings)
    return [
        [heading, text]
        for heading, text in (
            ("Plane", plane_in_full(Construction.of(settings))),
            ("Shown by the plane", _explained(surface)),
            ("Off the plane", _OFF_PLANE),
            ("Data", _data(conditions)),
            ("Other data", _other_data(conditions, paths)),
            ("Batch norm", _batch_norm(settings, [path.settings for _, path in paths])),
            ("Precision", conditions.precision or ""),
            ("Device", conditions.device or ""),
            ("Error", _accuracy(surface)),
            ("Holes", _holes(surface)),
        )
        if text
    ]


def sources_of(placed: Sequence[tuple[str, str, Result]]) -> list[dict[str, Any]]:
    """Per result: its group, kind, settings, time, command and versions."""
    found = []
    for file, key, result in placed:
        settings = getattr(result, "settings", {})
        origin = getattr(result, "provenance", {})
        command = origin.get("command", [])
        found.append(
            {
                "file": file,
                "key": key,
                "kind": type(result).__name__,
                "settings": {str(k): _text(v) for k, v in settings.items()},
                "time": str(origin.get("time", "")),
                "command": shlex.join(map(str, command)) if isinstance(command, list) else "",
                "versions": {
                    str(name): str(version)
                    for name, version in {
                        "python": origin.get("python"),
                        **dict(origin.get("versions") or {}),
                        "commit": origin.get("commit"),
                    }.items()
                    if version
                },
            }
        )
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_OFF_PLANE = (
    "A run lives in all parameters; its path here is the projection. “Off plane” is the distance "
    "that the projection drops. A marker's height in 3-D is the loss measured at the state "
    "itself, and a stem leads to the loss measured at its projection."
)

_BATCH_NORM = {
    "frozen": "Running statistics stay as they were at the state that gave the model.",
    "recalibrated": "Running statistics are estimated again at every point.",
    "batch": "Every batch is normalized by its own statistics.",
}


def _batch_norm(settings: dict[str, Any], paths: Sequence[dict[str, Any]]) -> str:
    whose = said_of(settings, paths)
    if whose:
        return f"Running statistics are everywhere those of {whose}."
    return _BATCH_NORM.get(Conditions.of(settings).batch_norm or "", "")


def _explained(surface: Surface) -> str:
    if surface.explained is None:
        return ""
    text = f"{100 * surface.explained.sum():.0f} % of the squared movement"
    if surface.explained_null is not None:
        text += f"; for random walks it would be {100 * surface.explained_null.sum():.0f} %"
    return f"{text}. The rest is not in this picture."


def _data(conditions: Conditions) -> str:
    parts = [conditions.task] if conditions.task else []
    if conditions.stream:
        parts.append("the first samples of a stream (see the standard error on hover)")
    elif conditions.samples is not None and conditions.samples == conditions.population:
        parts.append(f"all {conditions.population:,} samples")
    elif said := samples_of(conditions):
        parts.append(f"{said} (see the standard error on hover)")
    return ", ".join(parts)


def _other_data(conditions: Conditions, paths: Sequence[tuple[str, Projection]]) -> str:
    here = (conditions.data_hash, None)  # None: not known
    others = [
        name
        for name, path in paths
        if path.loss is not None and Conditions.of(path.settings).data_hash not in here
    ]
    if not others:
        return ""
    return (
        f"The losses of {', '.join(others)} were measured on other data than the surface, or with "
        "another loss or model; they are not its heights."
    )


def _accuracy(surface: Surface) -> str:
    said = [*accuracy_of(surface), "the others are interpolated"]
    return "" if len(said) == 1 else " ".join(f"{one[:1].upper()}{one[1:]}." for one in said)


def _holes(surface: Surface) -> str:
    todo = int((~surface.computed).sum())
    broken = int((surface.computed & ~(abs(surface.loss) < float("inf"))).sum())
    parts = [f"{todo:,} points were not computed"] if todo else []
    parts += [f"at {broken:,} points the loss is not finite"] if broken else []
    return f"{' and '.join(parts)}; both are hatched." if parts else ""
