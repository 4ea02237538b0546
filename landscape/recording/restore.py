"""Restoring: a model as it was at a recorded step."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from landscape.base.layout import Entry, Layout
from landscape.base.runs.trajectory import Trajectory


def restore(
    model: torch.nn.Module,
    trajectory: Trajectory,
    step: int = -1,
    *,
    beside: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Put a recorded state back into a model: parameters, buffers, and what was not trained.

    Tensors are found by name; the names of wrappers (`DataParallel`, `torch.compile`) and prefixes
    that all of them carry make no difference. Every value gets the type of the model's tensor.
    Integer buffers (batch counters), and what the file does not hold (early versions hold no
    parameters that were not trained), stay as they are. Tensors that moved beside the model are
    put back into those of the same name in `beside`.

    Args:
        model: The model, whose tensors are overwritten.
        trajectory: Where the state was recorded.
        step: The optimizer step after which the state was taken, one of `trajectory.steps`;
            negative numbers count states from the end, -1 is the last.
        beside: Tensors that were recorded beside the model, by the names the recorder was given
            (or ``beside.0``, …); they are overwritten too.

    Raises:
        ValueError: If the step was not recorded, or the trajectory is of another model, or holds
            no such tensor beside it; nothing is overwritten then.

    Example:
        ``landscape.restore(model, landscape.Trajectory("data/adam.h5"), 100)``

    >>> import torch
    >>> import landscape as ls
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> torch.save(model.state_dict(), "model.pt")
    >>> run = ls.Trajectory(ls.import_checkpoints(["model.pt"], "one.h5", model=model))
    >>> other = torch.nn.Linear(2, 1)
    >>> ls.restore(other, run)
    >>> bool((other.weight == model.weight).all())
    True
    """
    index = _index(trajectory, step)
    stored = _stored(trajectory, index)
    theirs = Layout.joined(entry for entry, _ in stored)
    trained = Layout.of(model)
    mine = Layout.joined((*trained, *Layout.of_frozen(model), *Layout.of_buffers(model)))
    pairs = mine.pairs(theirs)
    if len(pairs) < len(theirs) or any(entry.name not in pairs for entry in trained):
        names = {*pairs, *(entry.name for entry in trained)}
        known = Layout.joined(entry for entry in mine if entry.name in names)
        raise ValueError(f"the recorded tensors are not the model's: {known.differences(theirs)}")
    held = _beside(trajectory, index, beside or {})
    targets = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    values = dict(zip((entry.name for entry in theirs), (v for _, v in stored), strict=True))
    with torch.no_grad():
        for name, entry in pairs.items():
            value = torch.from_numpy(np.ascontiguousarray(values[entry.name]))
            targets[name].copy_(value.reshape(entry.shape))
        for tensor, value in held:
            tensor.copy_(value)


def _beside(
    trajectory: Trajectory, index: int, named: Mapping[str, torch.Tensor]
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The user's tensors with what was recorded of them."""
    entries = {entry.name: entry for entry in trajectory.beside_layout}
    vector = trajectory.beside(index)
    found = []
    for name, tensor in named.items():
        if vector is None or name not in entries or entries[name].shape != tuple(tensor.shape):
            raise ValueError(
                f"{trajectory.path} holds no {name!r} of shape {tuple(tensor.shape)} beside the "
                f"model; it holds {[f'{n} {e.shape}' for n, e in entries.items()] or 'nothing'}."
            )
        value = torch.from_numpy(np.array(vector)[entries[name].slice])
        found.append((tensor, value.reshape(tensor.shape)))
    return found


def _index(trajectory: Trajectory, step: int) -> int:
    if -len(trajectory) <= step < 0:
        return step
    found = np.flatnonzero(trajectory.steps == step)
    if len(found):
        return int(found[0])
    near = trajectory.nearest(step)
    around = trajectory.steps[max(0, near - 2) : near + 3]
    raise ValueError(
        f"step {step} was not recorded in {trajectory.path}; it holds {len(trajectory)} states, "
        f"steps {trajectory.steps[0]} to {trajectory.steps[-1]}, near it "
        f"{', '.join(str(s) for s in around)}."
    )


def _stored(trajectory: Trajectory, index: int) -> list[tuple[Entry, np.ndarray]]:
    """Every tensor of a state, with its values."""
    parts = [
        (trajectory.layout, trajectory.state(index)),
        (trajectory.buffers_layout, trajectory.buffers(index)),
        (trajectory.frozen_layout, trajectory.frozen),
    ]
    return [
        (entry, np.asarray(vector)[entry.slice])
        for layout, vector in parts
        if vector is not None
        for entry in layout
    ]
