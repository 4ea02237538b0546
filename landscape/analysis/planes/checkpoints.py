"""Lines and planes through checkpoints that stay in their files: nothing is copied.

Every argument that stands for a network may be one checkpoint or several, whose average (a soup)
it then is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from landscape.analysis.planes.pca import Origin, random_walk_shares
from landscape.base.checkpoint_files import is_called_like_a_buffer
from landscape.base.files import expanded
from landscape.base.progress import Progress
from landscape.base.provenance import provenance
from landscape.objective.vectors.files import FileTensors, blocks, open_checkpoints
from landscape.results.checkpoints import CheckpointLine, CheckpointPlane
from landscape.results.construction import Construction

File = str | os.PathLike[str]
Network = File | Sequence[File]

_BYTES = 2**27  # of differences that are held together


def checkpoint_line(start: Network, end: Network) -> CheckpointLine:
    """The straight line with one checkpoint at 0 and another at 1; beyond 1 it extrapolates.

    Args:
        start: A safetensors file, or a folder with such files; several are averaged.
        end: The same.

    Raises:
        ValueError: If they are of different models, or equal.

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from safetensors.torch import save_file
    >>> files = [Path(mkdtemp()) / "model.safetensors" for _ in range(3)]
    >>> for k, file in enumerate(files):
    ...     save_file({"w": torch.tensor([1.0 * k, k * k])}, file)
    >>> line = checkpoint_line(files[0], files[1])
    >>> line.gram.item(), line.coordinates.ravel().tolist()
    (2.0, [0.0, 1.0])
    """
    files, weights = _networks([start, end])
    return CheckpointLine(
        **_mixed(files, np.stack([weights[0], weights[1] - weights[0]]), labels=("α",)),
        settings=Construction(kind="between two checkpoints", normalization="none").settings(),
    )


def checkpoint_plane(
    base: Network,
    first: Network,
    second: Network,
    *,
    axes: Literal["skew", "orthonormal"] = "skew",
    names: Sequence[str] | None = None,
) -> CheckpointPlane:
    """The plane through three checkpoints, or averages of several.

    With a pretrained network and two that were fine-tuned from it the axes are task vectors
    (Ilharco et al. 2023, arXiv:2212.04089): (1, 1) adds both, (½, ½) averages, (-1, 0) forgets.

    Args:
        base: The network at (0, 0): a safetensors file, or a folder with such files.
        first: The second; at (1, 0) on skew axes.
        second: The third; at (0, 1) on skew axes.
        axes: As for `plane_through`.
        names: What the three are called; pictures mark and name them.

    Raises:
        ValueError: If they are of different models, or lie on one line.

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from safetensors.torch import save_file
    >>> files = [Path(mkdtemp()) / "model.safetensors" for _ in range(3)]
    >>> for k, file in enumerate(files):
    ...     save_file({"w": torch.tensor([1.0 * k, k * k])}, file)
    >>> plane = checkpoint_plane(*files)  # (0, 0), (1, 1), (2, 4)
    >>> plane.gram.tolist()
    [[2.0, 6.0], [6.0, 20.0]]
    """
    if axes not in ("skew", "orthonormal"):
        raise ValueError(f"axes must be one of 'skew', 'orthonormal'; not {axes!r}.")
    if names is not None and len(names) != 3:
        raise ValueError(f"Three networks have three names; got {len(names)}.")
    files, (zero, one, two) = _networks([base, first, second])
    products, moved = inner_products(files)
    across, up, labels = one - zero, two - zero, ("α", "β")
    if axes == "orthonormal":
        length = np.sqrt(across @ products @ across)
        across = across / (length or 1.0)
        up = up - (across @ products @ up) * across
        up = up / (np.sqrt(max(up @ products @ up, 0.0)) or 1.0)
        labels = ("distance towards the second", "distance across")
    made = _mixed(files, np.stack([zero, across, up]), labels=labels, known=(products, moved))
    at = np.array([[0.0, 1, 0], [0, 0, 1]])
    if axes == "orthonormal":
        corners = np.stack([zero, one, two]) - zero
        at = np.linalg.solve(made["gram"], made["mixture"][1:] @ products @ corners.T)
    x, y = at.tolist()
    told = Construction(
        kind="through three checkpoints",
        normalization="none",
        box=[float(v) for row in at for v in (row.min(), row.max())],
        points=None if names is None else {"names": list(names), "x": x, "y": y},
    )
    return CheckpointPlane(**made, settings=told.settings())


def checkpoint_pca(
    paths: Sequence[File], *, steps: Sequence[int] | None = None, origin: Origin = "final"
) -> CheckpointPlane:
    """The plane that holds most of the variation of a series of checkpoints.

    As `pca_plane`, from files: the Gram matrix of the series is added up tensor by tensor, so the
    memory needed does not grow with the model. `CheckpointPlane.path` is the series on the plane.

    Args:
        paths: At least three checkpoints of one model, in the order in which they were taken.
        steps: Optimizer step of each; default: they are counted from zero.
        origin: The point at (0, 0): ``final``, ``initial`` or ``mean``.

    Raises:
        ValueError: If there are fewer than three, they are of different models or on one line, or
            the steps do not increase.

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from safetensors.torch import save_file
    >>> files = [Path(mkdtemp()) / "model.safetensors" for _ in range(3)]
    >>> for k, file in enumerate(files):
    ...     save_file({"w": torch.tensor([1.0 * k, k * k])}, file)
    >>> plane = checkpoint_pca(files, origin="mean")
    >>> plane.explained.sum().round(6).item(), plane.path().coordinates.shape
    (1.0, (3, 2))
    """
    if origin not in ("mean", "initial", "final"):
        raise ValueError(f"origin must be one of 'mean', 'initial', 'final'; not {origin!r}.")
    files, n = open_checkpoints([expanded(p) for p in paths]), len(paths)
    if n < 3:
        raise ValueError(f"A plane needs three checkpoints or more; got {n}.")
    taken = np.arange(n) if steps is None else np.asarray(steps)
    if len(taken) != n or (np.diff(taken) <= 0).any():
        raise ValueError(f"Got {n} checkpoints and the steps {list(taken)}; give increasing ones.")
    products, moved = inner_products(files)
    zero = np.full(n, 1 / n) if origin == "mean" else np.eye(n)[0 if origin == "initial" else -1]
    offsets = np.eye(n) - zero
    gram = offsets @ products @ offsets.T
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1], vectors[:, ::-1]
    if not values[1] > 1e-12 * values[0]:
        raise ValueError(
            "The checkpoints lie on one line, so they span no plane; use checkpoint_line."
        )
    mix = (vectors[:, :2] / np.sqrt(values[:2])).T
    # The sign of a singular vector is arbitrary: the series ends on the positive side.
    way = (mix @ gram)[:, -1] - (mix @ gram)[:, 0]
    mix = mix * np.where(way < 0, -1.0, 1.0)[:, None]
    at = mix @ gram
    made = _mixed(
        files,
        np.stack([zero, *(mix @ offsets)]),
        labels=("PC 1", "PC 2"),
        known=(products, moved),
        steps=taken,
    )
    return CheckpointPlane(
        **made,
        explained=values[:2] / np.trace(gram),
        explained_null=random_walk_shares([taken], origin=origin)[:2],
        settings=Construction(
            kind="PCA",
            states=n,
            normalization="none",
            origin=origin,
            box=[float(v) for row in at for v in (row.min(), row.max())],
        ).settings(),
    )


def inner_products(files: Sequence[FileTensors]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Inner products of the checkpoints' differences from the first, and which tensors differ.

    Tensors called like buffers are left out. Float64, shape (checkpoints, checkpoints).
    """
    total, moved = np.zeros((len(files), len(files))), []
    names = [name for name in files[0].names if not is_called_like_a_buffer(name)]
    most = max(1, _BYTES // (8 * len(files)))
    with Progress("checkpoints", len(names), unit="tensor") as progress:
        for name in names:
            differs = False
            for rows in blocks(files[0].shape(name), most):
                first = files[0].read(name, rows).double().reshape(-1)
                offsets = torch.zeros(len(files), len(first), dtype=torch.float64)
                for row, file in zip(offsets[1:], files[1:], strict=True):
                    torch.sub(file.read(name, rows).double().reshape(-1), first, out=row)
                differs = differs or bool(offsets.any())
                total += (offsets @ offsets.T).numpy()
            if differs:
                moved.append(name)
            progress.advance()
    if not np.isfinite(total).all():
        raise ValueError("A checkpoint holds non-finite parameters; leave out what diverged.")
    return total, tuple(moved)


def _networks(given: Sequence[Network]) -> tuple[list[FileTensors], np.ndarray]:
    """The checkpoints, each once, and the weights of each network, shape (networks, files)."""
    lists = [
        [expanded(n)] if isinstance(n, str | os.PathLike) else [expanded(p) for p in n]
        for n in given
    ]
    if not all(lists):
        raise ValueError("A network is one checkpoint or several; got an empty list.")
    paths = list(dict.fromkeys(path for paths in lists for path in paths))
    weights = np.array([[paths_.count(p) / len(paths_) for p in paths] for paths_ in lists])
    return open_checkpoints(paths), weights


def _mixed(
    files: Sequence[FileTensors],
    mixture: np.ndarray,
    *,
    labels: tuple[str, ...],
    known: tuple[np.ndarray, tuple[str, ...]] | None = None,
    steps: np.ndarray | None = None,
) -> dict[str, Any]:
    products, moved = known or inner_products(files)
    return {
        "files": tuple(str(Path(file.path).absolute()) for file in files),
        "digests": tuple(file.digest for file in files),
        "step": np.arange(len(files)) if steps is None else np.asarray(steps, np.int64),
        "mixture": mixture,
        "products": products,
        "gram": mixture[1:] @ products @ mixture[1:].T,
        "labels": labels,
        "moved": moved,
        "provenance": provenance(),
    }
