"""Sizes of batches that are worth a trial."""

from __future__ import annotations

COMPILED = (64, 8)  # samples and points of the compiled program that is tried


def alike(samples: int) -> int:
    """A size of batch near that of compiled programs, of which nearly all batches are."""
    counts = [-(-samples // size) for size in range(COMPILED[0] // 2, COMPILED[0] + 1)]
    count = min(counts, key=lambda n: (min(samples % n, n - samples % n) / n, n))
    return -(-samples // count)


def around(start: int, most: int) -> tuple[list[int], list[int]]:
    """Sizes above and below a start, in order of distance."""
    upper = [start << k for k in (1, 2, 3, 4) if start << k < most]
    lower = [start >> k for k in (1, 2, 3, 4, 5) if 8 <= start >> k < most]
    return [*upper, most] if start < most else upper, lower
