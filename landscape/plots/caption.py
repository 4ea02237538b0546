"""One line on what was measured: what a reader must know to believe a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes


def conditions(settings: Mapping[str, Any]) -> str:
    """Task, samples, batch-norm policy and plane of a result, as one line.

    >>> conditions({"task": "digits/mlp", "samples": 500, "population": 1498})
    'digits/mlp · 500 of 1498 samples'
    """
    parts = [str(settings["task"])] if "task" in settings else []
    samples, population = settings.get("samples"), settings.get("population")
    if samples is not None:
        whole = population in (None, samples)
        parts.append(f"{samples} samples" if whole else f"{samples} of {population} samples")
    if "batch_norm" in settings:
        parts.append(f"batch norm {settings['batch_norm']}")
    if "kind" in settings:
        parts.append(_directions(settings))
    return " · ".join(parts)


def write_above(ax: Axes, text: str) -> None:
    """Put a small grey line above the axes, on the left."""
    ax.set_title(text, loc="left", color="0.35", fontsize="x-small", wrap=True)


def _directions(settings: Mapping[str, Any]) -> str:
    kind = str(settings["kind"])
    if kind == "random":
        normalization = settings.get("normalization", "none")
        return f"random directions, normalization: {normalization}"
    if "PCA" in kind and "origin" in settings:
        states = f" of {settings['states']} states" if "states" in settings else ""
        return f"{kind}{states}, origin: {settings['origin']}"
    return kind
