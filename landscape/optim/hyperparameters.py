"""Checks of hyper-parameters that optimizers, averages and schedules share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any


def check_range(name: str, value: Any, low: float, high: float = math.inf) -> None:
    """Refuse a number outside [low, high) (below infinity when `high` is infinite).

    Raises:
        ValueError: If `value` is not in the range.
    """
    if not low <= value < high:
        raise ValueError(f"{name} must be at least {low:g} and below {high:g}; got {value}.")


def check_betas(betas: tuple[float, float]) -> None:
    """Refuse decay rates outside [0, 1)."""
    for k, beta in enumerate(betas, 1):
        check_range(f"beta{k}", beta, 0, 1)


def check_options(name: str, options: Mapping[str, Any], allowed: Iterable[str]) -> None:
    """Refuse options that `name` does not take.

    Raises:
        ValueError: If there is one; the message lists those allowed.
    """
    allowed = list(allowed)
    if unknown := [key for key in options if key not in allowed]:
        raise ValueError(
            f"{name} takes no option {', '.join(unknown)}; allowed: {', '.join(allowed) or 'none'}."
        )
