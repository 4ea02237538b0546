"""What can be shown of a recorded run without measuring anything, and results by name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from landscape.base.files import opened
from landscape.base.provenance import provenance
from landscape.base.result import Result
from landscape.base.runs.format import SCHEMA
from landscape.base.runs.trajectory import Trajectory
from landscape.results.path import PathMetrics
from landscape.results.registry import load_results

_ONLINE = ("update_norm", "update_cosine", "distance")


def named_results(what: Any) -> dict[str, Result]:
    """Results by name, of whatever holds some.

    Args:
        what: A result, results by name, a `Trajectory`, the path of a results file or of a recorded
            run, or several of these. Of a run there is what was recorded at every step.

    Raises:
        ValueError: If it is something else, or nothing was recorded that can be shown.
        SchemaError: If a file is neither.

    >>> named_results(3)
    Traceback (most recent call last):
    ValueError: Give results, results files (.results.h5) or recorded runs (.h5); not a int.
    """
    if isinstance(what, Mapping):
        return dict(what)
    if isinstance(what, Result):
        return {what.schema.partition("/")[2]: what}
    if isinstance(what, str | os.PathLike):
        path = Path(what)
        return named_results(Trajectory(path)) if is_run(path) else load_results(path)
    if isinstance(what, Trajectory):
        return {f"path/{what.path.stem}": recorded_path(what)}
    if not isinstance(what, Iterable):
        raise ValueError(
            "Give results, results files (.results.h5) or recorded runs (.h5); not a "
            f"{type(what).__name__}."
        )
    found: dict[str, Result] = {}
    for one in what:
        for name, result in named_results(one).items():
            free = (f"{name}-{n}" for n in range(2, 2 + len(found)))
            found[name if name not in found else next(n for n in free if n not in found)] = result
    if not found:
        raise ValueError("There is nothing: no result was given.")
    return found


def is_run(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a recorded run."""
    with opened(path) as file:
        return file.attrs.get("schema") == SCHEMA


def recorded_path(trajectory: Trajectory) -> PathMetrics:
    """How a run moved at *every* optimizer step, from what the recorder measured online.

    For runs whose states were stored every n-th step only: their `path_metrics` join states that
    are n steps apart. `cosine_to_final` is NaN, the way to the end being unknown while it lasts.

    Args:
        trajectory: A run recorded with ``motion=True``.

    Returns:
        One value per optimizer step, and one for the start.

    Raises:
        ValueError: If the recorder measured no updates.

    >>> import landscape as ls
    >>> every_fourth = ls.Run("function/quadratic", "gd", lr=0.01, steps=8, every=4)
    >>> run = ls.Trajectory(ls.record_run(every_fourth, "gd.h5"))
    >>> len(run), len(ls.recorded_path(run).step)
    (3, 9)
    """
    missing = [name for name in _ONLINE if name not in trajectory.scalars]
    if missing:
        raise ValueError(
            f"{trajectory.path} holds no {', '.join(missing)}; record with motion=True, or use "
            "path_metrics (landscape path), which needs states only."
        )
    start = int(trajectory.steps[0])
    columns = {name: _after_start(trajectory.scalars[name]) for name in trajectory.scalars}
    count = len(columns["update_norm"])
    nothing = np.full(count, np.nan)
    # A run that was resumed may lack the numbers of a step; its length then counts as zero.
    lengths = np.nan_to_num(columns["update_norm"])
    columns["distance"][0] = 0
    return PathMetrics(
        name=trajectory.name,
        optimizer=str(trajectory.run.get("optimizer", "")),
        step=np.arange(start, start + count),
        update_norm=columns["update_norm"],
        cosine=columns["update_cosine"],
        cosine_to_final=nothing,
        distance=columns["distance"],
        path_length=np.cumsum(lengths),
        losses=columns.get("loss", nothing),
        learning_rate=columns.get("lr", nothing),
        gradient_norm=columns.get("gradient_norm"),
        gradient_cosine=columns.get("gradient_cosine"),
        settings={"run": str(trajectory.path.name), "source": "recorder"},
        provenance=provenance(),
    )


def _after_start(updates: np.ndarray) -> np.ndarray:
    return np.concatenate([[np.nan], updates])
