"""What stands out in a recorded run, from the numbers of its steps and its states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from landscape.analysis.check import Check
from landscape.analysis.measured_checks import plane_of, sharpness_of
from landscape.base.provenance import provenance
from landscape.base.runs.trajectory import Trajectory
from landscape.results.diagnosis import Diagnosis

if TYPE_CHECKING:
    from landscape.objective.objective import Objective

_OURS = "calibrated on the runs of benchmarks/diagnosed.py"
_FEWEST = 20  # updates below which nothing is said
_LONG = 0.3  # of the length at the start: an update that is too long


def diagnose(run: Trajectory, objective: Objective | None = None) -> Diagnosis:
    """Look for what is usually wrong with a training run; without an objective measure nothing.

    Divergence, a floor that is high, rates that are too high or too low, tensors that stand still
    or move too much, units that are dead, noise, weights that grow, an order in the data, a plane
    that shows no more than a random walk's. Every finding is a number beside a threshold. What is
    seen only with the data (label noise, rectifiers that never fire) is not looked for.

    Args:
        run: A run recorded with ``motion=True``, the recorder's default.
        objective: What was trained, on its data: the sharpness at the end is then measured too,
            against the threshold of the run's optimizer, where that is known.

    Returns:
        All checks, those that stand out and those that do not.

    Raises:
        ValueError: If the recorder measured no updates, or fewer than 20.

    >>> import landscape as ls
    >>> file = ls.record_run(ls.Run("function/quadratic", "gd", lr=0.03, steps=30), "gd.h5")
    >>> ls.diagnose(ls.Trajectory(file)).standing_out  # its rate is above 2 / 100
    ('divergence', 'high floor', 'rate too high', 'growing weights')
    """
    missing = [name for name in ("update_norm", "distance") if name not in run.scalars]
    if missing or run.updates < _FEWEST:
        lacks = f"no {', '.join(missing)}" if missing else f"{run.updates} updates"
        raise ValueError(
            f"{run.path} holds {lacks}; record {_FEWEST} steps or more with motion=True."
        )
    checks = [*_checks(_Seen.of(run)), plane_of(run)]
    if objective is not None:
        checks.append(sharpness_of(run, objective))
    return Diagnosis(
        name=run.name,
        optimizer=str(run.run.get("optimizer", "")),
        check=tuple(check.name for check in checks),
        value=np.array([check.value for check in checks]),
        error=np.array([check.error for check in checks]),
        threshold=np.array([check.threshold for check in checks]),
        found=np.array([check.found for check in checks]),
        told={
            c.name: {
                "sentence": c.sentence, "remedy": c.remedy, "source": c.source, "plot": c.plot,
            }
            for c in checks
        },
        settings={"run": run.path.name, "updates": run.updates},
        provenance=provenance(),
    )  # fmt: skip


@dataclass(frozen=True)
class _Seen:
    """What the checks look at."""

    path: str
    loss: np.ndarray  # (updates,); empty where none was recorded
    agreement: np.ndarray  # cosine of consecutive gradients
    long_step: float  # what one update in a hundred exceeds, over ‖θ_0‖
    reach: float  # ‖θ_T - θ_0‖ / ‖θ_0‖
    growth: float  # ‖θ_T‖ / ‖θ_0‖
    weights: tuple[str, ...]
    moved: np.ndarray  # Σ ‖update‖ of each weight tensor
    jumps: np.ndarray  # largest update of each over its norm at the start, until one is long
    dead: np.ndarray  # share of its units that did not move in the second half

    @classmethod
    def of(cls, run: Trajectory) -> _Seen:
        first, last, half = (np.asarray(run.state(k), float) for k in (0, -1, len(run) // 2))
        entries = [entry for entry in run.layout if entry.kind == "weight"]
        places = [k for k, entry in enumerate(run.layout) if entry.kind == "weight"]
        steps = np.zeros((run.updates, len(run.layout)))
        if "update_norm" in run.layer_scalars:
            steps = np.nan_to_num(run.layers("update_norm"), posinf=np.inf)
        steps = steps[:, places]
        start = float(np.linalg.norm(first)) or np.nan  # of zero weights no share is known
        size = np.array([np.linalg.norm(first[entry.slice]) for entry in entries])
        still = [
            np.abs(last - half)[entry.slice].reshape(entry.shape).swapaxes(0, entry.filter_axis)
            for entry in entries
        ]
        known = np.nan_to_num(run.scalars["update_norm"], nan=0.0)
        shares = np.divide(steps, size, out=np.full(steps.shape, np.nan), where=size > 0)
        return cls(
            str(run.path), run.scalars.get("loss", np.zeros(0)),
            run.scalars.get("gradient_cosine", np.zeros(0)),
            float(np.quantile(known, 0.99, method="higher")) / start,
            float(np.linalg.norm(last - first)) / start, float(np.linalg.norm(last)) / start,
            tuple(entry.name for entry in entries), steps.sum(axis=0),
            _until_long(shares),
            np.array([np.mean(rows.reshape(len(rows), -1).max(axis=1) == 0) for rows in still]),
        )  # fmt: skip

    @property
    def floor(self) -> float:
        """Median loss of the last fifth over the mean of the first five steps."""
        if len(self.loss) < _FEWEST or not np.isfinite(self.loss).all():
            return np.nan
        return float(np.median(self.loss[-len(self.loss) // 5 :]) / np.mean(self.loss[:5]))


def _checks(seen: _Seen) -> Iterator[Check]:
    curve, tensors = f"landscape plot {seen.path}", f"landscape layers {seen.path}"
    yield _divergence(seen, curve)
    floor, agreement, error = seen.floor, *_mean(seen.agreement)
    spread = _mean(seen.loss[-len(seen.loss) // 5 :])[1] if np.isfinite(floor) else np.nan
    yield Check(
        "high floor", floor,
        float(spread / np.mean(seen.loss[:5])) if len(seen.loss) else np.nan, 0.9,
        floor > 0.9, "the loss ends near where it began, over its start",
        "look at the other findings first; then at the labels and the capacity of the model",
        _OURS, curve,
    )  # fmt: skip
    yield Check(
        "rate too high", seen.long_step, 0.0, _LONG, seen.long_step > _LONG,
        "what one update in a hundred exceeds, over the length of all weights at the start (a lone "
        "spike that a run recovers from is no alarm)",
        "a learning rate 10 times lower, or a warm-up",
        "Lewkowycz et al. 2020, arXiv:2003.02218, for lone spikes; " + _OURS, curve,
    )  # fmt: skip
    slow = floor > 0.9 and agreement - 2 * error > 0.15 and seen.reach < 0.2
    yield Check(
        "rate too low", agreement, error, 0.15, bool(slow),
        "gradients of consecutive batches agree (cosine), yet the loss hardly falls; weights "
        f"moved by {seen.reach:.2g} of their length",
        "a learning rate 10 times higher, or more steps", _OURS, curve,
    )  # fmt: skip
    noisy = floor > 0.9 and abs(agreement) < 0.1
    yield Check(
        "noise", agreement, error, 0.1, bool(noisy),
        "gradients of consecutive batches have little in common (cosine); the loss hardly falls",
        "larger batches, a lower rate; look at the labels",
        "McCandlish et al. 2018, arXiv:1812.06162, for the idea; " + _OURS, curve,
    )  # fmt: skip
    frozen = [n for n, way in zip(seen.weights, seen.moved, strict=True) if way == 0]
    yield Check(
        "still tensors", len(frozen), 0.0, 0, bool(frozen),
        f"weight tensors that no step moved: {', '.join(frozen[:3]) or 'none'}",
        "look whether they are in the optimizer, have a gradient, and do not begin at zero",
        "exact", tensors,
    )  # fmt: skip
    yield _jumping(seen, tensors)
    share = max(
        (d for d, way in zip(seen.dead, seen.moved, strict=True) if way > 0), default=np.nan
    )
    yield Check(
        "dead units", share, 0.0, 0.4, share > 0.4,
        "of the units of one layer did not move at all in the second half",
        "a lower rate, other biases at the start, or a leaky activation",
        "Lu et al. 2019, arXiv:1903.06733, for the cause; " + _OURS, tensors,
    )  # fmt: skip
    yield Check(
        "growing weights", seen.growth, 0.0, 5.0, seen.growth > 5,
        "the length of all weights at the end over that at the start",
        "look at the sign of the decay; a lower rate", _OURS, curve,
    )  # fmt: skip
    yield _ordered(seen, curve)


def _divergence(seen: _Seen, curve: str) -> Check:
    """The loss, over its first value; where it went away for good is said."""
    if not len(seen.loss):
        peak, when = np.nan, 0
    else:
        ratio = np.nan_to_num(seen.loss / seen.loss[0], nan=np.inf)
        peak, when = float(ratio.max()), int(np.argmax(ratio > 10))
    return Check(
        "divergence", peak, 0.0, 10.0, peak > 10,
        f"the largest loss over the first; ten times the first at step {when + 1}",
        "a lower rate, a warm-up, or clipped gradients", "convention", curve,
    )  # fmt: skip


def _jumping(seen: _Seen, tensors: str) -> Check:
    """One tensor's longest update over its length, where the others do not jump."""
    known = np.sort(seen.jumps[np.isfinite(seen.jumps)])
    largest = float(known[-1]) if len(known) else np.nan
    alone = len(known) > 1 and largest > 3 * known[-2]
    name = seen.weights[int(np.nanargmax(seen.jumps))] if len(known) else "none"
    return Check(
        "tensors that move too much", largest, 0.0, _LONG, bool(alone and largest > _LONG),
        f"the longest update of {name} over its length at the start, and three times that of any "
        "other up to there", "a lower rate for this tensor, or another initialization", _OURS,
        tensors,
    )  # fmt: skip


