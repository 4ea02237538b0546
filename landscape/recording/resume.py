"""Resuming: go on with a recording after a restart, from the state that the live model is in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from landscape.layout import Layout
from landscape.recording.random_state import restore_random_state
from landscape.recording.writer import TrajectoryWriter
from landscape.trajectory import Trajectory


@dataclass(frozen=True)
class Resumed:
    """A recording opened to go on.

    Attributes:
        writer: Appends after the kept states.
        step: The step that the live model is at.
        initial: θ_0, shape (P,).
        update: The last update, shape (P,); None when its states were not recorded exactly.
    """

    writer: TrajectoryWriter
    step: int
    initial: np.ndarray
    update: np.ndarray | None


def resumed(
    path: str | os.PathLike[str],
    layout: Layout,
    buffers_layout: Layout,
    live: np.ndarray,
    *,
    step: int | None = None,
    holds: Mapping[str, Any],
) -> Resumed:
    """Open a recording to go on with; what lies beyond the live model's step is dropped.

    Args:
        path: The recording.
        layout: Layout of what will be recorded.
        buffers_layout: The same for the buffers.
        live: The model's present parameters, shape (P,).
        step: The step that the model is at; None finds it, see `resume_row`.
        holds: The settings that must agree with those of the file, see `Trajectory.holds`. When
            it says that random states are stored, they are restored.

    Raises:
        ValueError: If model or settings do not fit the file.
        NoStateError: If nothing was recorded yet.
    """
    with Trajectory(path) as run:
        row, step = resume_row(run, layout, buffers_layout, live, step)
        for name, value in holds.items():
            if run.holds[name] != value:
                raise ValueError(
                    f"{path} was recorded with {name}={run.holds[name]!r}, not {value!r}; resume "
                    "with the same settings."
                )
        exact = row > 0 and list(run.steps[row - 1 : row + 1]) == [step - 1, step]
        with np.errstate(over="ignore", invalid="ignore"):
            update = (
                live - run.state(row - 1) if exact and run.holds["dtype"] == "float32" else None
            )
        random_state = run.random_state(row)
        if holds["random_state"] and run.steps[row] != step:
            raise ValueError(
                f"{path} holds no random state for step {step}; load the checkpoint of a recorded "
                f"step, for example {run.steps[row]}."
            )
        initial = run.initial
    writer = TrajectoryWriter.reopened(path)
    writer.truncate(states=row + 1, updates=step)
    if random_state is not None:
        restore_random_state(random_state)
    return Resumed(writer, step, initial, update)


def resume_row(
    trajectory: Trajectory,
    layout: Layout,
    buffers_layout: Layout,
    live: np.ndarray,
    step: int | None = None,
) -> tuple[int, int]:
    """The last state to keep and the step that the live model is at.

    Args:
        trajectory: The recording to go on with.
        layout: Layout of what will be recorded.
        buffers_layout: The same for the buffers.
        live: The model's present parameters, shape (P,).
        step: The step that the model is at; None finds the last recorded state that equals
            `live` bit for bit.

    Returns:
        Row of the last state to keep; the step to go on from.

    Raises:
        ValueError: If the file belongs to another model, or the model is in no recorded state.
    """
    for stored, mine, what in (
        (trajectory.layout, layout, "parameters"),
        (trajectory.buffers_layout, buffers_layout, "buffers"),
    ):
        problem = stored.differences(mine) if stored.size or mine.size else ""
        if problem:
            raise ValueError(
                f"{trajectory.path} was recorded with other {what} ({problem}); record to a new "
                "file."
            )
    if trajectory.updates < trajectory.steps[-1]:
        raise ValueError(f"{trajectory.path} was not written by a Recorder; record to a new file.")
    if step is None:
        for row in reversed(range(len(trajectory))):
            if _same(trajectory, row, live):
                return row, int(trajectory.steps[row])
        raise ValueError(
            f"The model is in none of the {len(trajectory)} states of {trajectory.path} (steps "
            f"{trajectory.steps[0]} to {trajectory.steps[-1]}). Load the checkpoint first; if its "
            "step was not recorded, pass resume=STEP."
        )
    if not 0 <= step <= trajectory.updates:
        raise ValueError(
            f"resume={step}, but {trajectory.path} holds steps 0 to {trajectory.updates}."
        )
    row = int(np.searchsorted(trajectory.steps, step, side="right")) - 1
    if trajectory.steps[row] == step and not _same(trajectory, row, live):
        raise ValueError(
            f"The model differs from the state recorded at step {step} of {trajectory.path}; load "
            "the checkpoint of that step first."
        )
    return row, step


def _same(trajectory: Trajectory, row: int, live: np.ndarray) -> bool:
    head = slice(0, 4096)  # most states differ there already
    return all(
        np.array_equal(trajectory.columns(np.array([row]), part)[0], stored, equal_nan=True)
        for part in (head, slice(None))
        for stored in (trajectory.rounded(live, part),)
    )
