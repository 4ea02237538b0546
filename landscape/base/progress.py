"""Long work: a bar with time left on terminals and in notebooks, a line now and then in logs.

Where ``TQDM_DISABLE`` is set, as for any bar of tqdm, there are only the lines.
"""

from __future__ import annotations

import os
import sys
import time
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from landscape.base.log import LOG

_WORTH_SAYING = 2.0  # seconds
_BETWEEN_LINES = 30.0  # seconds, in a log


class Progress:
    """A progress bar that appears after two seconds; in a log a line every half minute.

    Args:
        what: What is being done, for example ``surface``.
        total: Number of units.
        unit: What is counted.
    """

    def __init__(self, what: str, total: int, *, unit: str = "point") -> None:
        self._what, self._total, self._unit = what, total, unit
        self._began = time.perf_counter()
        self._expected: float | None = None
        self._said, self._done = self._began, 0
        bar, looks = _kind_of_bar()
        self._bar = bar(
            total=total, desc=what, unit=f" {unit}", delay=_WORTH_SAYING, leave=False, **looks
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
            LOG.info("%s: about %s", text, duration(self._expected))

    def say(self, what: str) -> None:
        """Say what is being done before the first unit: beside the bar; in a log now and then."""
        now = time.perf_counter()
        if not self._bar.disable:
            self._bar.set_postfix_str(what, refresh=now - self._began > 0.5)
        elif now - self._said > (_WORTH_SAYING if self._said == self._began else _BETWEEN_LINES):
            LOG.info("%s: %s, %s so far", self._what, what, duration(now - self._began))
            self._said = now

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
        if not self._done and not self._bar.disable:
            self._bar.set_postfix_str("", refresh=False)
        self._bar.update(count)
        self._done += count
        now = time.perf_counter()
        if self._bar.disable and now - self._said > _BETWEEN_LINES and self._done < self._total:
            left = (now - self._began) * (self._total - self._done) / self._done
            text = f"{self._done:,} of {self._total:,} {self._unit}s"
            LOG.info("%s: %s, about %s left", self._what, text, duration(left))
            self._said = now

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._bar.close()


def _kind_of_bar() -> tuple[Any, dict[str, Any]]:
    """A widget or a slow plain bar in a kernel, whose streams are no terminals; else tqdm's own."""
    if os.environ.get("TQDM_DISABLE", "0") not in ("", "0"):
        return tqdm, {"disable": True}
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is None:
        return tqdm, {"disable": None}  # on terminals only
    if find_spec("ipywidgets") is None:
        return tqdm, {"disable": False, "mininterval": 2.0}
    from tqdm.notebook import tqdm as widget

    return widget, {"disable": False}


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

    >>> stopped = Interrupted(partial=[1, 2])
    >>> stopped.partial
    [1, 2]
    """

    def __init__(self, partial: Any = None) -> None:
        super().__init__()
        self.partial = partial
