"""Mixtures of checkpoints in files, as vectors that are not held."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from landscape.base.layout import Entry, Layout
from landscape.base.names import plain_name
from landscape.objective.inspection.present import gathered
from landscape.objective.lending.room import Room
from landscape.objective.problem import Problem
from landscape.objective.vectors.files import FileTensors, blocks, open_checkpoints
from landscape.objective.vectors.lazy import Vectors, vectors_of
from landscape.objective.vectors.renamed import renamed
from landscape.results.checkpoints import CheckpointLine, CheckpointPlane

_BLOCK = 2**20  # elements that are compared together


class Mixtures:
    """Several mixtures of the same checkpoints, read together.

    The rows that were made last are kept, for one mixture after the other is asked for them: so
    every file is read once.

    Args:
        files: The checkpoints.
        coefficients: Shape (mixtures, checkpoints); rows sum to one (points) or zero (directions).
        names: The model's names of tensors to those in the files.
    """

    coefficients: np.ndarray
    files: list[FileTensors]
    names: dict[str, str]

    def __init__(
        self, files: list[FileTensors], coefficients: np.ndarray, names: Mapping[str, str]
    ) -> None:
        self.files, self.coefficients, self.names = files, coefficients, dict(names)
        self._last: tuple[tuple[str, int, int], list[Tensor]] | None = None

    def rows(self, number: int, name: str, rows: slice) -> Tensor:
        """Rows of one tensor of one mixture, on the CPU."""
        key = name, rows.start or 0, -1 if rows.stop is None else rows.stop
        if self._last is None or self._last[0] != key:
            self._last = None
            self._last = key, self._made(self.names[name], rows)
        return self._last[1][number]

    def _made(self, name: str, rows: slice) -> list[Tensor]:
        """Σ c_j x_j as (Σ c_j) x_0 + Σ c_j (x_j - x_0): what all share does not round."""
        found: list[Tensor | None] = [None] * len(self.coefficients)
        used = np.flatnonzero((self.coefficients != 0).any(axis=0)).tolist()
        first = self.files[used[0]].read(name, rows)
        wide = torch.promote_types(first.dtype, torch.float32)
        base = first.to(wide)
        for j in used[1:]:
            other = self.files[j].read(name, rows)
            difference = other.to(wide) - base
            for m, row in enumerate(self.coefficients):
                if row[j] == 1 and np.count_nonzero(row) == 1:
                    found[m] = other  # the checkpoint itself, as it is stored
                elif row[j]:
                    so_far = found[m]
                    part = difference * float(row[j])
                    found[m] = part if so_far is None else so_far.add_(part)
        made = []
        for part, row in zip(found, self.coefficients, strict=True):
            alone = np.count_nonzero(row) == 1
            if part is None:
                made.append(first if row[used[0]] == 1 else base * float(row[used[0]]))
            elif alone or abs(row.sum()) < 0.5:  # a direction
                made.append(part)
            else:
                made.append(part + base)
        return made


class Mixture:
    """One of several mixtures, as a vector that is not held."""

    mixtures: Mixtures
    number: int

    def __init__(self, mixtures: Mixtures, number: int, digest: str) -> None:
        self.mixtures, self.number, self._digest = mixtures, number, digest

    def moves(self, entry: Entry) -> bool:
        """Whether a tensor may not be zero; see `LazyVector`."""
        return True

    def tensor(
        self, entry: Entry, rows: slice, device: torch.device, room: Room | None = None
    ) -> Tensor:
        """Rows of one tensor; see `LazyVector`."""
        return self.mixtures.rows(self.number, entry.name, rows).to(device)

    @property
    def digest(self) -> str:
        """A short text that tells this vector from every other."""
        return f"{self._digest}/{self.number}"


@vectors_of.register(CheckpointPlane)
@vectors_of.register(CheckpointLine)
def vectors_of_checkpoints(place: CheckpointLine | CheckpointPlane, problem: Problem) -> Vectors:
    """The origin and the directions of a line or plane through checkpoints.

    Raises:
        ValueError: If the checkpoints changed, or belong to another model.
    """
    files = open_checkpoints(place.files)
    for file, before in zip(files, place.digests, strict=True):
        if file.digest != before:
            raise ValueError(
                f"{file.path} has changed since the {type(place).__name__} was made; make it anew."
            )
    mixtures = Mixtures(files, place.mixture, _names(place, files, problem))
    origin, *directions = (Mixture(mixtures, k, place.digest) for k in range(len(place.mixture)))
    return origin, directions


def _names(
    place: CheckpointLine | CheckpointPlane, files: list[FileTensors], problem: Problem
) -> dict[str, str]:
    """The model's names of its trainable parameters to those in the files.

    Raises:
        ValueError: If a parameter is missing, or the model does not train what differs between
            the checkpoints, or what it does not train has other values in them.
    """
    layout, model = problem.layout, problem.model
    saved = {new: old for old, new in renamed(model, files[0].names).items()}
    theirs = Layout.joined(Entry(n, files[0].shape(saved[n]), 0, "norm") for n in saved)
    frozen = Layout.of_frozen(model)
    pairs = Layout.joined((*layout, *frozen)).pairs(theirs)
    missing = [entry.name for entry in layout if entry.name not in pairs]
    if missing:
        raise ValueError(
            f"The checkpoints are of another model: {layout.differences(theirs)}. Where only the "
            "names in the files are others (fused experts), save the model as it is loaded: "
            "save_pretrained(folder, save_original_format=False)."
        )
    names = {entry.name: saved[pairs[entry.name].name] for entry in layout}
    fixed = {e.name: saved[pairs[e.name].name] for e in frozen if e.name in pairs}
    moved = set(place.moved) - set(names.values())
    own = dict(model.named_parameters())
    for mine, name in fixed.items():
        if name in moved or not _same(gathered(own[mine]), files[0], name):
            raise ValueError(
                f"{mine} is not trained in the model (requires_grad is False), but has other "
                "values in the checkpoints; call requires_grad_(True) on it, or load them."
            )
    twins = {plain_name(alias): e.name for e in layout for alias in (e.name, *e.aliases)}
    for name in sorted(moved - set(fixed.values())):
        mine = next((m for t, m in twins.items() if plain_name(name).endswith(t)), None)
        if mine is None:
            raise ValueError(
                f"{name} differs between the checkpoints, and the model has no such parameter."
            )
        if any(not _same(file.read(names[mine]), file, name) for file in files):
            raise ValueError(
                f"{name} and {names[mine]} are one tensor in the model and two with other values "
                "in the checkpoints; give a model in which they are not tied."
            )
    return names


def _same(own: Tensor, file: FileTensors, name: str) -> bool:
    """Whether a tensor has the values that a file has, in its own type."""
    if tuple(own.shape) != file.shape(name):
        return False
    for rows in blocks(file.shape(name), _BLOCK):
        part = own[rows] if own.ndim else own
        if not torch.equal(file.read(name, rows).to(part.dtype), part.cpu()):
            return False
    return True
