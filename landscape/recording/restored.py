"""Restoring: a model as it was at a recorded step."""

from __future__ import annotations

import numpy as np
import torch

from landscape.layout import Entry, Layout
from landscape.trajectory import Trajectory


def restore(model: torch.nn.Module, trajectory: Trajectory, step: int = -1) -> None:
    """Put a recorded state back into a model: parameters, buffers, and what was not trained.

    Tensors are found by name; the names of wrappers (`DataParallel`, `torch.compile`) and prefixes
    that all of them carry make no difference. Every value gets the type of the model's tensor.
    Integer buffers (batch counters), and what the file does not hold (early versions hold no
    parameters that were not trained), stay as they are.

    Args:
        model: The model, whose tensors are overwritten.
        trajectory: Where the state was recorded.
        step: The optimizer step after which the state was taken, one of `trajectory.steps`;
            negative numbers count states from the end, -1 is the last.

    Raises:
        ValueError: If the step was not recorded, or the trajectory is of another model; nothing is
            overwritten then.

    Example:
        ``landscape.restore(model, landscape.Trajectory("data/adam.h5"), 100)``
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
    targets = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    values = dict(zip((entry.name for entry in theirs), (v for _, v in stored), strict=True))
    with torch.no_grad():
        for name, entry in pairs.items():
            value = torch.from_numpy(np.ascontiguousarray(values[entry.name]))
            targets[name].copy_(value.reshape(entry.shape))


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
