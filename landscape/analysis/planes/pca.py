"""Principal components of recorded runs, and what a random walk would show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from landscape.base.blocks import blocks
from landscape.base.layout import Layout
from landscape.base.runs.trajectory import Trajectory
from landscape.base.statistics import KEY
from landscape.base.vector import Vector
from landscape.results.affine import Plane, affine
from landscape.results.construction import Construction

Origin = Literal["mean", "initial", "final"]
Weight = Literal["states", "runs"]
_LEAST, _MOST = 2**24, 2**27  # bytes of all states that are alive at a time
_EACH = 12  # bytes of a number: as it is read, and in double precision


def pca_plane(
    trajectories: Trajectory | Sequence[Trajectory],
    *,
    origin: Origin | None = None,
    max_states: int = 2000,
    weight: Weight = "states",
) -> Plane:
    """The plane that holds most of the variation of one run, or of several runs together.

    With X the states (rows) minus the origin o, the axes are the first two right singular vectors
    of X, found through the Gram matrix X Xᵀ (states by states, never parameters by parameters).
    `explained` is σ_k² / Σ σ² over *all* components: the share of the total squared distance from
    the origin. High shares are no sign of structure: a random walk reaches them too (Antognini &
    Sohl-Dickstein 2018, arXiv:1806.08805), so the same shares of a random walk with these steps
    are stored beside them as `explained_null` (None when the runs start at different points: what
    such walks would show depends on the gaps between the starts). The shares of each run alone,
    about the same origin, are in ``settings["explained_per_run"]``, one row per run.

    States are read some columns at a time, the fewer the more states there are: beside the three
    vectors of the plane, one more is held at the most (16 to 128 MB), and matrices states × states.

    Args:
        trajectories: One run, or several of one model; their tensors are paired by name.
        origin: The point at (0, 0): ``final`` (of the first run; default for one run), ``initial``
            (of the first run) or ``mean`` (of all states; default for several).
        max_states: Runs are thinned evenly to this many states in total before the analysis.
        weight: What counts the same in several runs together: ``states`` each state, so that a
            longer run counts more; ``runs`` each run, whatever its number of states.

    Returns:
        A plane with orthonormal axes; coordinates are Euclidean distances in parameter space.

    Raises:
        ValueError: If the runs have different layouts or hold fewer than three states together.

    >>> import landscape as ls
    >>> recorded = ls.Run("function/quadratic", "gd", lr=0.01, steps=8)  # ½ Σ h_i x_i²
    >>> run = ls.Trajectory(ls.record_run(recorded, "gd.h5"))
    >>> plane = ls.pca_plane(run)
    >>> bool(plane.explained.sum() > 0.9), plane.explained_null.shape
    (True, (2,))
    """
    runs = [trajectories] if isinstance(trajectories, Trajectory) else list(trajectories)
    layout = _common_layout(runs)
    origin = origin or ("final" if len(runs) == 1 else "mean")
    rows = [_thinned(run, max(2, max_states // len(runs))) for run in runs]
    count = sum(len(r) for r in rows)
    if count < 3:
        raise ValueError(
            f"A plane needs three states or more; the runs hold {count}. Around one state there "
            "is a random plane (random_plane, --plane random)."
        )
    weights = _weights(weight, [len(r) for r in rows])
    gram = np.zeros((count, count))
    with np.errstate(invalid="ignore", over="ignore"):  # a diverged run is refused below
        centre = _centre(origin, runs, rows, weights)
        for part in _parts(runs[0].layout.size, count):
            block = _block(runs, rows, part, centre)
            gram += block @ block.T
    if not np.isfinite(gram).all():
        raise ValueError("A run holds non-finite parameters; shorten it to before it diverged.")
    roots = np.sqrt(weights)
    values, vectors = np.linalg.eigh(roots[:, None] * gram * roots)
    values, vectors = values[::-1], vectors[:, ::-1]
    if values[1] <= 1e-12 * values[0]:
        raise ValueError("The states lie on one line, so they span no plane; use a line instead.")
    mix = roots[:, None] * vectors[:, :2] / np.sqrt(values[:2])
    # The sign of a singular vector is arbitrary: the first run ends on the positive side.
    first = gram[: len(rows[0])] @ mix
    mix *= np.where(first[-1] < first[0], -1.0, 1.0)
    points = gram @ mix
    directions = np.empty((2, layout.size), np.result_type(centre.dtype, np.float32))
    for part in _parts(layout.size, count):
        directions[:, part] = mix.T @ _block(runs, rows, part, centre)
    for made in (centre, directions):
        made.flags.writeable = False  # so that the plane need not copy it
    owner = np.repeat(np.arange(len(runs)), [len(r) for r in rows])
    totals = np.bincount(owner, np.diag(gram))
    per_run = [np.bincount(owner, points[:, axis] ** 2) / totals for axis in (0, 1)]
    steps = [run.steps[r] for run, r in zip(runs, rows, strict=True)]
    null = None  # where runs start apart, most of what is seen may be the gap between the starts
    if _start_together(runs):
        null = random_walk_shares(steps, origin=origin, weight=weight)[:2]
    made = Construction(
        kind="PCA" if len(runs) == 1 else "joint PCA",
        runs=[run.name for run in runs],
        states=count,
        weight=weight,
        explained_per_run=np.transpose(per_run).tolist(),
        normalization="none",
        origin=origin,
        box=[float(f(points[:, axis])) for axis in (0, 1) for f in (np.min, np.max)],
    )
    settings = {**made.settings(), **_learned(runs, origin)}
    return Plane(
        **affine(Vector(centre, layout), directions, ["PC 1", "PC 2"], settings),
        explained=values[:2] / (weights * np.diag(gram)).sum(),
        explained_null=null,
    )


def _learned(runs: Sequence[Trajectory], origin: Origin) -> dict[str, Any]:
    """Statistics that suit a plane: of the ends of the runs, and of the start that lies at 0."""
    told = [runs[0].statistics(0)] if origin == "initial" else []
    told += [run.statistics(-1) for run in runs]
    return {KEY: found} if (found := [one for one in told if one is not None]) else {}


def _common_layout(runs: Sequence[Trajectory]) -> Layout:
    """The first run's layout, by whose names those of the others are found."""
    if not runs:
        raise ValueError("No run was given; pass at least one Trajectory.")
    layout = runs[0].layout
    for run in runs[1:]:
        try:
            layout.pieces(run.layout)
        except ValueError as error:
            problem = layout.differences(run.layout)
            raise ValueError(f"{run.path} was recorded from another model: {problem}.") from error
    return layout


