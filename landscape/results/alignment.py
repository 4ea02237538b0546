"""A network whose units were permuted onto those of another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Float, Int64

from landscape.base.layout import Layout
from landscape.base.result import Result
from landscape.base.vector import Vector


@dataclass(frozen=True, kw_only=True, eq=False)
class Alignment(Result):
    """The permutation of the units of b that brings it close to a; its function stays.

    What it is not: the best permutation. Finding that is NP-hard; this is the best of several
    local searches. For transformers permutations alone are not known to remove the barrier
    (Theus et al. 2025, arXiv:2506.22712).

    Attributes:
        parameters: b permuted onto a, flat, in the model's order.
        buffers: Its floating-point buffers, permuted with it; None where none were given.
        group: Names of the groups of units.
        units: How many units each has, shape (group,).
        order: For each group in turn, which unit of b takes the place of each unit of a.
        pinned: What was left in its order, and why.
        method: ``weights`` or ``activations``.
        before: Cosine of a and b.
        after: Cosine of a and the permuted b.
        function_error: Largest relative change of an output when units are permuted at random, in
            double precision; checked for every alignment.
        layout: The model's layout as JSON.
        settings: Method, restarts, seed, sweeps.
        provenance: Software, command, time.

    >>> import numpy as np
    >>> import torch
    >>> import landscape as ls
    >>> def loss(model, batch):
    ...     return (model(batch[0]) - batch[1]).square().mean(1)
    >>> data = (torch.randn(32, 2), torch.randn(32, 1))
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    >>> objective = ls.Objective(model, loss, data)
    >>> a = objective.parameters()
    >>> alignment = ls.align(objective, a, a)
    >>> float(alignment.after), alignment.order.tolist()
    (1.0, [0, 1, 2])
    """

    schema: ClassVar[str] = "landscape/alignment"

    parameters: Float[np.ndarray, " parameter"]
    buffers: Float[np.ndarray, " buffer"] | None = None
    group: Annotated[tuple[str, ...], "group"]
    units: Int64[np.ndarray, " group"]
    order: Int64[np.ndarray, " unit"]
    pinned: Annotated[tuple[str, ...], "pin"]
    method: str
    before: float
    after: float
    function_error: float
    layout: str
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def vector(self) -> Vector:
        """The permuted network, with its layout, shape (P,)."""
        return Vector(self.parameters, Layout.from_json(self.layout))

    @property
    def permutations(self) -> dict[str, np.ndarray]:
        """By group: which unit of b takes the place of each unit of a."""
        parts = np.split(self.order, np.cumsum(self.units)[:-1])
        return dict(zip(self.group, parts, strict=True)) if self.group else {}
