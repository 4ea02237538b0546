"""Figures on disk, with where they came from inside the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from landscape.base.distribution import VERSION
from landscape.base.files import expanded
from landscape.base.replaceable import check_replaceable
from landscape.base.result import Result

FORMATS = ("png", "pdf", "svg")


def save_figure(
    figure: Figure,
    path: Path,
    *,
    results: Mapping[str, Result],
    title: str = "",
    transparent: bool = False,
) -> Path:
    """Write a figure; its metadata holds the settings and provenance of the results it shows.

    The text is found in PNG and SVG as ``Description`` and in PDF as ``Subject``; it is JSON:
    name of a result to its `settings` and `provenance`.

    Args:
        figure: What to write.
        path: ``.png``, ``.pdf`` or ``.svg``; folders are made.
        results: What is drawn, by name.
        title: A title for the metadata.
        transparent: Leave the background out.

    Returns:
        The path.

    Raises:
        ValueError: If the suffix is none of these.
        FileExistsError: If something else than such a figure is there.
    """
    path = expanded(path)
    kind = path.suffix.lstrip(".")
    if kind not in FORMATS:
        raise ValueError(f"A figure is written as {', '.join(FORMATS)}; not {path.name!r}.")
    check_replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The layout is solved before equal axes shrink; a second pass makes room for every label.
    figure.draw_without_rendering()
    figure.savefig(
        path, metadata=_metadata(kind, origin_of(results), title), transparent=transparent
    )
    return path


def origin_of(results: Mapping[str, Result]) -> str:
    """Settings and provenance of results, as one JSON text."""
    found = {
        name: {part: getattr(result, part, {}) for part in ("settings", "provenance")}
        for name, result in results.items()
    }
    return json.dumps(found, default=str)


def _metadata(kind: str, origin: str, title: str) -> dict[str, Any]:
    software = f"landscape {VERSION}"
    if kind == "png":
        return {"Title": title, "Software": software, "Description": origin}
    # Without dates, so that the same results give the same file.
    if kind == "pdf":
        return {"Title": title, "Creator": software, "Subject": origin, "CreationDate": None}
    return {"Title": title, "Creator": software, "Description": origin, "Date": None}