def _ordered(seen: _Seen, curve: str) -> Check:
    """The largest rank autocorrelation of the detrended loss, beyond neighbouring steps."""
    value = lag = np.nan
    count = len(seen.loss)
    if count >= 5 * _FEWEST and np.isfinite(seen.loss).all():
        level = np.log(np.maximum(seen.loss, np.finfo(float).tiny))
        rest = level - np.polyval(np.polyfit(np.arange(count), level, 3), np.arange(count))
        lags = np.arange(5, count // 3)
        rest = rankdata(rest)  # Spearman's: a spike is one rank
        found = [float(np.corrcoef(rest[:-k], rest[k:])[0, 1]) for k in lags]
        low = int(np.argmin(found))  # a slow drift falls only; a period comes back
        best = low + int(np.argmax(found[low:]))
        value, lag = found[best], int(lags[best])
    return Check(
        "order of the data", value, 1 / np.sqrt(count) if count else np.nan, 0.4, value > 0.4,
        f"rank autocorrelation of the loss over {lag} steps: it comes back", "shuffle the data",
        _OURS, curve,
    )  # fmt: skip


def _until_long(shares: np.ndarray) -> np.ndarray:
    """Each tensor's largest share until one passes `_LONG`: after an explosion all of them move."""
    long = np.flatnonzero(np.nanmax(shares, axis=1, initial=0.0) > _LONG)
    end = int(long[0]) + 1 if len(long) else len(shares)
    return np.max(shares[:end], axis=0)


def _mean(values: np.ndarray) -> tuple[float, float]:
    """Mean of the finite values and its standard error."""
    good = values[np.isfinite(values)]
    if len(good) < 2:
        return np.nan, np.nan
    return float(good.mean()), float(good.std(ddof=1) / np.sqrt(len(good)))
