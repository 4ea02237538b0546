"""The Hessian at one state of a run after the other, and what its updates do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analysis.curvature.lanczos import Pairs
from landscape.analysis.curvature.map import near
from landscape.analysis.curvature.spectrum import extremes_of
from landscape.analysis.curvature.stability import Stability
from landscape.base.runs.trajectory import Trajectory

if TYPE_CHECKING:
    from landscape.objective.objective import Objective
    from landscape.objective.second_order.hessian import Hessian

NUMBERS = (
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
TABLES = ("value", "residual", "gradient_share")
_BATCHES, _ENOUGH = 64, 0.01  # batches at most; standard error that suffices


class States:
    """The numbers at one state after the other."""

    objective: Objective

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
        self.names: tuple[str, ...] = (
            *NUMBERS,
            *(f"{name} {k}" for name in TABLES for k in range(options[0])),
        )
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
