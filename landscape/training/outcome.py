"""What a run came to: loss and error on all training and test data at its last state."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from landscape.base.runs.trajectory import Trajectory
from landscape.objective.objective import Objective
from landscape.tasks import Task, load_task


@dataclass(frozen=True)
class Outcome:
    """Means over all samples at the last recorded state, in evaluation mode.

    Attributes:
        name: The run.
        lr: Its learning rate.
        steps: Optimizer steps made.
        train: Metric name to mean over the training data.
        test: The same over the test data; empty where the task has none.
    """

    name: str
    lr: float
    steps: int
    train: dict[str, float]
    test: dict[str, float]


def outcomes(paths: Iterable[str | os.PathLike[str]]) -> list[Outcome]:
    """Measure the last state of each run; each task's data is loaded once.

    Where the file holds weights to evaluate (averages, slow weights), these are measured; batch
    norm then still uses the statistics of the run itself.

    Args:
        paths: Files that `record_run` made, of tasks that ship.

    Raises:
        ValueError: If a file does not name a task of this package; a file never decides which
            code is imported.

    >>> import landscape as ls
    >>> file = ls.record_run(ls.Run("digits/mlp", "adam", steps=2), "adam.h5")
    >>> (found,) = ls.outcomes([file])
    >>> sorted(found.train)
    ['error', 'loss']
    """
    objectives: dict[str, list[Objective]] = {}
    found = []
    for path in paths:
        trajectory = Trajectory(path)
        name = str(trajectory.run.get("task", ""))
        if ":" in name or "/" not in name:
            raise ValueError(f"{path} names the task {name!r}; only tasks that ship are measured.")
        if name not in objectives:
            objectives[name] = _objectives(load_task(name))
        evaluated, buffers = trajectory.evaluation(-1), trajectory.buffers(-1)
        weights = trajectory.final if evaluated is None else evaluated
        measured = []
        for objective in objectives[name]:
            values = objective.at(weights, buffers=buffers).mean[:, 0]
            measured.append(dict(zip(objective.metrics, map(float, values), strict=True)))
        found.append(
            Outcome(
                name=trajectory.name,
                lr=float(trajectory.run["lr"]),
                steps=int(trajectory.steps[-1]),
                train=measured[0],
                test=measured[1] if len(measured) > 1 else {},
            )
        )
        trajectory.close()
    return found


def outcome_table(found: Iterable[Outcome]) -> str:
    """The outcomes as a Markdown table, the lowest training loss first; errors in per cent.

    Runs of one name, rate and length are repeats, over seeds: the table then has their number, and
    for each value the median with the range of all of them.

    >>> import landscape as ls
    >>> file = ls.record_run(ls.Run("digits/mlp", "adam", steps=2), "adam.h5")
    >>> print(ls.outcome_table(ls.outcomes([file])).splitlines()[0])
    | run | lr | steps | train loss | train error % | test loss | test error % |
    """
    groups: dict[tuple[str, float, int], list[Outcome]] = {}
    for one in found:
        groups.setdefault((one.name, one.lr, one.steps), []).append(one)
    several = any(len(group) > 1 for group in groups.values())
    head = ["run", "lr", "steps", *(["seeds"] if several else [])]
    head += ["train loss", "train error %", "test loss", "test error %"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for group in sorted(groups.values(), key=_typical_loss):
        first = group[0]
        cells = [first.name, f"{first.lr:g}", str(first.steps)]
        cells += [str(len(group))] if several else []
        for parts in ([one.train for one in group], [one.test for one in group]):
            for name, scale, digits in (("loss", 1, 4), ("error", 100, 2)):
                values = [scale * part[name] for part in parts if name in part]
                cells.append(_spread(values, digits))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _typical_loss(group: list[Outcome]) -> float:
    return float(np.nan_to_num(np.median([one.train["loss"] for one in group]), nan=np.inf))


def _spread(values: list[float], digits: int) -> str:
    """One value, or the median with the range of several."""
    if not values:
        return ""
    told = [f"{value:.{digits}f}" for value in (np.median(values), np.min(values), np.max(values))]
    return told[0] if len(values) == 1 else f"{told[0]} ({told[1]} to {told[2]})"


def _objectives(task: Task) -> list[Objective]:
    return [
        Objective(task.model, task.loss, data, metrics=task.metrics, batch_size=1000)
        for data in (task.train, task.test)
        if data is not None
    ]
