"""What an earlier measurement of a run's curvature still tells, now that the run is longer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from landscape.analysis.curvature.states import NUMBERS, TABLES
from landscape.base.runs.trajectory import Trajectory
from landscape.base.settings import difference
from landscape.objective.objective import Objective
from landscape.results.curvature_path import CurvaturePath

_SUMMED = 1e-10  # of a norm in double precision, whatever the order of the sum
_SAME = 1e-4  # of the loss, which is rounded in the model's precision


def earlier_rows(
    earlier: CurvaturePath | None,
    objective: Objective,
    trajectory: Trajectory,
    shown: np.ndarray,
    *,
    top: int,
    smallest: bool,
    condition: str,
    settings: Mapping[str, Any],
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of numbers that need not be measured again.

    A state's row counts when the measurement was the same, the run's update from it is as long as
    it was, in double precision, and the loss at the last of those states is what it was.

    Args:
        earlier: The earlier measurement; None: there is none.
        objective: What is measured.
        trajectory: The run.
        shown: Numbers of the states that are wanted, increasing.
        top: Eigenvalues of each.
        smallest: Whether the smallest one is measured, too.
        condition: The optimizer's, for stability.
        settings: Of the measurement now.

    Returns:
        Rows in the order of `States.names`, shape (names, states), and which of them count.
    """
    rows = np.full((len(NUMBERS) + len(TABLES) * top, len(shown)), np.nan)
    known = np.zeros(len(shown), bool)
    if earlier is None or difference(_compared(earlier.settings), _compared(settings)):
        return rows, known
    held = (earlier.value.shape[1], bool(np.isfinite(earlier.smallest).any()), earlier.condition)
    if held != (top, smallest, condition) or earlier.name != trajectory.name:
        return rows, known
    places = {int(step): at for at, step in enumerate(earlier.step) if earlier.computed[at]}
    for place, index in enumerate(shown):
        at = places.get(int(trajectory.steps[index]))
        if at is None or not _same_update(earlier, at, trajectory, int(index)):
            continue
        known[place] = True
        numbers = [getattr(earlier, name)[at] for name in NUMBERS]
        tables = [getattr(earlier, name)[at] for name in TABLES]
        rows[:, place] = np.concatenate([numbers, *tables])
    if known.any() and not _same_loss(objective, trajectory, int(shown[known][-1]), rows[:, known]):
        known[:] = False
    return rows, known


def _compared(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "every"}


def _same_update(earlier: CurvaturePath, at: int, run: Trajectory, index: int) -> bool:
    """Whether the step after a state is the one that was measured; the last state has none."""
    if index + 1 >= len(run):
        return int(earlier.update_steps[at]) == 0
    if int(earlier.update_steps[at]) != int(run.steps[index + 1] - run.steps[index]):
        return False
    update = run.state(index + 1).astype(np.float64) - run.state(index)
    return bool(np.isclose(np.linalg.norm(update), earlier.update_norm[at], rtol=_SUMMED, atol=0))


def _same_loss(objective: Objective, run: Trajectory, index: int, rows: np.ndarray) -> bool:
    buffers = run.buffers(index) if objective.batch_norm == "frozen" else None
    now = objective.at(run.state(index), buffers=buffers).mean[0, 0]
    return bool(np.isclose(now, rows[NUMBERS.index("loss"), -1], rtol=_SAME, equal_nan=True))
