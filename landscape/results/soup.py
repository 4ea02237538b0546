"""A soup: the average of some networks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from landscape.base.layout import Layout
from landscape.base.result import Result
from landscape.base.vector import Vector, layout_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Soup(Result):
    """The greedy average of networks: each is kept if the average does not get worse by it.

    Attributes:
        names: What the networks are called, shape (network,).
        metric: The metric that was asked, smaller is better.
        score: The metric of every network, shape (network,).
        order: In which order they were tried, best first, shape (network,).
        tried: The metric of the average with each network, in the order of `names`.
        kept: Whether it stayed.
        uniform: The metric of the average of all networks.
        vector: The greedy average, shape (parameter,).
        tensors: The layout of the vector, where it is known.
        settings: Held-out data, precision, batch-norm policy.
        provenance: Software, command, time.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> import numpy as np
    >>> soup = ls.greedy_soup(objective, [np.full(10, v, "float32") for v in (-1.0, 1.2, 9.0)])
    >>> soup.order.tolist(), soup.kept.tolist(), round(soup.vector[0].item(), 3)
    ([0, 1, 2], [True, True, False], 0.1)
    """

    schema: ClassVar[str] = "landscape/soup"

    names: Annotated[tuple[str, ...], "network"]
    metric: str
    score: Float64[np.ndarray, " network"]
    order: Int64[np.ndarray, " network"]
    tried: Float64[np.ndarray, " network"]
    kept: Bool[np.ndarray, " network"]
    uniform: float
    vector: Float[np.ndarray, " parameter"]
    tensors: dict[str, Any] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Give the vector its layout."""
        layout = layout_of(self.vector)
        if self.tensors is not None:
            layout = Layout.from_json(json.dumps(self.tensors.get("layout")))
        super().__post_init__()
        if layout is not None:
            object.__setattr__(self, "tensors", {"layout": json.loads(layout.to_json())})
            object.__setattr__(self, "vector", Vector(self.vector, layout))

    @property
    def greedy(self) -> float:
        """The metric of the greedy average."""
        return float(self.tried[self.order[self.kept[self.order]][-1]])
