"""How large the entries of a run's gradients were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from landscape.base.result import Result


@dataclass(frozen=True, kw_only=True, eq=False)
class GradientHistogram(Result):
    """How many entries of the mini-batch gradient have which size, at every step.

    What it is not: the gradient of the whole data, nor the size of the updates, which an adaptive
    optimizer divides by these sizes.

    Attributes:
        name: The run.
        optimizer: Its optimizer; may be empty.
        step: Number of the update that each gradient led to, shape (update,).
        edge: Powers of two between the bins, ascending, shape (edge,).
        count: Entries with a size below edge[0] (zeros among them), between neighbouring edges,
            and from the last edge on (not finite ones among them), shape (update, bin).
        settings: Which run.
        provenance: Software, command, time.

    >>> import landscape as ls
    >>> run = ls.Run("function/quadratic", "gd", lr=0.01, steps=8, gradient_histogram=True)
    >>> histogram = ls.gradient_histogram(ls.Trajectory(ls.record_run(run, "gd.h5")))
    >>> histogram.count.sum(axis=1).tolist()  # ten entries at every step
    [10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0]
    """

    schema: ClassVar[str] = "landscape/gradient-histogram"

    name: str
    optimizer: str
    step: Int64[np.ndarray, " update"]
    edge: Float64[np.ndarray, " edge"]
    count: Float64[np.ndarray, "update bin"]
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that bins and edges belong together."""
        super().__post_init__()
        if self.count.shape[1] != len(self.edge) + 1:
            raise ValueError(
                f"{len(self.edge)} edges separate {len(self.edge) + 1} bins; "
                f"got {self.count.shape[1]}."
            )

    @property
    def share(self) -> np.ndarray:
        """Share of the entries in each bin, shape (update, bin); NaN where nothing was counted."""
        total = self.count.sum(axis=1, keepdims=True)
        return np.divide(self.count, total, out=np.full_like(self.count, np.nan), where=total > 0)

    def quantiles(self, levels: Sequence[float]) -> np.ndarray:
        """Quantiles of |gradient|, evenly interpolated on the logarithmic scale within a bin.

        Args:
            levels: Between 0 and 1.

        Returns:
            Shape (level, update); off by less than a factor of two. Values in the open bins are
            given as their edge, and NaN where nothing was counted.
        """
        below = np.concatenate([np.zeros((len(self.step), 1)), self.share.cumsum(axis=1)], axis=1)
        exponent = np.log2(self.edge)
        places = np.concatenate([exponent[:1], exponent, exponent[-1:]])
        found = np.full((len(levels), len(self.step)), np.nan)
        for update, row in enumerate(below):
            if np.isfinite(row).all():
                inner = np.searchsorted(row, levels, side="left").clip(1, len(row) - 1)
                low, high = row[inner - 1], row[inner]
                part = np.divide(levels - low, high - low, where=high > low, out=np.zeros(len(low)))
                found[:, update] = 2 ** (
                    places[inner - 1] + part * (places[inner] - places[inner - 1])
                )
        return found