def random_walk_shares(
    steps: Sequence[np.ndarray], *, origin: Origin, weight: Weight = "states"
) -> np.ndarray:
    """Shares of the principal components of random walks, in the limit of many dimensions.

    Independent walks from one starting point with equal, independent, isotropic steps have
    inner products proportional to min(s, t) within a walk and zero between walks; the shares are
    the eigenvalues of that matrix about the origin. About the mean of one long walk they are
    6 / (π² k²) = 60.8 %, 15.2 %, 6.8 % (Antognini & Sohl-Dickstein 2018, arXiv:1806.08805,
    eq. 13); about its first or last state 8 / (π² (2k - 1)²) = 81.1 %, 9.0 %, 3.2 %.

    Args:
        steps: For each walk, the step numbers at which its states were taken.
        origin: The reference point, as in `pca_plane`.
        weight: What counts the same, as in `pca_plane`.

    Returns:
        Shares in decreasing order; they sum to one.

    >>> [round(100 * float(s), 1) for s in random_walk_shares([np.arange(400)], origin="mean")[:3]]
    [60.8, 15.2, 6.8]
    >>> [round(100 * float(s), 1) for s in random_walk_shares([np.arange(400)], origin="final")[:3]]
    [81.1, 9.0, 3.2]
    """
    start = min(s[0] for s in steps)
    count = sum(len(s) for s in steps)
    kernel = np.zeros((count, count))
    at = 0
    for walk in steps:
        times = np.asarray(walk, np.float64) - start
        kernel[at : at + len(walk), at : at + len(walk)] = np.minimum.outer(times, times)
        at += len(walk)
    first, last = 0, len(steps[0]) - 1
    weights = _weights(weight, [len(s) for s in steps])
    reference = weights / count
    if origin != "mean":
        reference = np.eye(count)[first if origin == "initial" else last]
    # (1 - 1 rᵀ) K (1 - r 1ᵀ), without forming the projections
    row = reference @ kernel
    moved = kernel - row - row[:, None] + row @ reference
    roots = np.sqrt(weights)
    values = np.linalg.eigvalsh(roots[:, None] * moved * roots)[::-1].clip(min=0)
    return values / values.sum()


