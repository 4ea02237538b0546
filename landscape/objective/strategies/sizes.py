"""Sizes of batches that are worth a trial."""

from __future__ import annotations

Sizes = dict[str, int]  # of what a choice has sizes of
FEWEST = 4  # points at once, where several are tried at all
COMPILED = (64, 8)  # samples and points of the compiled program that is tried


def alike(samples: int) -> int:
    """A size of batch near that of compiled programs, of which nearly all batches are."""
    counts = [-(-samples // size) for size in range(COMPILED[0] // 2, COMPILED[0] + 1)]
    count = min(counts, key=lambda n: (min(samples % n, n - samples % n) / n, n))
    return -(-samples // count)


def around(start: int, most: int) -> tuple[list[Sizes], list[Sizes]]:
    """Sizes of batch above and below a start, in order of distance."""
    upper = [start << k for k in (1, 2, 3, 4) if start << k < most]
    lower = [start >> k for k in (1, 2, 3, 4, 5) if 8 <= start >> k < most]
    upper += [most] if start < most else []
    return [{"batch_size": size} for size in upper], [{"batch_size": size} for size in lower]


def exchanged(chunk: int, size: int, most: int) -> tuple[list[Sizes], list[Sizes]]:
    """Fewer points with larger batches, or more with smaller ones: as many rows at once.

    >>> exchanged(32, 256, 899)[0]
    [{'chunk': 16, 'batch_size': 512}, {'chunk': 8, 'batch_size': 899}]
    """
    steps = [k for k in (1, 2, 3) if chunk >> k >= FEWEST and size << (k - 1) < most]
    fewer: list[Sizes] = [{"chunk": chunk >> k, "batch_size": min(size << k, most)} for k in steps]
    more: list[Sizes] = [{"chunk": 2 * chunk, "batch_size": size // 2}] if size >= 16 else []
    return fewer, more
