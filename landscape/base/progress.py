"""Long work: a bar with time left, silent where nobody looks, and Ctrl-C that loses nothing."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

_WORTH_SAYING = 2.0  # seconds


class Progress:
    """A progress bar that appears after two seconds, on terminals only.

    Args:
        what: What is being done, for example ``surface``.
        total: Number of units.
        unit: What is counted.
    """

    def __init__(self, what: str, total: int, *, unit: str = "point") -> None:
        self._what, self._total, self._unit = what, total, unit
        self._began = time.perf_counter()
        self._expected: float | None = None
        self._bar = tqdm(
            total=total,
            desc=what,
            unit=f" {unit}",
            disable=None,
            delay=_WORTH_SAYING,
            leave=False,
        )

    def expect(self, each: float, *, workers: int = 1) -> None:
        """Say, once and before the start, what the work will cost; a second call does nothing.

        Args:
            each: Seconds that one unit takes one worker.
            workers: How many work side by side.
        """
        if self._expected is not None:
            return
        self._expected = each * self._total / workers
        if self._expected > _WORTH_SAYING:
            beside = f", {workers} at a time" if workers > 1 else ""
            text = f"{self._what}: {self._total:,} {self._unit}s × {duration(each)}{beside}"
            tqdm.write(f"{text}: about {duration(self._expected)}", file=sys.stderr)

    def only(self, total: int) -> None:
        """Count to another total: part of the work is elsewhere, or was done before."""
        self._total = self._bar.total = total

    @property
    def cost(self) -> dict[str, Any]:
        """Units, the seconds they were expected to take (None: unknown), and those they took."""
        expected = None if self._expected is None else round(self._expected, 3)
        spent = round(time.perf_counter() - self._began, 3)
        return {f"{self._unit}s": self._total, "seconds_expected": expected, "seconds": spent}

    def advance(self, count: int = 1) -> None:
        """Count finished units."""
        self._bar.update(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._bar.close()


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> [duration(s) for s in (0.0312, 80.6, 754, 19000)]
    ['31 ms', '81 s', '13 min', '5.3 h']
    """
    below = (1.0, "ms", 1e-3), (120.0, "s", 1.0), (7200.0, "min", 60.0), (float("inf"), "h", 3600.0)
    unit, size = next((unit, size) for limit, unit, size in below if not seconds >= limit)
    value = seconds / size
    return f"{value:.0f} {unit}" if value >= 9.95 else f"{value:.2g} {unit}"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a measurement.

    Attributes:
        partial: What had been measured until then, as the interrupted function would return it;
            None when that is nothing.
    """

    def __init__(self, partial: Any = None) -> None:
        super().__init__()
        self.partial = partial
