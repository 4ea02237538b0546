"""Trajectories made of checkpoints that already exist."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.layout import Entry, Kind, Layout
from landscape.progress import Progress
from landscape.recording.checkpoints import is_checkpoint, load_state
from landscape.recording.writer import TrajectoryWriter

_STATISTICS = ("running_mean", "running_var")


def import_checkpoints(
    paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    run: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Make a trajectory of checkpoints, one state each, in natural order of their names.

    A checkpoint does not say which of its tensors are parameters. Taken as parameters are all
    floating-point tensors but running statistics, which are stored as buffers; a tensor under two
    names (tied weights) is stored once. One-dimensional tensors beside running statistics, or in
    a module called after a normalization, count as norm parameters. The step of a state is the
    one that the Hugging Face trainer noted, else the last number in its name where these
    increase, else its place in the order.

    Args:
        paths: Files or folders that `load_state` reads, or one folder that holds them.
        out: The trajectory file to create.
        run: How the run was made, as far as known; JSON-serialisable.
        overwrite: Replace an existing file.

    Returns:
        `out`.

    Raises:
        ValueError: If there are fewer than two checkpoints, or they differ in names or shapes.
        FileExistsError: If `out` exists.
    """
    found = sorted({p for path in paths for p in _checkpoints(Path(path))}, key=_natural)
    if len(found) < 2:
        raise ValueError(
            f"A trajectory needs at least two checkpoints; found {len(found)} in "
            f"{', '.join(str(p) for p in paths)}. Give the files themselves (model_*.pt)."
        )
    first = _distinct(load_state(found[0]))
    layout, buffers_layout = _layouts(first)
    settings = {"name": found[0].absolute().parent.name, "imported": [p.name for p in found]}
    with (
        TrajectoryWriter(
            out,
            layout,
            buffers_layout=buffers_layout,
            run={**settings, **(run or {})},
            overwrite=overwrite,
        ) as writer,
        Progress("import", len(found), unit="checkpoint") as progress,
    ):
        for step, path in zip(_steps(found), found, strict=True):
            state = load_state(path)
            _check_same(found[0], first, path, state)
            buffers = _flat(state, buffers_layout) if buffers_layout.size else None
            writer.append_state(step, _flat(state, layout), buffers)
            writer.commit()
            progress.advance()
    return Path(out)


def _checkpoints(path: Path) -> list[Path]:
    if path.is_dir() and not is_checkpoint(path):
        return [child for child in path.iterdir() if is_checkpoint(child)]
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file.")
    return [path]


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """A sorting key in which model_9 comes before model_10."""
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]


def _steps(paths: list[Path]) -> list[int]:
    """The step of each checkpoint; strictly increasing."""
    steps = [_step(path) for path in paths]
    known = [step for step in steps if step is not None]
    if len(known) == len(steps) and all(a < b for a, b in pairwise(known)):
        return known
    return list(range(len(paths)))


def _step(path: Path) -> int | None:
    note = path / "trainer_state.json"
    if note.is_file():
        try:
            return int(json.loads(note.read_text())["global_step"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{note} does not say the step ({error!r}).") from error
    numbers = re.findall(r"\d+", path.stem if path.is_file() else path.name)
    return int(numbers[-1]) if numbers else None


def _distinct(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The floating-point tensors, each under its first name."""
    seen: set[tuple[int, torch.Size, tuple[int, ...]]] = set()
    kept = {}
    for name, tensor in state.items():
        key = (tensor.data_ptr(), tensor.shape, tensor.stride())
        if tensor.is_floating_point() and (key not in seen or not tensor.numel()):
            seen.add(key)
            kept[name] = tensor
    return kept


def _layouts(state: Mapping[str, Tensor]) -> tuple[Layout, Layout]:
    parameters: list[Entry] = []
    buffers: list[Entry] = []
    for name, tensor in state.items():
        statistic = name.endswith(_STATISTICS)
        entries = buffers if statistic else parameters
        offset = entries[-1].slice.stop if entries else 0
        kind: Kind = "norm" if statistic else _kind(name, tensor, state)
        entries.append(Entry(name, tuple(tensor.shape), offset, kind))
    return Layout(tuple(parameters)), Layout(tuple(buffers))


def _kind(name: str, tensor: Tensor, state: Mapping[str, Tensor]) -> Kind:
    if tensor.dim() >= 2:
        return "weight"
    module = name.rpartition(".")[0]
    called = re.search(r"norm|\bln_|\bbn\d*\b", module.rpartition(".")[2], re.IGNORECASE)
    return "norm" if called or f"{module}.running_mean" in state else "bias"


def _check_same(
    first_path: Path, first: Mapping[str, Tensor], path: Path, state: Mapping[str, Tensor]
) -> None:
    missing = [name for name in first if name not in state]
    extra = [n for n, t in _distinct(state).items() if n not in first]
    shapes = [n for n in first if n in state and state[n].shape != first[n].shape]
    parts = [
        f"{len(names)} {what} (first: {names[0]})"
        for names, what in (
            (missing, "tensors are missing"),
            (extra, "tensors are new"),
            (shapes, "tensors have another shape"),
        )
        if names
    ]
    if parts:
        raise ValueError(f"{path} is not of the same model as {first_path}: {'; '.join(parts)}.")


def _flat(state: Mapping[str, Tensor], layout: Layout) -> np.ndarray:
    return torch.cat([state[entry.name].reshape(-1).float() for entry in layout]).numpy()
