"""The trace of the Hessian at a point."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Float64

from landscape.base.result import Result


@dataclass(frozen=True, kw_only=True, eq=False)
class HessianTrace(Result):
    """tr H, and the trace of the diagonal block of every tensor, by random probes.

    Attributes:
        value: tr H.
        standard_error: Of `value`, over the choice of random vectors; that of samples is not in it.
        tensors: Names of the tensors.
        tensor_value: Trace of each tensor's diagonal block; they add up to `value`.
        tensor_error: Standard errors of these.
        known: How many eigenpairs were taken out first.
        probes: Random vectors.
        settings: Seed, block, data, precision.
        provenance: Software, command, time.

    >>> import landscape as ls
    >>> task = ls.load_task("function/quadratic")  # ½ Σ h_i x_i², h from 1 to 100, at x = 1
    >>> objective = ls.Objective(task.model, task.loss, task.train)
    >>> trace = ls.hessian_trace(objective, probes=4)
    >>> round(trace.value, 2)  # Σ h_i; exact, the Hessian being diagonal
    248.18
    """

    schema: ClassVar[str] = "landscape/hessian-trace"

    value: float
    standard_error: float
    tensors: Annotated[tuple[str, ...], "tensor"]
    tensor_value: Float64[np.ndarray, " tensor"]
    tensor_error: Float64[np.ndarray, " tensor"]
    known: int
    probes: int
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
