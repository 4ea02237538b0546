"""How points are evaluated: the strategies there are, and a choice of one with its sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from landscape.objective.strategies.compiled import compiled
from landscape.objective.strategies.folded import channels_last, folded
from landscape.objective.strategies.fused import fused
from landscape.objective.strategies.graphed import graphed
from landscape.objective.strategies.linear import batched_linear
from landscape.objective.strategies.onednn import through_onednn
from landscape.objective.strategies.sequential import sequential
from landscape.objective.strategies.shared import shared_first
from landscape.objective.strategies.stacked import stacked
from landscape.objective.strategies.streamed import streamed
from landscape.objective.strategies.work import Strategy

STRATEGIES: dict[str, Strategy] = {
    "sequential": sequential,
    "channels last": channels_last,
    "folded": folded,
    "fused": fused,
    "shared": shared_first,
    "linear": batched_linear,
    "onednn": through_onednn,
    "stacked": stacked,
    "compiled": compiled,
    "graphed": graphed,
    "streamed": streamed,
}
CHUNKED = ("linear", "shared", "stacked", "compiled")
SHARED = (
    "sequential",
    "channels last",
    "folded",
    "fused",
    "shared",
    "linear",
    "onednn",
)  # threads can share their batches


@dataclass(frozen=True)
class Choice:
    """How points are evaluated.

    Attributes:
        strategy: A name in `STRATEGIES`.
        batch_size: Samples per forward pass; None for batches as given.
        chunk: Points evaluated together.
        threads: Threads that share the batches of a point, each computing on one core; 1 leaves
            the cores to torch.
        seconds: Time per point when it was tried; NaN when it was not.
        tried: What was timed: "strategy, batch size, chunk, threads" to seconds per point.
    """

    strategy: str
    batch_size: int | None
    chunk: int = 1
    threads: int = 1
    seconds: float = float("nan")
    tried: Mapping[str, float] = field(default_factory=dict)

    @property
    def way(self) -> str:
        """What has to be compared with the plain way by itself: sizes make no difference."""
        return f"{self.strategy}, {self.threads > 1}"

    def describe(self) -> dict[str, Any]:
        """For provenance."""
        return {
            "strategy": self.strategy,
            "batch_size": self.batch_size,
            "chunk": self.chunk,
            "threads": self.threads,
            "seconds_per_point": self.seconds if math.isfinite(self.seconds) else None,
            "tried": {name: float(f"{seconds:.4g}") for name, seconds in self.tried.items()},
        }


def check_strategy(name: str | None) -> None:
    """Refuse a strategy that there is not.

    Raises:
        ValueError: If it is neither None nor one of `STRATEGIES`.
    """
    if name is not None and name not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}; not {name!r}.")
