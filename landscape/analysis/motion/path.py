"""Angles between updates, step lengths and distance from initialization along a run."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analysis.motion.moments import moments
from landscape.base.provenance import provenance
from landscape.results.path import PathMetrics

if TYPE_CHECKING:
    from landscape.base.runs.trajectory import Trajectory


def path_metrics(trajectory: Trajectory, *, device: str | None = None) -> PathMetrics:
    """Measure how a run moved, as a whole and tensor by tensor.

    Reads the file once, block by block, and computes in double precision; the memory needed
    depends on neither the number of states nor the number of parameters: some 60 MB.

    Args:
        trajectory: The run.
        device: A torch device, such as ``cuda``, to add up on; None does it with numpy.

    Returns:
        One value per recorded state.

    Source: Xing et al. 2018, arXiv:1802.08770 (their figures use the cosine of consecutive
    gradients and the distance; the cosine of updates is the same for plain SGD).

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> path = ls.path_metrics(run)
    >>> path.step.tolist(), path.distance.shape, path.distance[0].item()
    ([0, 1, 2, 3, 4, 5, 6, 7, 8], (9,), 0.0)
    """
    sums = moments(trajectory, device=device)
    updates, distances = np.sqrt(sums.update), np.sqrt(sums.distance)
    update = np.sqrt(sums.update.sum(axis=0))
    whole = np.sqrt(sums.whole)
    return PathMetrics(
        name=trajectory.name,
        optimizer=str(trajectory.run.get("optimizer", "")),
        step=trajectory.steps,
        update_norm=update,
        cosine=_ratio(sums.turn.sum(axis=0), _previous(update) * update),
        cosine_to_final=_ratio(sums.along.sum(axis=0), update * np.sqrt(sums.whole.sum())),
        distance=np.sqrt(sums.distance.sum(axis=0)),
        path_length=np.concatenate([[0.0], np.cumsum(update[1:])]),
        losses=recorded_scalar(trajectory, "loss"),
        learning_rate=recorded_scalar(trajectory, "lr"),
        **{
            name: recorded_scalar(trajectory, name)
            for name in ("gradient_norm", "gradient_cosine")
            if name in trajectory.scalars
        },
        layers=sums.names,
        layer_update_norm=updates,
        layer_cosine=_ratio(sums.turn, _previous(updates) * updates),
        layer_cosine_to_final=_ratio(sums.along, updates * whole[:, None]),
        layer_distance=distances,
        settings={"run": str(trajectory.path.name), **_repeat(trajectory)},
        provenance=provenance(),
    )


def _repeat(trajectory: Trajectory) -> dict[str, Any]:
    """Seed of a run, and a mark that runs share which differ in nothing else; empty if unknown."""
    told = {key: value for key, value in trajectory.run.items() if key not in ("seed", "threads")}
    if "seed" not in trajectory.run or "optimizer" not in told:
        return {}
    text = json.dumps(told, sort_keys=True, default=str).encode()
    return {"seed": int(trajectory.run["seed"]), "repeats": hashlib.sha256(text).hexdigest()[:16]}


def _previous(values: np.ndarray) -> np.ndarray:
    """Each state's value at the state before."""
    return np.concatenate([np.full_like(values[..., :1], np.nan), values[..., :-1]], axis=-1)


def _ratio(products: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """Cosines; NaN where a vector is zero."""
    with np.errstate(invalid="ignore"):  # ∞ / ∞ of a diverged run is NaN
        return np.divide(products, norms, out=np.full_like(products, np.nan), where=norms > 0)


def recorded_scalar(trajectory: Trajectory, name: str) -> np.ndarray:
    """A recorded scalar at the update that led into each state; NaN where absent."""
    return at_states(trajectory, trajectory.scalars.get(name, np.zeros(0)))


def at_states(trajectory: Trajectory, updates: np.ndarray) -> np.ndarray:
    """Of numbers per update, those of the updates that led into the recorded states."""
    found = np.full((len(trajectory), *updates.shape[1:]), np.nan)
    rows = trajectory.steps - trajectory.steps[0] - 1
    known = (rows >= 0) & (rows < len(updates))
    found[known] = updates[rows[known]]
    return found