def _weights(weight: Weight, lengths: Sequence[int]) -> np.ndarray:
    """One weight per state; they sum to the number of states."""
    if weight not in ("states", "runs"):
        raise ValueError(f"weight must be one of 'states', 'runs'; not {weight!r}.")
    if weight == "states":
        return np.ones(sum(lengths))
    return np.repeat([sum(lengths) / len(lengths) / n for n in lengths], lengths)


def _thinned(run: Trajectory, most: int) -> np.ndarray:
    if len(run) <= most:
        return np.arange(len(run))
    return np.unique(np.linspace(0, len(run) - 1, most).round().astype(int))


def _parts(size: int, count: int) -> list[slice]:
    """Columns of which `count` states are read together: the more states, the fewer."""
    held = min(max(4 * size, _LEAST), _MOST)
    width = max(1, held // (_EACH * count))
    return [slice(start, min(start + width, size)) for start in range(0, size, width)]


def _block(
    runs: Sequence[Trajectory],
    rows: Sequence[np.ndarray],
    part: slice,
    centre: np.ndarray | None = None,
) -> np.ndarray:
    """Some columns of all states in double precision, less those of the centre."""
    layout, at = runs[0].layout, 0
    found = np.empty((sum(len(r) for r in rows), part.stop - part.start))
    for run, chosen in zip(runs, rows, strict=True):
        here = found[at : at + len(chosen)]
        here[:] = _columns(run, chosen, part, layout)
        if centre is not None:
            here -= centre[part]
        at += len(chosen)
    return found


def _columns(run: Trajectory, rows: np.ndarray, part: slice, layout: Layout) -> np.ndarray:
    """A block of a run's states whose columns are in the order of `layout`."""
    pieces = layout.pieces(run.layout)
    if all(piece == entry.slice for piece, entry in zip(pieces, layout, strict=True)):
        return run.columns(rows, part)
    found = []
    for entry, piece in zip(layout, pieces, strict=True):
        first, last = max(part.start, entry.offset), min(part.stop, entry.slice.stop)
        if first < last:
            moved = piece.start - entry.offset
            found.append(run.columns(rows, slice(first + moved, last + moved)))
    return np.concatenate(found, axis=1)


def _centre(
    origin: Origin,
    runs: Sequence[Trajectory],
    rows: Sequence[np.ndarray],
    weights: np.ndarray,
) -> np.ndarray:
    if origin == "initial":
        return np.asarray(runs[0].initial)
    if origin == "final":
        return np.asarray(runs[0].final)
    if origin != "mean":
        raise ValueError(f"origin must be one of 'mean', 'initial', 'final'; not {origin!r}.")
    centre = np.empty(runs[0].layout.size, runs[0].dtype)
    for part in _parts(len(centre), len(weights)):
        centre[part] = np.average(_block(runs, rows, part), axis=0, weights=weights)
    return centre


def _start_together(runs: Sequence[Trajectory]) -> bool:
    start, layout = np.array([0]), runs[0].layout

    def first(run: Trajectory, part: slice) -> np.ndarray:
        return _columns(run, start, part, layout)

    return all(
        np.array_equal(first(run, part), first(runs[0], part))
        for run in runs[1:]
        for part in blocks(layout.size)
    )
