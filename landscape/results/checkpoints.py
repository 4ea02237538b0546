"""Lines and planes through checkpoints that stay in their files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from landscape.base.provenance import fingerprint, provenance
from landscape.base.result import Result
from landscape.results.projection import Projection


@dataclass(frozen=True, kw_only=True, eq=False)
class _Checkpoints(Result):
    """An origin and directions that are mixtures of checkpoints in files.

    θ(c) = Σ_j (mixture[0, j] + Σ_k c_k · mixture[k, j]) · checkpoint_j, made tensor by tensor when
    it is measured. The files have to stay where they are; that they did not change is checked.

    Attributes:
        files: Paths of the checkpoints.
        digests: A fingerprint of each: its tensors' names and shapes, and samples of its content.
        step: Optimizer step of each checkpoint, or its number.
        mixture: Coefficients of the checkpoints in the origin (first row, sum 1) and in each
            direction (sum 0), shape (1 + K, checkpoints).
        products: Inner products of the checkpoints' differences from the first one.
        gram: Inner products of the directions, shape (K, K).
        labels: What each axis is, for figures.
        moved: Names of the tensors that differ between the checkpoints.
        explained: Share of the variation about the origin along each direction, if meaningful.
        explained_null: The same shares for a random walk with these steps.
        settings: How they were chosen.
        provenance: Software, command and time.
    """

    files: Annotated[tuple[str, ...], "checkpoint"]
    digests: Annotated[tuple[str, ...], "digest"]
    step: Int64[np.ndarray, " checkpoint"]
    mixture: Float64[np.ndarray, "vector checkpoint"]
    products: Float64[np.ndarray, "checkpoint checkpoint_2"]
    gram: Float64[np.ndarray, "direction direction_2"]
    labels: Annotated[tuple[str, ...], "direction"]
    moved: Annotated[tuple[str, ...], "tensor"]
    explained: Float64[np.ndarray, " direction"] | None = None
    explained_null: Float64[np.ndarray, " direction"] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    count: ClassVar[int]
    layout: ClassVar[None] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        if len(self.mixture) != 1 + self.count:
            raise ValueError(
                f"A {name} has {self.count} direction(s); got {len(self.mixture) - 1}."
            )
        spread = np.linalg.eigvalsh(self.gram)
        if not spread[0] > 1e-12 * spread[-1]:
            raise ValueError(
                f"The directions of the {name} are zero, parallel or not finite; choose "
                "checkpoints that differ and did not diverge."
            )

    @property
    def digest(self) -> str:
        """A short text that tells this line or plane from every other."""
        return fingerprint(self.mixture, np.array(self.digests, dtype="S"))

    @property
    def coordinates(self) -> np.ndarray:
        """Where the checkpoints lie, by least squares, shape (checkpoints, K)."""
        return np.linalg.solve(self.gram, self._along.T).T

    @property
    def residual(self) -> np.ndarray:
        """Euclidean distance of each checkpoint from the line or plane, shape (checkpoints,)."""
        origin = self.mixture[0]
        squared = np.diag(self.products) - 2 * self.products @ origin
        squared = squared + origin @ self.products @ origin
        shown = np.einsum("ji,ji->j", self.coordinates, self._along)
        left = squared - shown
        rounding = 1e-12 * np.abs(self.products).max()
        return np.sqrt(np.where(left > rounding, left, 0.0))

    @property
    def _along(self) -> np.ndarray:
        """Inner products of each checkpoint's offset from the origin with the directions."""
        weights = np.eye(len(self.files)) - self.mixture[0]
        return weights @ self.products @ self.mixture[1:].T

    def path(self, name: str = "checkpoints") -> Projection:
        """The checkpoints as a path on the plane, in the order in which they were given."""
        weights = np.eye(len(self.files)) - self.mixture[0]
        whole = np.einsum("ji,ik,jk->", weights, self.products, weights)
        left = float((self.residual**2).sum())
        return Projection(
            name=name,
            optimizer="",
            step=self.step,
            coordinates=self.coordinates,
            residual=self.residual,
            shown=1 - left / whole if whole > 0 else 1.0,
            settings=self.settings,
            provenance=provenance(plane_hash=self.digest),
        )

    def check_filters(self, layout: object) -> None:
        """Nothing to refuse: differences of checkpoints are never rescaled."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckpointLine(_Checkpoints):
    """A line through checkpoints in files; made by `checkpoint_line`.

    >>> line = CheckpointLine(
    ...     files=("a", "b"), digests=("1", "2"), step=[0, 1], mixture=[[1.0, 0.0], [-1.0, 1.0]],
    ...     products=[[0.0, 0.0], [0.0, 4.0]], gram=[[4.0]], labels=("α",), moved=("w",),
    ... )
    >>> line.coordinates.ravel().tolist(), line.residual.tolist()
    ([0.0, 1.0], [0.0, 0.0])
    """

    schema: ClassVar[str] = "landscape/checkpoint-line"
    count: ClassVar[int] = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckpointPlane(_Checkpoints):
    """A plane through checkpoints in files; made by `checkpoint_plane` and `checkpoint_pca`.

    >>> plane = CheckpointPlane(
    ...     files=("a", "b", "c"), digests=("1", "2", "3"), step=[0, 1, 2],
    ...     mixture=[[1.0, 0.0, 0.0], [-1.0, 1.0, 0.0], [-1.0, 0.0, 1.0]], labels=("α", "β"),
    ...     products=[[0.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 9.0]], moved=("w",),
    ...     gram=[[4.0, 0.0], [0.0, 9.0]],
    ... )
    >>> plane.coordinates.tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    """

    schema: ClassVar[str] = "landscape/checkpoint-plane"
    count: ClassVar[int] = 2
