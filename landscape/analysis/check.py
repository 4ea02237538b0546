"""One number of a run beside its threshold."""

from __future__ import annotations

from typing import NamedTuple


class Check(NamedTuple):
    """One number beside its threshold, and what is said of it."""

    name: str
    value: float
    error: float
    threshold: float
    found: bool
    sentence: str
    remedy: str
    source: str
    plot: str
