"""Rounds of samples on a real objective."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from landscape.base.files import expanded
from landscape.base.progress import Progress
from landscape.base.provenance import fingerprint
from landscape.objective.evaluation import Evaluation
from landscape.objective.problem import Problem
from landscape.objective.restriction import Restriction
from landscape.objective.workers.engine import Engine, Session
from landscape.objective.workers.in_units import in_units, key_of

_STEP = 32
_SCOUTS = 32  # samples that every point is looked at with, but for ...
_LOOKING = 100  # ... a hundredth of all
_LESS = 20  # times fewer passes than points: what choosing a way to evaluate may cost


class Part:
    """One part of a metric that returns (sums, weights): a metric with one value per sample.

    The parts' means and variances, and those of their sum, give the ratio Σ sums / Σ weights
    and its standard error (ratio estimator; Cochran 1977, section 6.4).

    Args:
        metric: The whole metric.
        which: ``sum``, ``weight`` or ``both``.
    """

    metric: Callable[..., Any]
    which: str

    def __init__(self, metric: Callable[..., Any], which: str) -> None:
        self.metric, self.which = metric, which

    def __call__(self, model: Any, batch: Any) -> Any:
        """The part's value per sample."""
        total, weight = self.metric(model, batch)
        return {"sum": total, "weight": weight, "both": total + weight}[self.which]


class Samples:
    """Metrics at points, over stretches of the samples in random order.

    Losses that tell only the mean of a batch, batches that cannot be cut anew, and batch norms
    that are estimated again at every point are measured on all samples, or not at all.

    Args:
        at: What is measured, and where.
        coordinates: The points, shape (points, K).
        seed: Seed of the order of the samples.
        what: Text that says what is measured, for folders of units.
        units: Folder that keeps what has been measured.
        engine: Whose workers measure; None measures in this process.
        progress: Told of finished passes over all samples.
    """

    coordinates: np.ndarray
    population: float
    size: int

    def __init__(
        self,
        at: Restriction,
        coordinates: np.ndarray,
        *,
        seed: int,
        what: str = "",
        units: str | os.PathLike[str] | None = None,
        engine: Engine | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.coordinates, self._at, problem = coordinates, at, at.problem
        self.size, self.population = problem.data.size, problem.data.population
        self._order = np.random.default_rng(seed).permutation(self.size)
        self._what, self._progress = f"{what} seed {seed}", progress
        self._session = None if engine is None else Session(engine)
        self._units = None if units is None else expanded(units)
        self._done = 0
        few = np.linspace(0, len(coordinates) - 1, max(2, len(coordinates) // _LESS))
        at.prepare(coordinates[few.round().astype(int)])  # for all parts
        forms = _forms(at)
        self._ratios = {name for name, form in forms.items() if form == "ratio"}
        separate = "mean" not in forms.values() and problem.data.joined
        self.step = _STEP if separate and problem.batch_norm != "recalibrated" else 0
        if problem.batch_norm == "batch" and self.step:
            self.step = problem.data.batch_size
        self.scouts: int = self._few(problem)
        if not self.step:
            self._ratios = set()
        self._parts = at.measured_by(_split(problem.metrics, self._ratios))
        self.rows: int = len(self._parts.names)

    def _few(self, problem: Problem) -> int:
        """Samples that every point may be looked at with."""
        if not problem.data.joined or problem.batch_norm == "recalibrated":
            return 0
        most = self.size // _LOOKING
        if problem.batch_norm == "batch":
            return self.step if self.step <= most else 0
        return min(_SCOUTS, most) if most >= _SCOUTS // 4 else 0

    def __call__(self, points: np.ndarray, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Means and sums of squared deviations over a stretch of the order."""
        found = self._measured(points, start, stop)
        count = stop - start
        if self._progress is not None:
            before, self._done = self._done, self._done + count * len(points)
            self._progress.advance(self._done // self.size - before // self.size)
        with np.errstate(invalid="ignore", over="ignore"):
            rest = 1 - count / self.population
            variance = np.square(found.standard_error) / rest if rest else 0 * found.mean
            return found.mean, variance * count * (count - 1)

    def metrics(
        self, points: np.ndarray, mean: np.ndarray, m2: np.ndarray, count: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Metrics in the objective's order, and their standard deviations over samples."""
        values, deviations = [], []
        row = 0
        with np.errstate(all="ignore"):
            variance = m2 / np.maximum(count - 1, 1)
            for name in self._at.problem.metrics:
                if name in self._ratios:
                    (a, b, _), (va, vb, vc) = mean[row : row + 3], variance[row : row + 3]
                    ratio = a / b
                    both = (vc - va - vb) / 2  # covariance of sum and weight
                    values.append(ratio)
                    square = va - 2 * ratio * both + ratio**2 * vb
                    deviations.append(np.sqrt(square.clip(min=0)) / abs(b))
                    row += 3
                else:
                    values.append(mean[row])
                    deviations.append(np.sqrt(variance[row]))
                    row += 1
        if self._at.problem.weight_decay is not None:
            decay = self._at.decay(self.coordinates[points])
            values += [decay, values[0] + decay]
            deviations += [0 * decay, deviations[0]]
        return np.stack(values), np.stack(deviations)

    def standard_error(self, deviation: np.ndarray, count: np.ndarray) -> np.ndarray:
        """Standard errors as estimates over everything the samples were drawn from."""
        rest = 1 - count / self.population
        with np.errstate(invalid="ignore"):
            return np.where(rest > 0, deviation * np.sqrt(rest / np.maximum(count, 1)), 0.0)

    def close(self) -> None:
        """End the engine's workers."""
        if self._session is not None:
            self._session.close()

    def _measured(self, points: np.ndarray, start: int, stop: int) -> Evaluation:
        where, part = self.coordinates[points], f"{start}-{stop}"
        whole = stop - start == self.size
        samples = None if whole else np.sort(self._order[start:stop])
        ends = np.broadcast_to([start, stop], (len(points), 2))
        return in_units(
            self._parts,
            where,
            samples,
            key=key_of(np.hstack([where, ends]), json.dumps([self._what, part])),
            folder=self._units and self._units / f"{part}-{fingerprint(points)[:16]}",
            engine=self._session,
        )


def _split(metrics: Any, ratios: set[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, metric in metrics.items():
        if name in ratios:
            found.update({f"{name} {p}": Part(metric, p) for p in ("sum", "weight", "both")})
        else:
            found[name] = metric
    return found


def _forms(at: Restriction) -> dict[str, str]:
    """What every metric returns: a ``sample``'s value each, a ``ratio`` of such, or a ``mean``."""
    forms: dict[str, str] = {}

    def looking(name: str, metric: Callable[..., Any]) -> Callable[..., Any]:
        def look(model: Any, batch: Any) -> Any:
            value = metric(model, batch)
            parts = value if isinstance(value, tuple) else (value,)
            each = all(getattr(part, "ndim", 0) == 1 for part in parts)
            forms[name] = ("ratio" if len(parts) == 2 else "sample") if each else "mean"
            return value

        return look

    problem = at.problem
    if not problem.data.joined:
        return dict.fromkeys(problem.metrics, "mean")
    few = np.arange(min(2, problem.data.size))
    metrics = {name: looking(name, metric) for name, metric in problem.metrics.items()}
    at.measured_by(metrics)(np.zeros((1, at.family.coordinates)), few)
    return forms
