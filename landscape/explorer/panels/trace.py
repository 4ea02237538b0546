"""Traces of the Hessian, tensor by tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from landscape.base.result import Result
from landscape.explorer.packing import packed
from landscape.results.hessian_trace import HessianTrace


def trace(placed: Sequence[tuple[str, str, Result]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Every trace with those of its diagonal blocks, and their standard errors."""
    return [
        {
            "name": key.removeprefix("trace/"),
            "total": result.value,
            "error": result.standard_error,
            "probes": result.probes,
            "tensors": list(result.tensors),
            "value": packed(result.tensor_value),
            "errors": packed(result.tensor_error),
        }
        for _, key, result in placed
        if isinstance(result, HessianTrace)
    ]
