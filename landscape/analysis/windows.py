"""Windows: which steps of a run are measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Window = tuple[int, int] | Literal["first", "middle", "last"]


def bounds_of(
    steps: np.ndarray, windows: Sequence[Window] | None, length: int
) -> list[tuple[int, int]]:
    """First and last optimizer step of every window.

    Args:
        steps: The recorded steps.
        windows: Ranges (first, last), or names; None is the whole run.
        length: Steps in a named window.

    Raises:
        ValueError: If a name is unknown.

    >>> bounds_of(np.arange(101), ["first", "middle", "last", (7, 9)], 20)
    [(0, 20), (40, 60), (80, 100), (7, 9)]
    """
    first, last = int(steps[0]), int(steps[-1])
    middle = (first + last - length) // 2
    named = {
        "first": (first, first + length),
        "middle": (max(first, middle), middle + length),
        "last": (max(first, last - length), last),
    }
    found = []
    for window in [(first, last)] if windows is None else windows:
        if isinstance(window, str) and window not in named:
            raise ValueError(
                f"A window is (first, last) or one of {', '.join(named)}; not {window!r}."
            )
        found.append(named[window] if isinstance(window, str) else tuple(map(int, window)))
    return found


def name_of(window: Window) -> str:
    """What a window is called in results."""
    return window if isinstance(window, str) else f"{window[0]}-{window[1]}"


def segments_in(steps: np.ndarray, bounds: Sequence[tuple[int, int]]) -> np.ndarray:
    """Indices of the states that begin a segment within any of the ranges (first, last)."""
    inside = [(steps[:-1] >= first) & (steps[1:] <= last) for first, last in bounds]
    return np.flatnonzero(np.any(inside, axis=0))
