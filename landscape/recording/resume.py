"""Resuming: go on with a recording after a restart, from the state that the live model is in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from landscape.base.layout import Layout
from landscape.base.runs.trajectory import Trajectory
from landscape.base.runs.writer import TrajectoryWriter
from landscape.recording.numbers.random_state import checked_random_state, restore_random_state


@dataclass(frozen=True)
class Resumable:
    """A recording that can go on; nothing was changed yet.

    Attributes:
        path: The file.
        states: How many of its states are kept.
        step: The step that the live model is at.
        initial: θ_0, shape (P,).
        update: The last update, shape (P,); None when its states were not recorded exactly.
        random_state: The random generators as they were; None leaves them.
        stored: Whether the last state that is kept is that of `step`.
        buffers: The buffers of that state, shape (B,), if there are any.
        beside: The tensors beside the model at that state, shape (A,), if there are any.
    """

    path: Path
    states: int
    step: int
    initial: np.ndarray
    update: np.ndarray | None
    random_state: np.ndarray | None
    stored: bool
    buffers: np.ndarray | None
    beside: np.ndarray | None

    def open(self) -> TrajectoryWriter:
        """Set the random generators, and drop what lies beyond the live model's step."""
        writer = TrajectoryWriter.reopened(self.path)
        try:
            if self.random_state is not None:
                restore_random_state(self.random_state)
        except BaseException:  # nothing was changed
            writer.discard()
            raise
        writer.truncate(states=self.states, updates=self.step)
        return writer


def resumable(
    path: str | os.PathLike[str],
    layouts: Mapping[str, Layout],
    live: np.ndarray,
    *,
    step: int | None = None,
    holds: Mapping[str, Any],
) -> Resumable:
    """Find where a recording is to go on. The file is only read.

    Args:
        path: The recording.
        layouts: Layouts of what will be recorded: ``parameters``, ``buffers``, ``beside``.
        live: The model's present parameters, shape (P,).
        step: The step that the model is at; None finds it, see `resume_row`.
        holds: The settings that must agree with those of the file, see `Trajectory.holds`. When
            it says that random states are stored, they are to be restored; they may be there
            without.

    Raises:
        ValueError: If model or settings do not fit the file.
        NoStateError: If nothing was recorded yet.
    """
    with Trajectory(path) as run:
        row, step = resume_row(run, layouts, live, step)
        for name, value in holds.items():
            if run.holds[name] != value and (name, value) != ("random_state", False):
                raise ValueError(
                    f"{path} was recorded with {name}={run.holds[name]!r}, not {value!r}; resume "
                    "with the same settings."
                )
        exact = row > 0 and list(run.steps[row - 1 : row + 1]) == [step - 1, step]
        with np.errstate(over="ignore", invalid="ignore"):
            whole = exact and run.holds["dtype"] != "float16-delta"
            update = live - run.state(row - 1) if whole else None
        state = None
        if holds["random_state"]:
            state = run.random_state(row) if run.steps[row] == step else None
            if state is None:
                raise ValueError(
                    f"{path} holds no random state for step {step}; load the checkpoint of a "
                    f"recorded step, for example {run.steps[row]}, or pass random_state=False to "
                    "go on without."
                )
            checked_random_state(state)
        return Resumable(
            Path(path), row + 1, step, run.initial, update, state,
            bool(run.steps[row] == step), run.buffers(row), run.beside(row),
        )  # fmt: skip


def resume_row(
    trajectory: Trajectory,
    layouts: Mapping[str, Layout],
    live: np.ndarray,
    step: int | None = None,
) -> tuple[int, int]:
    """The last state to keep and the step that the live model is at.

    Args:
        trajectory: The recording to go on with.
        layouts: Layouts of what will be recorded: ``parameters``, ``buffers``, ``beside``.
        live: The model's present parameters, shape (P,).
        step: The step that the model is at; None finds the last recorded state that equals
            `live` bit for bit.

    Returns:
        Row of the last state to keep; the step to go on from.

    Raises:
        ValueError: If the file belongs to another model, or the model is in no recorded state.
    """
    for stored, what, name in (
        (trajectory.layout, "parameters", "parameters"),
        (trajectory.buffers_layout, "buffers", "buffers"),
        (trajectory.beside_layout, "tensors beside the model", "beside"),
    ):
        mine = layouts[name]
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
