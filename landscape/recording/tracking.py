"""Tracking: numbers of a run on their way to an experiment tracker while it trains."""

from __future__ import annotations

import math
import queue
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from landscape.base.trackers import tracker_of

AT_ONCE = 10  # steps of a commit that are logged, evenly spaced, the last among them
_CLOSING = 30.0  # seconds that a tracker is waited for at the end

Rows = Sequence[tuple[int, Mapping[str, float]]]


class NotTracked(UserWarning):
    """The tracker failed; training and recording go on without it.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", NotTracked)  # a run that must be seen by the tracker
    """


class Tracking:
    """A thread that logs; neither the training nor the recording ever waits for it.

    A tracker may be slower than the training, or ask a network. So at most `AT_ONCE` steps of a
    commit are logged, and while the tracker is busy with some, others are left out, but not the
    last ones of all. The file has all of them, and ``ls.log_to`` logs those later.

    Args:
        tracker: See `landscape.log_to`.
        name: What the names begin with.
    """

    def __init__(self, tracker: Any, name: str = "landscape") -> None:
        self._tracker, self._name = tracker_of(tracker), name
        self._rows: queue.SimpleQueue[Rows | None] = queue.SimpleQueue()
        self._left: Rows = ()
        self.failure: str | None = None
        self._thread = threading.Thread(target=self._log, name="landscape tracks", daemon=True)
        self._thread.start()

    def put(self, rows: Rows) -> None:
        """Hand over numbers by step."""
        stride = max(1, math.ceil(len(rows) / AT_ONCE))
        chosen = rows[::-1][::stride][::-1]
        if self._rows.empty():
            self._rows.put(chosen)
            self._left = ()
        else:
            self._left = chosen

    def close(self) -> None:
        """Log the last steps; wait for the tracker, but not for ever."""
        if self._left:
            self._rows.put(self._left)
        self._rows.put(None)
        self._thread.join(_CLOSING)
        if self._thread.is_alive():
            self.failure = f"it took longer than {_CLOSING:.0f} s"
        if self.failure is not None:
            warnings.warn(
                f"Not everything was logged to the tracker ({self.failure}); log the run with "
                "ls.log_to(tracker, path).",
                NotTracked,
                stacklevel=4,
            )

    def _log(self) -> None:
        while (rows := self._rows.get()) is not None:
            try:
                for step, numbers in rows:
                    known = {
                        f"{self._name}/{key}": float(v)
                        for key, v in numbers.items()
                        if not math.isnan(v)
                    }
                    if known and self.failure is None:
                        self._tracker.numbers(known, step)
            except Exception as error:  # said at the end; the run is worth more
                self.failure = " ".join(f"{type(error).__name__}: {error}".split())[:300]
