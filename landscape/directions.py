"""Directions: the lines and planes through parameter space on which the loss is measured.

A point with coordinates c lies at θ(c) = origin + Σ_k c_k · directions[k]. The directions need
be neither orthogonal nor of unit length: their Gram matrix is stored and every projection uses it.

Random directions are filter-normalized by default (Li et al. 2018, arXiv:1712.09913, section 4):
each filter of the direction gets the norm of the same filter of the origin, and biases and norm
parameters get zero. Directions that carry meaning (principal components, differences between
states) are never rescaled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float32, Float64

from landscape.layout import Kind, Layout
from landscape.provenance import provenance
from landscape.store import Result
from landscape.trajectory import Trajectory

Normalization = Literal["filter", "layer", "none"]
Origin = Literal["mean", "initial", "final"]

_BLOCK_BYTES = 2**27


@dataclass(frozen=True, kw_only=True, eq=False)
class _Affine(Result):
    """An origin and some directions.

    Attributes:
        origin: The point with coordinates zero, shape (P,).
        directions: One direction per row, shape (K, P).
        gram: Inner products of the directions, shape (K, K).
        labels: What each axis is, for figures.
        settings: How they were chosen.
        explained: Share of the variation about the origin along each direction, if meaningful.
        explained_null: The same shares for a random walk with as many steps.
        provenance: Software, command and time.
    """

    origin: Float32[np.ndarray, " parameter"]
    directions: Float32[np.ndarray, "direction parameter"]
    gram: Float64[np.ndarray, "direction direction_2"]
    labels: Annotated[tuple[str, ...], "direction"]
    explained: Float64[np.ndarray, " direction"] | None = None
    explained_null: Float64[np.ndarray, " direction"] | None = None
    settings: dict = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)

    count: ClassVar[int]

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if len(self.directions) != self.count:
            raise ValueError(f"A {name} has {self.count} direction(s); got {len(self.directions)}.")
        if not (np.isfinite(self.origin).all() and np.isfinite(self.directions).all()):
            raise ValueError(f"The {name} has non-finite entries; its run probably diverged.")
        spread = np.linalg.eigvalsh(self.gram)
        if spread[0] <= 1e-12 * spread[-1] or spread[-1] == 0:
            raise ValueError(
                f"The directions of the {name} are zero or parallel; choose points that differ."
            )

    def coordinates(self, vector: np.ndarray) -> tuple[np.ndarray, float]:
        """Least-squares coordinates of a point and its distance to the line or plane.

        Args:
            vector: A point, shape (P,).

        Returns:
            Coordinates, shape (K,), and the residual ‖θ - θ(c)‖, in double precision.
        """
        if vector.shape != self.origin.shape:
            raise ValueError(
                f"The point has shape {vector.shape}, the {type(self).__name__} lives in "
                f"{self.origin.shape}; they belong to different models."
            )
        with np.errstate(invalid="ignore", over="ignore"):  # a diverged state gives NaN
            offset = vector.astype(np.float64) - self.origin
            found = np.linalg.solve(self.gram, inner(self.directions, offset[None])[:, 0])
            for coordinate, direction in zip(found, self.directions, strict=True):
                offset -= coordinate * direction
        return found, float(np.linalg.norm(offset))


@dataclass(frozen=True, kw_only=True, eq=False)
class Line(_Affine):
    """An origin and one direction."""

    schema: ClassVar[str] = "landscape/line"
    count: ClassVar[int] = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane(_Affine):
    """An origin and two directions."""

    schema: ClassVar[str] = "landscape/plane"
    count: ClassVar[int] = 2


def inner(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner products of the rows of `a` and `b` in double precision, block by block."""
    block = max(1, _BLOCK_BYTES // (8 * (len(a) + len(b))))
    total = np.zeros((len(a), len(b)))
    for start in range(0, a.shape[1], block):
        part = slice(start, start + block)
        total += a[:, part].astype(np.float64) @ b[:, part].astype(np.float64).T
    return total


def random_plane(
    origin: np.ndarray,
    layout: Layout,
    *,
    seed: int = 0,
    normalization: Normalization = "filter",
    ignore: Sequence[Kind] = ("bias", "norm"),
) -> Plane:
    """Two random directions around a point (Li et al. 2018, arXiv:1712.09913).

    The two are drawn independently and, as in the paper, not orthogonalised.

    Args:
        origin: The centre, shape (P,), usually a trained network.
        layout: Layout of the vector.
        seed: Seed of the directions.
        normalization: ``filter``: each filter of a direction gets the norm of the origin's
            filter; ``layer``: the same for whole tensors; ``none``: raw normal numbers.
        ignore: Kinds of parameters whose entries are zero.

    Returns:
        The plane; one unit along an axis changes every filter by its own norm.
    """
    return Plane(**_random(origin, layout, 2, seed, normalization, ignore))


def random_line(
    origin: np.ndarray,
    layout: Layout,
    *,
    seed: int = 0,
    normalization: Normalization = "filter",
    ignore: Sequence[Kind] = ("bias", "norm"),
) -> Line:
    """One random direction around a point; arguments as for `random_plane`."""
    return Line(**_random(origin, layout, 1, seed, normalization, ignore))


def line_between(start: np.ndarray, end: np.ndarray) -> Line:
    """The straight line with `start` at 0 and `end` at 1 (Goodfellow et al., arXiv:1412.6544)."""
    return Line(**_affine(start, [_difference(start, end)], ["α"], {"kind": "between two points"}))


def plane_through(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> Plane:
    """The plane with `a` at (0, 0), `b` at (1, 0) and `c` at (0, 1); axes may be skew."""
    directions = [_difference(a, b), _difference(a, c)]
    settings = {"kind": "through three points", "box": [0.0, 1.0, 0.0, 1.0]}
    return Plane(**_affine(a, directions, ["α", "β"], settings))


def pca_plane(
    trajectories: Trajectory | Sequence[Trajectory],
    *,
    origin: Origin | None = None,
    max_states: int = 2000,
) -> Plane:
    """The plane that holds most of the variation of one run, or of several runs together.

    With X the states (rows) minus the origin o, the axes are the first two right singular vectors
    of X, found through the Gram matrix X Xᵀ (states by states, never parameters by parameters).
    `explained` is σ_k² / Σ σ² over *all* components: the share of the total squared distance from
    the origin. High shares are no sign of structure: a random walk reaches them too (Antognini &
    Sohl-Dickstein 2018, arXiv:1806.08805), so the same shares of a random walk with these steps
    are stored beside them as `explained_null`.

    Args:
        trajectories: One run, or several that share a layout.
        origin: The point at (0, 0): ``final`` (of the first run; default for one run), ``initial``
            (of the first run) or ``mean`` (of all states; default for several).
        max_states: Runs are thinned evenly to this many states in total before the analysis.

    Returns:
        A plane with orthonormal axes; coordinates are Euclidean distances in parameter space.

    Raises:
        ValueError: If the runs have different layouts or hold fewer than three states together.
    """
    runs = [trajectories] if isinstance(trajectories, Trajectory) else list(trajectories)
    if not runs:
        raise ValueError("No run was given; pass at least one Trajectory.")
    origin = origin or ("final" if len(runs) == 1 else "mean")
    for run in runs[1:]:
        if problem := runs[0].layout.differences(run.layout):
            raise ValueError(f"{run.path} was recorded from another model: {problem}.")
    rows = [_thinned(run, max(2, max_states // len(runs))) for run in runs]
    count = sum(len(r) for r in rows)
    if count < 3:
        raise ValueError(f"A plane needs three states or more; the runs hold {count}.")
    gram = np.zeros((count, count))
    with np.errstate(invalid="ignore", over="ignore"):  # a diverged run is refused below
        centre = _centre(origin, runs, rows)
        for part in _parts(runs[0].layout.size, count):
            block = _block(runs, rows, part) - centre[part]
            gram += block @ block.T
    if not np.isfinite(gram).all():
        raise ValueError("A run holds non-finite parameters; shorten it to before it diverged.")
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1], vectors[:, ::-1]
    if values[1] <= 1e-12 * values[0]:
        raise ValueError("The states lie on one line, so they span no plane; use a line instead.")
    directions = np.zeros((2, runs[0].layout.size))
    for part in _parts(runs[0].layout.size, count):
        block = _block(runs, rows, part) - centre[part]
        directions[:, part] = (vectors[:, :2] / np.sqrt(values[:2])).T @ block
    # The sign of a singular vector is arbitrary: the first run ends on the positive side.
    last = inner(directions, (runs[0].final.astype(np.float64) - runs[0].initial)[None])[:, 0]
    signs = np.where(last < 0, -1.0, 1.0)
    directions *= signs[:, None]
    points = vectors[:, :2] * np.sqrt(values[:2]) * signs
    steps = [run.steps[r] for run, r in zip(runs, rows, strict=True)]
    settings = {
        "kind": "PCA" if len(runs) == 1 else "joint PCA",
        "runs": [run.name for run in runs],
        "states": count,
        "normalization": "none",
        "origin": origin,
        "box": [float(f(points[:, axis])) for axis in (0, 1) for f in (np.min, np.max)],
    }
    return Plane(
        **_affine(centre, list(directions), ["PC 1", "PC 2"], settings),
        explained=values[:2] / np.trace(gram),
        explained_null=random_walk_shares(steps, origin=origin)[:2],
    )


def random_walk_shares(steps: Sequence[np.ndarray], *, origin: Origin) -> np.ndarray:
    """Shares of the principal components of random walks, in the limit of many dimensions.

    Independent walks from one starting point with equal, independent, isotropic steps have
    inner products proportional to min(s, t) within a walk and zero between walks; the shares are
    the eigenvalues of that matrix about the origin. About the mean of one long walk they are
    6 / (π² k²) = 60.8 %, 15.2 %, 6.8 % (Antognini & Sohl-Dickstein 2018, arXiv:1806.08805,
    eq. 13); about its first or last state 8 / (π² (2k - 1)²) = 81.1 %, 9.0 %, 3.2 %.

    Args:
        steps: For each walk, the step numbers at which its states were taken.
        origin: The reference point, as in `pca_plane`.

    Returns:
        Shares in decreasing order; they sum to one.

    >>> [round(100 * s, 1) for s in random_walk_shares([np.arange(2000)], origin="mean")[:3]]
    [60.8, 15.2, 6.8]
    >>> [round(100 * s, 1) for s in random_walk_shares([np.arange(2000)], origin="final")[:3]]
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
    weights = np.full(count, 1 / count)
    if origin != "mean":
        weights = np.eye(count)[first if origin == "initial" else last]
    moved = np.eye(count) - weights
    values = np.linalg.eigvalsh(moved @ kernel @ moved.T)[::-1].clip(min=0)
    return values / values.sum()


def _affine(
    origin: np.ndarray, directions: list[np.ndarray], labels: list[str], settings: dict[str, Any]
) -> dict[str, Any]:
    stored = np.stack([d.astype(np.float32) for d in directions])
    return {
        "origin": origin.astype(np.float32),
        "directions": stored,
        "gram": inner(stored, stored),
        "labels": tuple(labels),
        "settings": settings,
        "provenance": provenance(),
    }


def _random(
    origin: np.ndarray,
    layout: Layout,
    count: int,
    seed: int,
    normalization: Normalization,
    ignore: Sequence[Kind],
) -> dict[str, Any]:
    if normalization not in ("filter", "layer", "none"):
        raise ValueError(
            f"normalization must be one of 'filter', 'layer', 'none'; not {normalization!r}."
        )
    if origin.shape != (layout.size,):
        raise ValueError(f"The origin has shape {origin.shape}; the layout asks ({layout.size},).")
    generator = np.random.default_rng(seed)
    directions = []
    for _ in range(count):
        direction = np.zeros(layout.size)
        for entry in layout:
            drawn = generator.standard_normal(entry.size)
            if entry.kind not in ignore:
                direction[entry.slice] = drawn
        if normalization != "none":
            _normalize(direction, origin, layout, normalization)
        directions.append(direction)
    settings = {
        "kind": "random",
        "normalization": normalization,
        "ignored": list(ignore),
        "seed": seed,
    }
    return _affine(origin, directions, ["direction 1", "direction 2"][:count], settings)


def _normalize(
    direction: np.ndarray, origin: np.ndarray, layout: Layout, normalization: Normalization
) -> None:
    for entry in layout:
        tensor = direction[entry.slice].reshape(entry.shape)
        if normalization == "filter":
            mine = layout.filter_norms(entry, direction)
            wanted = layout.filter_norms(entry, origin)
        else:
            mine = np.linalg.norm(direction[entry.slice])
            wanted = np.linalg.norm(origin[entry.slice].astype(np.float64))
        # An ignored tensor has norm zero and stays zero.
        tensor *= np.divide(wanted, mine, out=np.zeros_like(wanted), where=np.asarray(mine) > 0)


def _difference(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    if start.shape != end.shape:
        raise ValueError(f"The points have shapes {start.shape} and {end.shape}.")
    return end.astype(np.float64) - start.astype(np.float64)


def _thinned(run: Trajectory, most: int) -> np.ndarray:
    if len(run) <= most:
        return np.arange(len(run))
    return np.unique(np.linspace(0, len(run) - 1, most).round().astype(int))


def _parts(size: int, rows: int) -> list[slice]:
    block = max(1, _BLOCK_BYTES // (8 * rows))
    return [slice(start, min(start + block, size)) for start in range(0, size, block)]


def _block(runs: Sequence[Trajectory], rows: Sequence[np.ndarray], part: slice) -> np.ndarray:
    blocks = [run.columns(r, part) for run, r in zip(runs, rows, strict=True)]
    return np.concatenate(blocks).astype(np.float64)


def _centre(origin: Origin, runs: Sequence[Trajectory], rows: Sequence[np.ndarray]) -> np.ndarray:
    if origin == "initial":
        return runs[0].initial
    if origin == "final":
        return runs[0].final
    if origin != "mean":
        raise ValueError(f"origin must be one of 'mean', 'initial', 'final'; not {origin!r}.")
    centre = np.zeros(runs[0].layout.size)
    count = sum(len(r) for r in rows)
    for part in _parts(runs[0].layout.size, count):
        centre[part] = _block(runs, rows, part).mean(axis=0)
    return centre.astype(np.float32)
