"""Sharpness along a run, against the threshold of the run's own optimizer."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analysis.curvature.lanczos import Pairs
from landscape.analysis.curvature.map import near
from landscape.analysis.curvature.spectrum import extremes_of
from landscape.analysis.curvature.stability import Stability, stability_of
from landscape.analysis.curvature.units import measured_rows
from landscape.base.progress import Interrupted
from landscape.base.provenance import fingerprint, provenance
from landscape.base.runs.trajectory import Trajectory
from landscape.results.curvature_path import CurvaturePath

if TYPE_CHECKING:
    from landscape.objective.objective import Objective
    from landscape.objective.second_order.hessian import Hessian
    from landscape.objective.workers.engine import Engine

_NUMBERS = (
    "smallest",
    "smallest_residual",
    "sharpness",
    "loss",
    "gradient_norm",
    "gradient_curvature",
    "update_norm",
    "update_curvature",
    "predicted",
    "measured",
    "batch_sharpness",
    "batch_sharpness_error",
    "products",
)
_TABLES = ("value", "residual", "gradient_share")
_BATCHES, _ENOUGH = 64, 0.01  # batches at most; standard error that suffices


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
    if every < 1 or top < 1:
        raise ValueError(f"every and top must be at least 1; got {every} and {top}.")
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance must be between 0 and 1; got {tolerance}.")
    if batch_size is not None and not 0 < batch_size <= objective.data.size:
        raise ValueError(f"batch_size must be 1 to {objective.data.size}; got {batch_size}.")
    if problem := objective.layout.differences(trajectory.layout):
        raise ValueError(f"{trajectory.path} was recorded from another model: {problem}.")
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
    }
    if batch_size is not None:
        settings["batch_size"] = batch_size
    states = _States(
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

    def result(values: np.ndarray, computed: np.ndarray, cost: dict) -> CurvaturePath:
        named = dict(zip(_NUMBERS, values, strict=False))
        tables = values[len(_NUMBERS) :].reshape(len(_TABLES), top, len(shown)).swapaxes(1, 2)
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
            **dict(zip(_TABLES, tables, strict=True)),
        )

    try:
        values, computed, cost = measured_rows(
            states,
            shown[:, None].astype(np.float64),
            what=what,
            name=f"curvature of {trajectory.name}",
            folder=units,
            engine=engine,
            shard=shard,
        )
    except Interrupted as stop:
        values, computed = stop.partial
        raise Interrupted(result(values, computed, {})) from None
    return result(values, computed, cost)


def _rates(trajectory: Trajectory, shown: np.ndarray) -> np.ndarray:
    """Learning rate of the update after each state, of the last update for the last state."""
    recorded = trajectory.scalars.get("lr", np.zeros(0))
    if not len(recorded):
        said = trajectory.run.get("lr")
        return np.full(len(shown), float(said) if isinstance(said, int | float) else np.nan)
    return recorded[np.minimum(trajectory.steps[shown], len(recorded) - 1)]


class _States:
    """The numbers at one state after the other."""

    def __init__(
        self,
        objective: Objective,
        trajectory: Trajectory,
        shown: np.ndarray,
        condition: Stability,
        moments: dict[int, np.ndarray],
        options: tuple[int, float, int, int | None],
        smallest: bool,
    ) -> None:
        self.objective, self._path = objective, trajectory.path
        self._open: Trajectory | None = trajectory
        self._last, self._condition, self._moments = len(trajectory) - 1, condition, moments
        self._options, self._smallest = options, smallest
        self.names = (*_NUMBERS, *(f"{name} {k}" for name in _TABLES for k in range(options[0])))
        self._before: dict[str, Pairs] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What other processes are sent: not the open file."""
        return {**self.__dict__, "_open": None, "_before": {}}

    def begin(self) -> None:
        """Start from random vectors: what a unit finds depends on no other."""
        self._before = {}

    def row(self, point: np.ndarray) -> list[float]:
        """The numbers at a state; NaN where the run has no finite curvature."""
        _, _, seed, batch_size = self._options
        index = int(point[0])
        self._open = self._open or Trajectory(self._path)
        state, buffers = self._open.state(index), None
        if self.objective.batch_norm == "frozen":
            buffers = self._open.buffers(index)
        update = None
        if index < self._last:
            update = self._open.state(index + 1).astype(np.float64) - state
        found = dict.fromkeys(self.names, np.nan)
        if not np.isfinite(state).all():
            return list(found.values())
        with self.objective.hessian(state, buffers=buffers) as hessian:
            g = hessian.gradient
            found |= {"loss": hessian.loss, "gradient_norm": float(np.linalg.norm(g))}
            try:
                found |= self._pairs(hessian, self._preconditioner(self._open, index))
            except ValueError:  # not finite
                self._before = {}
                return list(found.values())
            if found["gradient_norm"] > 0:
                found["gradient_curvature"] = float(g @ hessian.matvec(g) / (g @ g))
            if update is not None:
                image = hessian.matvec(update)
                norm = float(np.linalg.norm(update))
                found["update_norm"] = norm
                found["predicted"] = float(g @ update + update @ image / 2)
                found["update_curvature"] = float(update @ image / norm**2) if norm else np.nan
            if batch_size is not None:
                each = self._batches(hessian, batch_size, seed)
                found["batch_sharpness"] = float(each.mean())
                found["batch_sharpness_error"] = float(each.std(ddof=1) / np.sqrt(len(each)))
            found["products"] = hessian.count
        if update is not None:
            after = self.objective.at(self._open.state(index + 1), buffers=buffers).mean[0, 0]
            found["measured"] = float(after - found["loss"])
        return list(found.values())

    def _preconditioner(self, run: Trajectory, index: int) -> np.ndarray | None:
        """The diagonal that an adaptive optimizer divides by; None where it is not known."""
        if not self._condition.adaptive:
            return None
        step = int(run.steps[index])
        moment = self._moments.get(step)
        moment = run.second_moment(index) if moment is None else moment
        counts = run.scalars.get("optimizer_step", np.zeros(0))
        if step and step <= len(counts) and np.isfinite(counts[step - 1]):
            step = int(counts[step - 1])
        return None if moment is None or not step else self._condition.preconditioner(moment, step)

    def _pairs(self, hessian: Hessian, preconditioner: np.ndarray | None) -> dict[str, float]:
        top = self._options[0]
        pairs = self._extremes("plain", hessian, top=top, bottom=int(self._smallest))
        found = {}
        if self._smallest:
            found = {"smallest": pairs.value[-1], "smallest_residual": pairs.residual[-1]}
        along = (pairs.vector[:top] @ hessian.gradient) ** 2 / (hessian.gradient @ hessian.gradient)
        for k in range(top):
            found |= {
                f"value {k}": pairs.value[k],
                f"residual {k}": pairs.residual[k],
                f"gradient_share {k}": along[k],
            }
        condition = self._condition
        if not condition.adaptive:
            found["sharpness"] = pairs.value[0] + condition.weight_decay
        elif preconditioner is not None:
            root = np.sqrt(preconditioner)
            penalty = 0.0 if condition.kind == "adamw" else condition.weight_decay
            first = self._extremes(
                "preconditioned", hessian, top=1, bottom=0, root=root, penalty=penalty
            )
            beside = condition.weight_decay if condition.kind == "adamw" else 0.0
            found["sharpness"] = first.value[0] + beside
        return {name: float(value) for name, value in found.items()}

    def _extremes(
        self, name: str, hessian: Hessian, *, top: int, bottom: int,
        root: np.ndarray | None = None, penalty: float = 0.0,
    ) -> Pairs:  # fmt: skip
        _, tolerance, seed, _ = self._options

        def product(v: np.ndarray) -> np.ndarray:
            if root is None:
                return hessian.matvec(v)
            w = v / root
            return (hessian.matvec(w) + penalty * w) / root

        found = extremes_of(
            hessian,
            top=top,
            bottom=bottom,
            tolerance=tolerance,
            seed=seed,
            start=near(self._before.get(name), hessian.shape[0], seed),
            ties=top > 1,
            product=product,
        )
        self._before[name] = found
        return found

    def _batches(self, hessian: Hessian, size: int, seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        each: list[float] = []
        for _ in range(_BATCHES):
            index = np.sort(random.choice(self.objective.data.size, size, replace=False))
            each.append(hessian.along_gradient(index))
            spread = np.std(each, ddof=1) / np.sqrt(len(each)) if len(each) > 3 else np.inf
            if spread <= _ENOUGH * abs(np.mean(each)):
                break
        return np.array(each)
