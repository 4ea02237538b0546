"""What a surface does not show, in sentences, and where every result came from."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from landscape.base.result import Result
from landscape.base.statistics import said_of
from landscape.results.projection import Projection
from landscape.results.surface import Surface


def notes_on(surface: Surface, paths: Sequence[tuple[str, Projection]] = ()) -> list[list[str]]:
    """Pairs of a heading and a sentence about one surface and the paths on it, by run."""
    settings = surface.settings
    return [
        [heading, text]
        for heading, text in (
            ("Plane", _plane(settings)),
            ("Shown by the plane", _explained(surface)),
            ("Off the plane", _OFF_PLANE),
            ("Data", _data(settings)),
            ("Other data", _other_data(settings, paths)),
            ("Batch norm", _batch_norm(settings, [path.settings for _, path in paths])),
            ("Precision", str(settings.get("precision", ""))),
            ("Device", str(settings.get("device", ""))),
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
    return _BATCH_NORM.get(str(settings.get("batch_norm")), "")


def _plane(settings: dict[str, Any]) -> str:
    kind = str(settings.get("kind", "")).strip()
    parts = [kind[:1].upper() + kind[1:]] if kind else []
    if "runs" in settings and isinstance(settings["runs"], list):
        parts.append(f"of {len(settings['runs'])} runs")
    if "states" in settings:
        parts.append(f"({settings['states']} states)")
    text = " ".join(parts)
    for label, name in (
        ("origin", "origin"), ("normalization", "normalization"), ("seed", "seed"),
    ):  # fmt: skip
        if name in settings:
            text += f"{', ' if text else ''}{label} {settings[name]}"
    ignored = settings.get("ignored")
    if ignored:
        text += f", directions leave out {' and '.join(map(str, ignored))} parameters"
    return f"{text}." if text else ""


def _explained(surface: Surface) -> str:
    if surface.explained is None:
        return ""
    text = f"{100 * surface.explained.sum():.0f} % of the squared movement"
    if surface.explained_null is not None:
        text += f"; for random walks it would be {100 * surface.explained_null.sum():.0f} %"
    return f"{text}. The rest is not in this picture."


def _data(settings: dict[str, Any]) -> str:
    parts = [str(settings["task"])] if settings.get("task") else []
    samples, population = settings.get("samples"), settings.get("population")
    if samples is not None and population is not None:
        parts.append(
            f"all {population:,} samples"
            if samples == population
            else f"{samples:,} of {population:,} samples (see the standard error on hover)"
        )
    elif settings.get("stream"):
        parts.append("the first samples of a stream (see the standard error on hover)")
    return ", ".join(parts)


def _other_data(settings: dict[str, Any], paths: Sequence[tuple[str, Projection]]) -> str:
    own = settings.get("data_hash")
    others = [
        name
        for name, path in paths
        if path.loss is not None and path.settings.get("data_hash", own) != own
    ]
    if not others:
        return ""
    return (
        f"The losses of {', '.join(others)} were measured on other data than the surface, or with "
        "another loss or model; they are not its heights."
    )


def _accuracy(surface: Surface) -> str:
    if surface.accuracy is None or surface.measured is None:
        return ""
    said, check = surface.accuracy, surface.accuracy["check"]
    stated = said["stated"][0]
    text = (
        f"{int(surface.measured.sum()):,} of {surface.measured.size:,} points were measured, in "
        f"{said['passes']:,.0f} passes over the data instead of {said['full']:,}; the others are "
        "interpolated. "
    )
    if stated is None:
        return text + "The error is not known."
    text += f"95 % of the points are within {100 * stated:.2g} % of the range of the loss"
    if check["points"] and check["largest"][0] is not None:
        text += (
            f"; at {check['points']} random points measured on all samples it is "
            f"{100 * check['largest'][0]:.2g} % at most"
        )
    untrusted = 0 if surface.trusted is None else int((~surface.trusted).sum())
    return text + (f". {untrusted:,} points are not to be trusted." if untrusted else ".")


def _holes(surface: Surface) -> str:
    todo = int((~surface.computed).sum())
    broken = int((surface.computed & ~(abs(surface.loss) < float("inf"))).sum())
    parts = [f"{todo:,} points were not computed"] if todo else []
    parts += [f"at {broken:,} points the loss is not finite"] if broken else []
    return f"{' and '.join(parts)}; both are hatched." if parts else ""
