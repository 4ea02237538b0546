"""The columns of numbers that any result holds, each over the coordinate of its dimension."""

from __future__ import annotations

import typing
from dataclasses import fields
from typing import Any

import numpy as np

TITLES = {
    "update_norm": "‖update‖", "cosine": "cosine of consecutive updates",
    "cosine_to_final": "cosine to the way left", "distance": "distance from initialization",
    "path_length": "path length", "losses": "mini-batch loss", "learning_rate": "learning rate",
    "gradient_norm": "‖gradient‖", "gradient_cosine": "cosine of consecutive gradients",
}  # fmt: skip
_AXES = ("step", "alpha", "edge", "eigenvalue", "x", "windows", "layers")


def curves_of(result: Any) -> list[tuple[str, str, Any, np.ndarray, list[str]]]:
    """(name, axis, x, rows, label of each row) of every column that has a coordinate."""
    hints = typing.get_type_hints(type(result), include_extras=True)
    dims = {f.name: _dimensions(hints[f.name]) for f in fields(result)}
    axis = next((a for a in _AXES if dims.get(a) and getattr(result, a) is not None), None)
    if axis is None:
        return []
    x, along = getattr(result, axis), dims[axis][0]
    found = []
    for name, its in dims.items():
        values = getattr(result, name)
        if name == axis or values is None or along not in its or len(its) > 2:
            continue
        if not isinstance(values, np.ndarray) or not np.issubdtype(values.dtype, np.floating):
            continue
        rows = values[None] if len(its) == 1 else np.moveaxis(values, its.index(along), -1)
        other = next((d for d in its if d != along), None)
        labels = next(
            (
                list(map(str, getattr(result, n)))
                for n, d in dims.items()
                if d == (other,) and isinstance(getattr(result, n), tuple)
            ),
            [f"{other} {k}" for k in range(len(rows))],
        )
        if np.isfinite(values).any():
            found.append((name, axis, x, rows, labels if other else [""]))
    return found


def _dimensions(hint: Any) -> tuple[str, ...]:
    """Names of an array's (or a tuple of names') dimensions, as its annotation gives them."""
    for part in [*typing.get_args(hint), hint]:
        if isinstance(text := getattr(part, "dim_str", None), str):
            return tuple(text.split())
    extras = getattr(hint, "__metadata__", ()) or next(
        (getattr(a, "__metadata__", ()) for a in typing.get_args(hint)), ()
    )
    return tuple(extras[:1]) if extras and isinstance(extras[0], str) else ()
