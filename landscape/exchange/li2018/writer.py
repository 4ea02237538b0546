"""Write results as the 2018 tool would, for its plots, its vtk converter and its descendants."""

from __future__ import annotations

import os

import numpy as np

from landscape.base.files import expanded, replacing
from landscape.results.conditions import Conditions
from landscape.results.profile import Profile
from landscape.results.projection import Projection
from landscape.results.surface import Surface


def write(result: Surface | Profile | Projection, path: str | os.PathLike[str]) -> None:
    """Write a surface, a line or a projection.

    See `landscape.exchange.li2018.reader` for the format.

    `loss` and `error` become the loss and the accuracy in per cent (NaN without one: that tool
    expects it), of training or, where they were measured on test data, of testing. Points that
    were not measured become -1, and x runs fastest, so that a rectangular surface has shape
    (y, x), which is what the tool's plots ask for.

    Raises:
        FileExistsError: If the file exists.
        ValueError: If the result is of another kind, or a profile of several lines.
    """
    if expanded(path).exists():
        raise FileExistsError(f"{path} exists; choose another name or delete it.")
    if isinstance(result, Projection):
        x, y = result.coordinates.T
        arrays, directions = {"proj_xcoord": x, "proj_ycoord": y}, None
    elif isinstance(result, Surface | Profile):
        arrays, directions = _arrays(result), str(result.settings.get("directions", ""))
    else:
        raise ValueError(
            f"A {type(result).__name__} has no place in the 2018 tool's files; a surface, a line "
            "or a projection has."
        )
    with replacing(path) as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
        if directions is not None:
            file.create_dataset("dir_file", data=directions)


def _arrays(result: Surface | Profile) -> dict[str, np.ndarray]:
    arrays = {"xcoordinates": result.alpha}
    if isinstance(result, Surface):
        arrays["ycoordinates"] = result.beta
        values, computed = result.values, result.computed
    else:
        if len(result.values) != 1:
            raise ValueError(
                f"The profile holds {len(result.values)} lines; the 2018 tool keeps one per file."
            )
        values = result.values[0]
        computed = np.ones(len(result.alpha), bool)
    metrics = dict(zip(result.metrics, values, strict=True))
    if "loss" in metrics:
        metrics.setdefault("error", np.full(computed.shape, np.nan))
    split = "test" if Conditions.of(result.settings).said.get("data") == "test" else "train"
    for name, metric in metrics.items():
        part = {"loss": split, "error": split}.get(name, name.removesuffix("_error"))
        error = name == "error" or (name.endswith("_error") and _was_accuracy(result, name))
        theirs = 100 * (1 - metric) if error else metric
        named = f"{part}_acc" if error else f"{part}_loss" if name == "loss" else name
        arrays[named] = np.where(computed, theirs, -1.0)
    return arrays


def _was_accuracy(result: Surface | Profile, name: str) -> bool:
    """Whether an error was made of one of their accuracies."""
    return name == "test_error" or result.settings.get("format") == "li2018"
