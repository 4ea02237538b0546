"""A curve between two networks: its control points, weights along it, and its length."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from math import comb
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Float64

from landscape.base.blocks import inner
from landscape.base.layout import Layout
from landscape.base.result import Result
from landscape.base.vector import Vector, layout_of

KINDS = ("bezier", "chain")
_NODES = 2000  # places between which lengths are summed


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve(Result):
    """A curve φ(t) = Σ_k w_k(t) points[k] between two networks, t from 0 to 1.

    With ``bezier`` the w_k are Bernstein polynomials, for one bend (1-t)², 2t(1-t), t²; with
    ``chain`` the curve runs straight from point to point, in equal times (Garipov et al. 2018,
    arXiv:1802.10026, equations 2 and 3).

    What it is not: a valley. It was trained to be low on average over t; `curve_profile` measures
    where it is how low.

    Attributes:
        kind: ``bezier`` or ``chain``.
        points: The first network, the bends, the second network, shape (point, parameter).
        loss: The loss of the batch at a random t, before each step of training, shape (step,).
        tensors: The layout of the points, where it is known.
        settings: Optimizer, steps, seeds, data, precision.
        provenance: Software, command, time.

    >>> points = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 0.0]])
    >>> Curve(kind="bezier", points=points, loss=np.zeros(0)).at(0.5).tolist()
    [1.0, 1.0]
    """

    schema: ClassVar[str] = "landscape/curve"

    kind: str
    points: Float[np.ndarray, "point parameter"]
    loss: Float64[np.ndarray, " step"]
    tensors: dict[str, Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the kind and give the points their layout."""
        layout = layout_of(self.points)
        if self.tensors is not None:
            layout = Layout.from_json(json.dumps(self.tensors.get("layout")))
        super().__post_init__()
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}; not {self.kind!r}.")
        if len(self.points) < 3:
            raise ValueError(f"A curve has two ends and a bend or more; got {len(self.points)}.")
        if layout is not None:
            object.__setattr__(self, "tensors", {"layout": json.loads(layout.to_json())})
            object.__setattr__(self, "points", Vector(self.points, layout))

    @property
    def bends(self) -> np.ndarray:
        """The points that were trained, shape (bend, parameter)."""
        return self.points[1:-1]

    def weights(self, t: np.ndarray | float) -> np.ndarray:
        """How much of each point there is at places t, shape (t, point)."""
        return weights_at(self.kind, len(self.points), np.atleast_1d(np.asarray(t, np.float64)))

    def at(self, t: float) -> np.ndarray:
        """φ(t), shape (parameter,); the ends are the two networks, bit for bit."""
        if t in (0, 1):
            return self.points[-int(t)]
        mixed = np.asarray(self.weights(t)[0] @ np.asarray(self.points, np.float64))
        return Vector(mixed.astype(self.points.dtype), layout_of(self.points))

    def coordinates(self, t: np.ndarray | float) -> np.ndarray:
        """φ(t) in the frame of `directions` about the first network, shape (t, point - 1)."""
        return self.weights(t)[:, 1:]

    @property
    def directions(self) -> np.ndarray:
        """From the first network to every other point, shape (point - 1, parameter)."""
        moved = np.asarray(self.points[1:], np.float64) - np.asarray(self.points[0])
        return Vector(moved, layout_of(self.points))

    def length(self, t: np.ndarray | float = 1.0) -> np.ndarray:
        """Length of the curve from 0 to t in the parameters' units, shape of `t`.

        The sum of 2,000 chords: their relative error is below 1e-6 for a quadratic curve.
        """
        nodes, along = self._lengths()
        return np.asarray(np.interp(t, nodes, along))

    def at_length(self, share: np.ndarray | float) -> np.ndarray:
        """The t at which a share of the whole length is behind, shape of `share`."""
        nodes, along = self._lengths()
        return np.asarray(np.interp(np.asarray(share) * along[-1], along, nodes))

    def _lengths(self) -> tuple[np.ndarray, np.ndarray]:
        bends = np.linspace(0, 1, len(self.points)) if self.kind == "chain" else ()
        nodes = np.unique(np.concatenate([np.linspace(0, 1, _NODES + 1), bends]))
        step = np.diff(self.coordinates(nodes), axis=0)
        directions = self.directions
        squared = np.einsum("ti,ij,tj->t", step, inner(directions, directions), step)
        return nodes, np.append(0, np.sqrt(squared.clip(min=0)).cumsum())


def weights_at(kind: str, points: int, t: np.ndarray) -> np.ndarray:
    """How much of each control point a curve has at places t.

    Args:
        kind: One of `KINDS`.
        points: How many control points, both ends included.
        t: Shape (t,), from 0 to 1.

    Returns:
        Shape (t, point); each row sums to one.

    >>> weights_at("bezier", 3, np.array([0.5])).tolist()
    [[0.25, 0.5, 0.25]]
    >>> weights_at("chain", 3, np.array([0.25])).tolist()
    [[0.5, 0.5, 0.0]]
    """
    k, last = np.arange(points), points - 1
    if kind == "chain":
        return (1 - np.abs(t[:, None] * last - k)).clip(min=0)
    count = np.array([comb(last, i) for i in k])
    return count * t[:, None] ** k * (1 - t[:, None]) ** (last - k)
