"""Sharpness along a run, against the threshold of the run's own optimizer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analysis.curvature.earlier import earlier_rows
from landscape.analysis.curvature.stability import Stability, stability_of
from landscape.analysis.curvature.states import NUMBERS, TABLES, States
from landscape.analysis.curvature.units import measured_rows
from landscape.base.progress import Interrupted
from landscape.base.provenance import fingerprint, provenance
from landscape.base.runs.trajectory import Trajectory
from landscape.results.curvature_path import CurvaturePath

if TYPE_CHECKING:
    from landscape.objective.objective import Objective
    from landscape.objective.workers.engine import Engine


def curvature_path(
    objective: Objective,
    trajectory: Trajectory,
    *,
    every: int = 50,
    top: int = 1,
    tolerance: float = 1e-2,
    smallest: bool = False,
    batch_size: int | None = None,
    second_moments: Mapping[int, np.ndarray] | None = None,
    seed: int = 0,
    resume: CurvaturePath | None = None,
    units: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
    shard: tuple[int, int] = (0, 1),
) -> CurvaturePath:
    """Measure the Hessian at states of a run, and what its updates should and did change.

    Args:
        objective: Whose loss; for the threshold to hold, the one that was trained, on its data.
        trajectory: The run. What it says of its optimizer (name, options, learning rate and
            momentum of each update) gives the threshold.
        every: Steps between the states that are measured (the first and the last always).
        top: Largest eigenvalues to measure; the gradient's share is that in their vectors.
        tolerance: Residual accepted, as for `hessian_spectrum`.
        smallest: Also measure the smallest eigenvalue, which takes several times as many products.
        batch_size: Also measure the batch sharpness over random batches of this size, until its
            standard error is 1 % (64 batches at most).
        second_moments: Of adaptive optimizers, by step: Adam's or RMSprop's running mean of
            squared gradients after that step, shape (P,), for runs that were recorded without
            ``optimizer_state=True``; see `landscape.second_moment`.
        seed: Of the random vectors and batches.
        resume: An earlier measurement of this run, which may have been shorter then: what it
            holds is not measured again, if it is the same measurement of the same states. Not with
            `units`, which hold more, or with `second_moments`.
        units: A folder that keeps what has been measured; the same call goes on from there.
        engine: Whose workers measure; None measures in this process.
        shard: (i, n): only the i-th of n parts (from 0); with `units` a later call has all.

    Returns:
        One row per measured state.

    Raises:
        ValueError: If the run is of another model, or an argument is out of range.
        Interrupted: On Ctrl-C; its `partial` has the finished states (go on with `units`).

    Source: Cohen et al. 2021, arXiv:2103.00065, and 2022, arXiv:2207.14484; gradient share: Gur-Ari
    et al. 2018, arXiv:1812.04754; batch sharpness: Andreyev & Beneventano 2024, arXiv:2412.20553.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> task = ls.load_task("function/quadratic")
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> path = ls.curvature_path(objective, run, every=4)
    >>> path.step.tolist(), path.sharpness.round(3).tolist(), path.threshold.tolist()
    ([0, 4, 8], [100.0, 100.0, 100.0], [200.0, 200.0, 200.0])
    """
    _check(objective, trajectory, every, top, tolerance, batch_size)
    top = min(top, objective.layout.size - 1) or 1
    steps = range(0, int(trajectory.steps[-1]) + 1, every)
    shown = np.unique([0, len(trajectory) - 1, *(trajectory.nearest(s) for s in steps)])
    condition = stability_of(trajectory.run, trajectory.scalars)
    moments = {int(k): np.asarray(v) for k, v in (second_moments or {}).items()}
    settings = {
        **objective.settings,
        "run": trajectory.path.name,
        "every": every,
        "tolerance": tolerance,
        "seed": seed,
        **({} if batch_size is None else {"batch_size": batch_size}),
    }
    moving = objective.batch_norm == "frozen" and len(trajectory.buffers_layout) > 0
    told = {**settings, **({"buffers": "as recorded"} if moving else {})}
    states = States(
        objective,
        trajectory,
        shown,
        condition,
        moments,
        (top, tolerance, seed, batch_size),
        smallest,
    )
    said = [fingerprint(trajectory.state(int(i))) for i in (0, shown[len(shown) // 2], -1)]
    kept = [*sorted(moments), *["recorded"] * trajectory.holds["second_moment"]]
    what = json.dumps(["path", settings, top, smallest, said, kept, condition.text])

    result = partial(_result, trajectory, shown, condition, told, top)
    if units is not None or moments or shard != (0, 1):
        resume = None
    rows, known = earlier_rows(
        resume, objective, trajectory, shown, top=top, smallest=smallest,
        condition=condition.text, settings=told,
    )  # fmt: skip
    missing = np.flatnonzero(~known)
    if not len(missing):
        return result(rows, known, {})

    def filled(values: np.ndarray, computed: np.ndarray, cost: dict[str, Any]) -> CurvaturePath:
        rows[:, missing], known[missing] = values, computed
        return result(rows, known, cost)

    try:
        found = measured_rows(
            states,
            shown[missing, None].astype(np.float64),
            what=what,
            name=f"curvature of {trajectory.name}",
            folder=units,
            engine=engine,
            shard=shard,
        )
    except Interrupted as stop:
        part, computed = stop.partial
        raise Interrupted(filled(part, computed, {})) from None
    return filled(*found)


def _result(
    trajectory: Trajectory,
    shown: np.ndarray,
    condition: Stability,
    settings: dict[str, Any],
    top: int,
    values: np.ndarray,
    computed: np.ndarray,
    cost: dict[str, Any],
) -> CurvaturePath:
    """The rows of numbers as a result."""
    named = dict(zip(NUMBERS, values, strict=False))
    tables = values[len(NUMBERS) :].reshape(len(TABLES), top, len(shown)).swapaxes(1, 2)
    rates = _rates(trajectory, shown)
    return CurvaturePath(
        name=trajectory.name,
        optimizer=str(trajectory.run.get("optimizer", "")),
        condition=condition.text,
        step=trajectory.steps[shown],
        learning_rate=rates,
        threshold=condition.factor / rates,
        update_steps=np.append(np.diff(trajectory.steps), 0)[shown],
        computed=computed,
        settings=settings,
        provenance=provenance(cost=cost),
        **named,
        **dict(zip(TABLES, tables, strict=True)),
    )


def _check(
    objective: Objective,
    trajectory: Trajectory,
    every: int,
    top: int,
    tolerance: float,
    batch_size: int | None,
) -> None:
    if every < 1 or top < 1:
        raise ValueError(f"every and top must be at least 1; got {every} and {top}.")
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must be between 0 and 1; got {tolerance}.")
    if batch_size is not None and not 0 < batch_size <= objective.data.size:
        raise ValueError(f"batch_size must be 1 to {objective.data.size}; got {batch_size}.")
    if problem := objective.layout.differences(trajectory.layout):
        raise ValueError(f"{trajectory.path} was recorded from another model: {problem}.")


def _rates(trajectory: Trajectory, shown: np.ndarray) -> np.ndarray:
    """Learning rate of the update after each state, of the last update for the last state."""
    recorded = trajectory.scalars.get("lr", np.zeros(0))
    if not len(recorded):
        said = trajectory.run.get("lr")
        return np.full(len(shown), float(said) if isinstance(said, int | float) else np.nan)
    return recorded[np.minimum(trajectory.steps[shown], len(recorded) - 1)]
