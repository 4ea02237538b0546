"""Trajectories made of checkpoints that already exist."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape.base.files import expanded
from landscape.base.layout import Layout
from landscape.base.progress import Progress
from landscape.base.runs.tables import refuse_existing, refuse_written
from landscape.base.runs.writer import TrajectoryWriter
from landscape.exchange.checkpoints.content import Content, content_of, distinct, guessed_content
from landscape.exchange.checkpoints.order import ordered
from landscape.exchange.checkpoints.state import is_checkpoint, is_model_file, load_state
from landscape.objective.vectors.renamed import renamed
from landscape.tasks.language import is_language_model, load_language_model


def import_checkpoints(
    paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    model: nn.Module | None = None,
    key: str | None = None,
    run: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Make a trajectory of checkpoints, one state each; a single one will do.

    A checkpoint does not say which of its tensors are parameters, nor which axis of a weight
    counts its filters. With the model all of this is known: tensors are found by name, whatever
    wrapper they were saved under, and stored in the model's order. Without it, it is guessed:
    floating-point tensors are parameters but those named like buffers (running statistics, masks,
    rotary frequencies); a tensor under two names (tied weights) is stored once; one-dimensional
    tensors beside running statistics, or in a module called after a normalization, are norm
    parameters; and the filters of a weight lie along the axis that has the length of its bias.

    Args:
        paths: Files or folders that `load_state` reads, or folders that hold them. Ordered by
            the number that tells them apart, else as given; see
            `landscape.exchange.checkpoints.order`.
        out: The trajectory file to create.
        model: The model of the checkpoints, or the part of it that is to be studied.
        key: Which state dict, where a file holds several.
        run: How the run was made, as far as known; JSON-serialisable.
        overwrite: Replace an existing file.

    Returns:
        `out`.

    Raises:
        ValueError: If there is no checkpoint, or they differ in names or shapes among
            themselves or from the model.
        FileExistsError: If `out` exists.

    >>> import torch
    >>> import landscape as ls
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> torch.save(model.state_dict(), "model.pt")
    >>> run = ls.Trajectory(ls.import_checkpoints(["model.pt"], "one.h5", model=model))
    >>> len(run), [entry.name for entry in run.layout]
    (1, ['weight', 'bias'])
    """
    out = expanded(out)
    if not overwrite:
        refuse_existing(out)
    refuse_written(out)
    given = [p for path in paths for p in _checkpoints(expanded(path))]
    found, steps = ordered(list(dict.fromkeys(given)))
    if not found:
        raise ValueError(
            f"No checkpoint was found in {', '.join(str(p) for p in paths)}; give the files "
            "themselves (model_*.pt)."
        )
    first = _state(found[0], key, model)
    content = guessed_content(found[0], first) if model is None else content_of(model, first)
    frozen, wide = _flat(first, content, content.frozen), _wide(first, content)
    settings = {"name": found[0].absolute().parent.name, "imported": [p.name for p in found]}
    with (
        _finished(out) as unfinished,
        TrajectoryWriter(
            unfinished,
            content.parameters,
            buffers_layout=content.buffers,
            frozen=(content.frozen, frozen),
            run={**settings, **(run or {})},
            overwrite=True,
            dtype="float64" if "parameters" in wide else "float32",
            double=wide,
        ) as writer,
        Progress("import", len(found), unit="checkpoint") as progress,
    ):
        for step, path in zip(steps, found, strict=True):
            state = _state(path, key, model)
            if model is None:
                _check_same(found[0], distinct(first), path, state)
                here = content
            else:
                here = content_of(model, state)
                _check_fixed(path, content, here, _flat(state, here, here.frozen), frozen)
            if more := _wide(state, here) - wide:
                raise ValueError(
                    f"{path} holds its {' and '.join(sorted(more))} in double precision, "
                    f"{found[0]} does not; convert one of them."
                )
            buffers = _flat(state, here, content.buffers) if content.buffers.size else None
            writer.append_state(step, _flat(state, here, content.parameters), buffers)
            writer.commit()
            progress.advance()
    return out


def _state(path: Path, key: str | None, model: nn.Module | None) -> dict[str, Tensor]:
    """The tensors of a checkpoint; of a language model whose library joins some, as it does."""
    state = load_state(path, key=key)
    if model is None or not is_language_model(path):
        return state
    names = set(renamed(model, state).values())
    joined = [e for e in Layout.of(model) if names.isdisjoint((e.name, *e.aliases))]
    known = {part.partition(".")[0] for part in names}
    whole = any(e.name.partition(".")[0] in known for e in joined)  # else a prefix is missing
    return load_language_model(path).state_dict() if joined and whole else state


@contextlib.contextmanager
def _finished(out: Path) -> Iterator[Path]:
    """A file beside `out` that takes its place once it is finished, and goes where it is not."""
    unfinished = out.with_name(out.name + ".unfinished")
    try:
        yield unfinished
        os.replace(unfinished, out)
    finally:
        unfinished.unlink(missing_ok=True)


def _checkpoints(path: Path) -> list[Path]:
    """The checkpoints that a path stands for: itself, or those in the folder."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file.")
    if not path.is_dir():
        return [path]
    inside = sorted((p for p in path.iterdir() if p.is_dir() and is_checkpoint(p)), key=str)
    if is_checkpoint(path):  # a trainer's folder may hold the last model beside its checkpoints
        return inside or [path]
    return sorted(
        (p for p in path.iterdir() if p in inside or (p.is_file() and is_model_file(p))), key=str
    )


def _check_same(
    first_path: Path, first: Mapping[str, Tensor], path: Path, state: Mapping[str, Tensor]
) -> None:
    missing = [name for name in first if name not in state]
    extra = [name for name in distinct(state) if name not in first]
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


def _check_fixed(
    path: Path, first: Content, here: Content, frozen: np.ndarray, before: np.ndarray
) -> None:
    for mine, theirs, what in (
        (first.buffers, here.buffers, "buffers"),
        (first.frozen, here.frozen, "parameters that are not trained"),
    ):
        if problem := mine.differences(theirs):
            raise ValueError(f"{path} holds other {what} than the first checkpoint: {problem}.")
    for entry in first.frozen:
        if not np.array_equal(frozen[entry.slice], before[entry.slice], equal_nan=True):
            raise ValueError(
                f"{entry.name} is not trained in the model (requires_grad is False), but {path} "
                "has other values than the first checkpoint; call requires_grad_(True) on it."
            )


def _flat(state: Mapping[str, Tensor], content: Content, layout: Layout) -> np.ndarray:
    """The tensors of a layout, in double precision where one of them is, else in single."""
    parts = [state[content.named[entry.name]].reshape(-1) for entry in layout]
    wide = any(part.dtype == torch.float64 for part in parts)
    parts = [part.to(torch.float64 if wide else torch.float32) for part in parts]
    return torch.cat(parts).numpy() if parts else np.zeros(0, np.float32)


def _wide(state: Mapping[str, Tensor], content: Content) -> set[str]:
    """Which parts of a checkpoint are in double precision."""
    held = {"parameters": content.parameters, "buffers": content.buffers, "frozen": content.frozen}
    return {n for n, part in held.items() if _flat(state, content, part).dtype == np.float64}
