"""The processor's caches: how many points at once keep what they compute within them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from landscape.objective.strategies.memory import widest
from landscape.objective.strategies.work import Work

_FOLDER = Path("/sys/devices/system/cpu/cpu0/cache")  # Linux
_SHARE = 0.5  # of the last cache; weights and what is shared by points lie there too
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


@cache
def last_cache(folder: Path = _FOLDER) -> int | None:
    """Bytes of the largest cache of the first core; None where the system does not say."""
    sizes = []
    for file in folder.glob("index*/size"):
        said = file.read_text().strip()
        if said[:-1].isdigit() and said[-1] in _UNITS:
            sizes.append(int(said[:-1]) * _UNITS[said[-1]])
    return max(sizes, default=None)


def points_in_cache(work: Work, batch_size: int | None, most: int) -> int:
    """How many points of a batch, a power of two up to `most`, compute within the last cache.

    A point costs what the widest module takes in and gives out, on every thread; beyond the cache
    two threads wait for the memory that they share.
    """
    room = None if work.loan.flat.is_cuda else last_cache()
    if room is None:
        return most
    batch, samples = work.sample[0]
    each = widest(work, batch) / samples * (batch_size or samples) * work.threads
    fitting = int(_SHARE * room / max(each, 1))
    return min(most, 1 << max(0, fitting.bit_length() - 1))
