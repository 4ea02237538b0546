"""Squared lengths and inner products of a run's states and updates, tensor by tensor, streamed.

Everything that is said about a path (angles, lengths, distances, ratios of updates to weights)
follows from five sums per tensor and state. They are gathered in one pass over the file, block by
block, in double precision; the memory needed depends on neither the number of states nor the
number of parameters: some 60 MB, and the sums themselves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.analysis.motion.arrays import Arrays
from landscape.base.progress import Progress

if TYPE_CHECKING:
    from landscape.base.runs.trajectory import Trajectory

_BLOCK_BYTES = 2**23  # of one block of states in double precision; six of them are alive


@dataclass(frozen=True)
class Moments:
    """Sums over the entries of each tensor; arrays of shape (layer, state).

    With θ the states, u_s = θ_s - θ_{s-1} and whole = θ_final - θ_0. Entries that need a state
    before the first are NaN.

    Attributes:
        names: Names of the tensors.
        weight: θ·θ.
        update: u_s·u_s.
        turn: u_{s-1}·u_s.
        along: u_s·whole.
        distance: (θ_s - θ_0)·(θ_s - θ_0).
        whole: whole·whole, shape (layer,).
    """

    names: tuple[str, ...]
    weight: np.ndarray
    update: np.ndarray
    turn: np.ndarray
    along: np.ndarray
    distance: np.ndarray
    whole: np.ndarray


def moments(trajectory: Trajectory, *, device: str | None = None) -> Moments:
    """Gather the sums of a run in one pass over its file.

    Args:
        trajectory: The run.
        device: A torch device, such as ``cuda``, to add up on; None does it with numpy.

    Returns:
        Sums per tensor; add them over tensors for the whole vector.
    """
    layers = [entry for entry in trajectory.layout if entry.size]
    count = len(trajectory)
    on = Arrays(device)
    names = ("weight", "update", "turn", "along", "distance")
    sums = {name: on.load(np.zeros((len(layers), count))) for name in names}
    whole = on.load(np.zeros(len(layers)))
    width, rows = _block_shape(trajectory.layout.size, count)
    total = count * math.ceil(trajectory.layout.size / width)
    with Progress(f"path {trajectory.name}", total, unit="row") as progress:
        for start in range(0, trajectory.layout.size, width):
            part = slice(start, min(start + width, trajectory.layout.size))
            inside = [
                (k, slice(max(e.offset, part.start) - start, min(e.slice.stop, part.stop) - start))
                for k, e in enumerate(layers)
                if e.offset < part.stop and e.slice.stop > part.start
            ]
            first, last = (
                on.load(trajectory.columns(slice(i, i + 1), part)) for i in (0, count - 1)
            )
            for k, cut in inside:
                whole[k] += on.dots(last[:, cut] - first[:, cut], last[:, cut] - first[:, cut])[0]
            for at, states, updates in _blocks(trajectory, part, rows, on):
                here = slice(at, at + len(states))
                for k, cut in inside:
                    now, moved = states[:, cut], updates[1:, cut]
                    away, way = now - first[:, cut], last[:, cut] - first[:, cut]
                    sums["weight"][k, here] += on.dots(now, now)
                    sums["update"][k, here] += on.dots(moved, moved)
                    sums["turn"][k, here] += on.dots(updates[:-1, cut], moved)
                    sums["along"][k, here] += on.dots(moved, way)
                    sums["distance"][k, here] += on.dots(away, away)
                progress.advance(len(states))
    found = {name: on.fetch(values) for name, values in sums.items()}
    found["update"][:, :1] = found["along"][:, :1] = found["turn"][:, :2] = np.nan
    return Moments(names=tuple(e.name for e in layers), whole=on.fetch(whole), **found)


def _blocks(
    trajectory: Trajectory, part: slice, rows: int, on: Arrays
) -> Iterator[tuple[int, Any, Any]]:
    """Row number, states, and updates into them (one more in front) of consecutive blocks."""
    before: Any = None
    update = on.load(np.zeros((1, part.stop - part.start)))
    for at in range(0, len(trajectory), rows):
        stop = min(at + rows, len(trajectory))
        states = on.load(trajectory.columns(slice(at, stop), part))
        with np.errstate(invalid="ignore"):  # a diverged run gives NaN
            into_first = states[:1] - (states[:1] if before is None else before)
            updates = on.below(update, into_first, states[1:] - states[:-1])
        yield at, states, updates
        before, update = on.below(states[-1:]), on.below(updates[-1:])  # not views: blocks go


def _block_shape(size: int, count: int) -> tuple[int, int]:
    """Columns and rows of a block: whole chunks of the file where a row does not fit."""
    chunk = math.ceil(size / math.ceil(size / 65536))
    width = min(size, chunk * max(1, _BLOCK_BYTES // (8 * 16 * chunk)))
    return width, max(1, min(count, _BLOCK_BYTES // (8 * width)))
