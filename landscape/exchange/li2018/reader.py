"""Files of the 2018 tool (github.com/tomgoldstein/loss-landscape): read them, write them.

That tool keeps three kinds of HDF5 files, told apart by their data sets and by their names:

    D.h5               xdirection/0, 1, ... (and ydirection/...): one tensor per parameter
                       ("weights") or per entry of the state dict ("states");
                       explained_variance_ratio_ where the directions are principal components
    D.h5_[...].h5      xcoordinates, ycoordinates (absent for a line), train_loss, train_acc in
                       per cent, dir_file: the path of D.h5 as it was
    D.h5_proj_cos.h5   proj_xcoord, proj_ycoord: one point per checkpoint

Losses lie in memory with x running fastest, so that train_loss[j, i] belongs to (x_i, y_j). The
tool labels the array (x, y) all the same; where the two lengths differ it is read by the memory
order, which is what the tool's own numbers mean.

What counts as measured
-----------------------
The tool fills both arrays with -1 and overwrites them point by point. A point therefore counts as
*not* measured where loss and accuracy are both exactly -1; without an accuracy, where the loss is
exactly -1. Every other value is kept as it is, negative and enormous losses too. An accuracy alone
of -1 is missing (NaN), because its loss was written first.

The training loss is called `loss`. Accuracies become errors, 1 - accuracy / 100: `error` that of
training, `test_error` and so on the others. Everything else with one value per point (test_loss,
eigenvalues) keeps its name. The first metric is the training loss, where a file has none another
loss, else what it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscape.base.blocks import inner
from landscape.base.files import SchemaError, opened
from landscape.base.layout import Entry, Layout
from landscape.base.provenance import fingerprint, provenance
from landscape.base.vector import Vector
from landscape.exchange.li2018 import arrays as raw
from landscape.exchange.li2018.arrays import FilePath
from landscape.results.affine import Line, Plane
from landscape.results.profile import Profile
from landscape.results.projection import Projection
from landscape.results.surface import Surface

if TYPE_CHECKING:
    from torch import Tensor

Directions = FilePath | Plane | Line | None
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def read_measured(path: FilePath, *, directions: Directions = None) -> Surface | Profile:
    """A surface (two axes) or a line (one) of the 2018 tool.

    Args:
        path: The file.
        directions: The file of its directions, or what `read_directions` made of it. Without it the
            angle between the axes is unknown and `Surface.gram` holds NaN.

    Returns:
        The surface, its points by the rules above; or the line, NaN where not measured.

    Raises:
        SchemaError: If the file is empty, has no losses (both are left behind when the tool is
            stopped early), or is none of that tool's.
    """
    _require("measured", path)
    with opened(path) as file:
        x = raw.coordinates(path, file, "xcoordinates")
        y = raw.coordinates(path, file, "ycoordinates") if "ycoordinates" in file else np.zeros(1)
        flat = "ycoordinates" not in file
        metrics, computed = raw.metrics(path, file, len(x), len(y))
        settings = raw.settings(path, raw.text(file, "dir_file"))
    if not computed.any():
        raise SchemaError(f"{path} was prepared, but none of its {computed.size} points measured.")
    rows, columns = np.ix_(np.argsort(y), np.argsort(x))
    computed = computed[rows, columns]
    values = np.stack([metric[rows, columns] for metric in metrics.values()])
    errors = np.where(computed, np.nan if "_datasplit=" in Path(path).name else 0.0, np.nan)
    errors = np.broadcast_to(errors, values.shape)
    labels = raw.labels(settings["kind"])
    source = provenance(source=Path(path).name, plane_hash=_plane_hash(path, directions))
    if flat:
        return Profile(
            alpha=np.sort(x),
            metrics=tuple(metrics),
            values=values[None, :, 0],
            standard_error=errors[None, :, 0],
            names=(raw.network_of(path),),
            label=labels[0],
            settings=settings,
            provenance=source,
        )
    gram, explained = _geometry(directions)
    return Surface(
        alpha=np.sort(x),
        beta=np.sort(y),
        metrics=tuple(metrics),
        values=values,
        standard_error=errors,
        computed=computed,
        gram=gram,
        explained=explained,
        labels=labels,
        settings=settings,
        provenance=source,
    )


def read_projection(path: FilePath, *, directions: Directions = None) -> Projection:
    """A projected trajectory of the 2018 tool.

    The file holds coordinates only: `step` counts the checkpoints, distances from the plane and
    the share shown are unknown (NaN).

    Raises:
        SchemaError: If the file holds no projected trajectory.
    """
    _require("projection", path)
    with opened(path) as file:
        x, y = (raw.array(path, file, name) for name in ("proj_xcoord", "proj_ycoord"))
    if x.ndim != 1 or x.shape != y.shape or not x.size:
        raise SchemaError(f"{path}: {x.shape} x and {y.shape} y coordinates are no trajectory.")
    return Projection(
        name=raw.network_of(path),
        optimizer="",
        step=np.arange(len(x)),
        coordinates=np.stack([x, y], axis=1),
        residual=np.full(len(x), np.nan),
        shown=float("nan"),
        settings={**raw.settings(path), "steps": "number of the checkpoint"},
        provenance=provenance(source=Path(path).name, plane_hash=_plane_hash(path, directions)),
    )


def read_directions(path: FilePath, state: Mapping[str, Tensor]) -> Plane | Line:
    """One or two directions of the 2018 tool around a network's weights.

    Args:
        path: The file of the directions.
        state: The network's state dict, for example from `load_state`. Its running statistics
            are no part of the plane; directions that move them are refused.

    Returns:
        The line or plane; it knows the names of its tensors.

    Raises:
        SchemaError: If the file holds no directions, or those of another network.
    """
    _require("directions", path)
    known = {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}
    weights = [name for name in known if not name.endswith(_BUFFERS)]
    layout = Layout.joined(
        Entry(name, known[name].shape, 0, "weight" if known[name].ndim > 1 else "bias")
        for name in weights
    )
    with opened(path) as file:
        found = raw.directions(path, file)
        explained = raw.shares(path, file)
    rows = []
    for tensors in found:
        orders = (weights, list(known), [n for n in known if not n.endswith(_BUFFERS[2])])
        order = next((o for o in orders if len(o) == len(tensors)), None)
        if order is None:
            raise SchemaError(
                f"{path} has {len(tensors)} tensors per direction; the network has {len(weights)} "
                f"parameters and {len(known)} entries in its state. They do not belong together."
            )
        named = dict(zip(order, tensors, strict=True))
        for name, tensor in named.items():
            if tensor.shape != known[name].shape:
                raise SchemaError(
                    f"{path}: the direction of {name} has shape {tensor.shape}, the parameter "
                    f"{known[name].shape}; they belong to different networks."
                )
            if name not in weights and tensor.any():
                raise SchemaError(
                    f"{path} also moves {name}, a running statistic; such directions (made "
                    "without xignore=biasbn) cannot be used here."
                )
        rows.append(np.concatenate([named[name].ravel() for name in weights]))
    directions, settings = np.stack(rows).astype(np.float32), raw.settings(path)
    return (Plane if len(rows) == 2 else Line)(
        origin=Vector(np.concatenate([known[name].ravel() for name in weights]), layout),
        directions=directions,
        gram=inner(directions, directions),
        labels=raw.labels(settings["kind"])[: len(rows)],
        explained=None if explained is None else explained[: len(rows)],
        settings=settings,
        provenance=provenance(source=Path(path).name, file_hash=fingerprint(directions)),
    )


def _require(kind: str, path: FilePath) -> None:
    if (is_kind := raw.kind_of(path)) != kind:
        raise SchemaError(f"{path} holds {is_kind}, not {kind}.")


def _plane_hash(path: FilePath, directions: Directions) -> str:
    if isinstance(directions, Plane | Line):
        return fingerprint(directions.origin, directions.directions)
    return raw.plane_hash(path)


def _geometry(directions: Directions) -> tuple[np.ndarray, np.ndarray | None]:
    """Gram matrix of two directions, and the shares of the variation along them."""
    if directions is None:
        return np.full((2, 2), np.nan), None
    if isinstance(directions, Plane | Line):
        return directions.gram, directions.explained
    with opened(directions) as file:
        both = raw.directions(directions, file)
        explained = raw.shares(directions, file)
    rows = [np.concatenate([tensor.ravel() for tensor in tensors]) for tensors in both]
    if len(rows) != 2 or rows[0].shape != rows[1].shape:
        raise SchemaError(f"{directions} does not hold two directions of equal length.")
    return inner(np.stack(rows), np.stack(rows)), explained
