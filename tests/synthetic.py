"""Runs and objectives with known answers: written trajectories and quadratic bowls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import landscape as ls
from landscape.base.layout import Entry


def vector_layout(size: int) -> ls.Layout:
    """One weight of shape (1, size)."""
    return ls.Layout((Entry("weight", (1, size), 0, "weight"),))


def write_run(
    path: Path,
    states: np.ndarray,
    *,
    steps: Sequence[int] | None = None,
    layout: ls.Layout | None = None,
    scalars: Mapping[str, Sequence[float]] | None = None,
    name: str = "run",
    buffers_layout: ls.Layout | None = None,
    buffers: np.ndarray | None = None,
) -> ls.Trajectory:
    """Write `states` (rows) as a complete trajectory and open it."""
    steps = range(len(states)) if steps is None else steps
    layout = vector_layout(states.shape[1]) if layout is None else layout
    with ls.TrajectoryWriter(
        path, layout, run={"name": name}, buffers_layout=buffers_layout
    ) as writer:
        for row, (step, state) in enumerate(zip(steps, states, strict=True)):
            writer.append_state(step, state, None if buffers is None else buffers[row])
        for update in range(max(map(len, (scalars or {}).values()), default=0)):
            writer.append_update({key: column[update] for key, column in (scalars or {}).items()})
    return ls.Trajectory(path)


class Point(nn.Module):
    """A model that is its own parameter vector, as one weight of shape (1, size)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, size))


def bowl(curvature: np.ndarray, centre: np.ndarray | None = None) -> ls.Objective:
    """½ (θ - c)ᵀ diag(h) (θ - c) in double precision."""
    h = torch.as_tensor(curvature, dtype=torch.float64)
    c = torch.zeros_like(h) if centre is None else torch.as_tensor(centre, dtype=torch.float64)

    def loss(model: nn.Module, batch: tuple[Tensor]) -> Tensor:
        (point,) = model.parameters()
        return (0.5 * h * (point - c).square()).sum().expand(len(batch[0]))

    return ls.Objective(Point(len(curvature)), loss, (torch.ones(3),), precision="double")


def random_walk(steps: int, size: int, *, seed: int) -> np.ndarray:
    """Isotropic Gaussian random walk from zero, shape (steps + 1, size), float32."""
    increments = np.random.default_rng(seed).standard_normal((steps, size))
    return np.concatenate([np.zeros((1, size)), increments.cumsum(0)]).astype(np.float32)
