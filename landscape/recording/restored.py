"""Restoring: a model as it was at a recorded state."""

from __future__ import annotations

import torch

from landscape.layout import Layout
from landscape.trajectory import Trajectory


def restore(model: torch.nn.Module, trajectory: Trajectory, index: int) -> None:
    """Copy a recorded state, with its buffers and the parameters that were not trained, to a model.

    Files of early versions hold no parameters that were not trained; these then stay as they are.

    Args:
        model: The model; its parameters and floating-point buffers are overwritten.
        trajectory: Where the state was recorded.
        index: Which state; negative counts from the end.

    Raises:
        ValueError: If the trajectory was recorded from another model.
    """
    for problem in (
        trajectory.layout.differences(Layout.of(model)),
        len(trajectory.buffers_layout)
        and trajectory.buffers_layout.differences(Layout.of_buffers(model)),
        len(trajectory.frozen_layout)
        and trajectory.frozen_layout.differences(Layout.of_frozen(model)),
    ):
        if problem:
            raise ValueError(f"the recorded tensors are not the model's: {problem}")
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    parts = [(trajectory.layout, trajectory.state(index))]
    buffers = trajectory.buffers(index)
    if buffers is not None:
        parts.append((trajectory.buffers_layout, buffers))
    frozen = trajectory.frozen
    if frozen is not None:
        parts.append((trajectory.frozen_layout, frozen))
    with torch.no_grad():
        for layout, vector in parts:
            for entry in layout:
                value = torch.from_numpy(vector[entry.slice]).reshape(entry.shape)
                named[entry.name].copy_(value)
