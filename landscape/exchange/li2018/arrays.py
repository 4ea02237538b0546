"""The 2018 tool's files as arrays: checks, memory order, and what counts as measured.

See `landscape.exchange.li2018.reader` for the format and its rules.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

from landscape.base.files import SchemaError, check_stored, expanded, groups, opened
from landscape.base.provenance import fingerprint

FilePath = str | os.PathLike[str]
_NOT_METRICS = ("xcoordinates", "ycoordinates", "dir_file")
_LOSSES = {"train_loss": "loss", "loss_vals": "loss"}  # called otherwise here


def kind_of(path: FilePath) -> Literal["directions", "projection", "measured"]:
    """Which of the tool's three kinds of file this is.

    Raises:
        SchemaError: If the file is empty or one of this package.
    """
    with opened(path) as file:
        if not len(file):
            raise SchemaError(
                f"{path} holds nothing: the 2018 tool was stopped before it wrote. Delete it, and "
                "compute it again there."
            )
        if "schema" in file.attrs or groups(file):
            raise SchemaError(f"{path} was written by this package; it needs no import.")
        if "xdirection" in file:
            return "directions"
        return "projection" if "proj_xcoord" in file else "measured"


def metrics(
    path: FilePath, file: h5py.File, across: int, up: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Metrics by name, and where the first was measured; all of shape (up, across).

    The first is the training loss; where there is none another loss, else what there is.

    Raises:
        SchemaError: If there is no metric, or not one value per point.
    """
    names = [name for name in map(str, file) if name not in _NOT_METRICS]
    whole = [name for name in names if _is_metric(file, name, across * up)]
    losses = [name for name in whole if name.endswith("_loss")]
    loss = next((name for name in (*_LOSSES, *losses) if name in file), None)
    loss = loss or next((name for name in whole if not name.endswith("_acc")), None)
    loss = loss or next(iter(whole), None)
    if loss is None:
        raise SchemaError(
            f"{path} holds coordinates ({across} x {up}) and no losses: the 2018 tool was stopped "
            f"before its first point. It holds {sorted(file)}."
        )
    found: dict[str, np.ndarray] = {}
    for name in [loss, *(n for n in names if n != loss)]:
        if name != loss and not _is_numeric(file, name):
            continue  # a note of a fork's
        values = array(path, file, name)
        if values.size == across * up:
            found[name] = values.reshape(up, across)
        elif name == loss:
            raise SchemaError(
                f"{path}: {loss} has {values.size} values, the coordinates ask for "
                f"{across} x {up}; the file is damaged or its axes were changed."
            )
    unset = {name: values == -1 for name, values in found.items()}
    missing = {
        name: where & unset.get(name.replace("_loss", "_acc"), where)
        for name, where in unset.items()
    }
    named: dict[str, np.ndarray] = {}
    for name, values in found.items():
        kept = np.where(missing[name], np.nan, values)
        if not name.endswith("_acc"):
            named[_LOSSES.get(name, name) if name == loss else name] = kept
        elif not np.isnan(kept).all():
            named["error" if name == "train_acc" else f"{name[:-4]}_error"] = 1 - kept / 100
    if not named:  # accuracies alone, of which none was measured
        raise SchemaError(f"{path} was prepared, but none of its {across * up} points measured.")
    return named, ~missing[loss]


def _is_numeric(file: h5py.File, name: str) -> bool:
    data = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
    return isinstance(data, h5py.Dataset) and data.dtype.kind in "fiu"


def _is_metric(file: h5py.File, name: str, points: int) -> bool:
    data = file[name] if _is_numeric(file, name) else None
    return isinstance(data, h5py.Dataset) and data.size == points


def coordinates(path: FilePath, file: h5py.File, name: str) -> np.ndarray:
    """One axis: distinct finite numbers in any order."""
    if name not in file:
        raise SchemaError(
            f"{path} has no {name}, so it is no surface of the 2018 tool; it holds {sorted(file)}."
        )
    found = array(path, file, name)
    if found.ndim != 1 or not np.isfinite(found).all() or len(np.unique(found)) != found.size:
        raise SchemaError(f"{path}: {name} are not distinct finite numbers in one dimension.")
    return found


def directions(path: FilePath, file: h5py.File) -> list[list[np.ndarray]]:
    """One or two directions; each is a list of tensors, as the network's parameters or state."""
    found = []
    for name in ("xdirection", "ydirection"):
        group = file.get(name)
        if isinstance(group, h5py.Group) and len(group):
            found.append([array(path, group, str(i)) for i in range(len(group))])
        elif name == "xdirection":
            raise SchemaError(f"{path} holds no directions; it holds {sorted(file)}.")
    return found


def shares(path: FilePath, file: h5py.File) -> np.ndarray | None:
    """Shares of the variation along two principal components, where the file states them."""
    if "explained_variance_ratio_" not in file:
        return None
    return array(path, file, "explained_variance_ratio_")[:2]


def array(path: FilePath, group: h5py.Group, name: str) -> np.ndarray:
    """A data set of numbers in double precision; links to other places are not followed."""
    data = group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
    if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "fiu":
        raise SchemaError(f"{path}: {name} is not an array of numbers.")
    if data.shape is None or data.is_virtual or data.external:
        raise SchemaError(f"{path}: {name} holds no numbers.")
    check_stored(data)
    return data[()].astype(np.float64)


def text(file: h5py.File, name: str) -> str:
    """A stored string; empty when there is none."""
    data = file.get(name)
    if not isinstance(data, h5py.Dataset) or h5py.check_string_dtype(data.dtype) is None:
        return ""
    return str(data.asstr()[()])


def settings(path: FilePath, original: str = "") -> dict[str, Any]:
    """What the names of a file and of its folder, and the stored path of its directions, tell."""
    names = f"{original}/{Path(path).parent.name}/{Path(path).name}"
    norm = re.search(r"norm=([a-z]+)", names)
    return {
        "kind": "PCA" if "PCA_" in names else "random" if norm else "given",
        "normalization": norm[1] if norm else "none",
        "ignored": ["bias", "norm"] if "ignore=biasbn" in names else [],
        "format": "li2018",
        "source": Path(path).name,
        "directions": original,
    }


def labels(kind: str) -> tuple[str, str]:
    """What the axes of a plane of this kind are."""
    known = {"PCA": ("PC 1", "PC 2"), "random": ("direction 1", "direction 2")}
    return known.get(kind, ("x", "y"))


def directions_of(path: FilePath) -> tuple[str, str]:
    """Folder and name of the file of directions that a file belongs to."""
    return str(expanded(path).parent), expanded(path).name.partition(".h5")[0]


def plane_hash(path: FilePath) -> str:
    """A mark that all files of one file of directions share; tells which paths lie on a surface."""
    folder, name = directions_of(path)
    place = f"{Path(folder).resolve()}/{name}"
    return fingerprint(np.frombuffer(place.encode(), np.uint8))


def network_of(path: FilePath) -> str:
    """The folder of the checkpoints of a principal component analysis, else the model's name."""
    if Path(path).parent.name.startswith("PCA_"):
        return Path(path).absolute().parent.parent.name
    return re.split(r"_(?:weights|states)", directions_of(path)[1])[0]
