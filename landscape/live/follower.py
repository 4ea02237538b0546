"""A run that is watched: its curves as they grow, and what became of it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from landscape.base.files import SchemaError, opened
from landscape.base.runs.checked import check_schema, stored_layout, table_of_json
from landscape.base.runs.format import SCHEMA, VERSION
from landscape.base.runs.reading import is_written
from landscape.live.tail import Tail, read_row, read_tail
from landscape.live.thinning import ThinnedCurve
from landscape.live.way import Way

COLUMNS = {
    "losses": "loss",
    "cosine": "update_cosine",
    "distance": "distance",
    "update_norm": "update_norm",
    "learning_rate": "lr",
}
"""What the page calls the numbers that a recorder stores at every update."""

_FULL = 1 << 21  # bytes of disk; with less than that and one state a recorder stops
_PACES = 20  # commits over which the speed is taken


class Follower:
    """One run's file; the memory does not grow with the run.

    Args:
        path: The file; it need not be there yet.

    Attributes:
        name: The run's name, for legends; of a file that is not there yet that of the file.
        optimizer: Its optimizer; may be empty.
        phase: ``waiting`` (no such file, or nothing in it), ``recording``, ``finished``,
            ``stopped`` (killed, interrupted, or could not be written).
        known: The curves that have ever held a number, by the page's names.
        serial: Rises when the curves begin anew.
        version: Rises with every change.
        curves: Thinned curves by the page's names for them.
        behind: Whether there is more to read at once.
        way: Its states in few numbers; None before the first.
    """

    path: Path
    serial: int
    phase: str
    version: int

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.optimizer = path, path.stem, ""
        self.phase, self._problem = "waiting", "no such file yet"
        self.known: list[str] = []
        self._events: list[tuple[int, float, str]] = []
        self.serial = self.version = 0
        self._parameters = 0
        self._made: dict[str, Any] = {}  # when and how the recording began
        self._forget()

    @property
    def first(self) -> int:
        """The step before the first recorded update."""
        return self._start

    @property
    def states(self) -> int:
        """How many states are committed."""
        return self._states

    @property
    def step(self) -> int:
        """The last step committed."""
        return self._start + self._updates

    @property
    def told(self) -> str:
        """What is known of the run, in a few words."""
        return {
            "waiting": self._problem,
            "recording": f"recording, step {self.step:,}{self._speed()}",
            "finished": f"finished at step {self.step:,}",
            "stopped": f"stopped at step {self.step:,}: {self._problem}",
        }[self.phase]

    @property
    def recent(self) -> list[dict[str, Any]]:
        """What happened lately that one should not miss: resumed, replaced, finished, stopped."""
        now = time.monotonic()
        return [{"id": n, "age": round(now - then), "text": text} for n, then, text in self._events]

    def poll(self) -> bool:
        """Look at the file; whether anything changed."""
        before = self.version
        try:
            status = os.stat(self.path)
            written = is_written(self.path)
            seen = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size, written)
            if seen != self._seen or self.behind:
                self._look(seen[:2], written)
                self._seen = seen
        except FileNotFoundError:
            self._lost()
        except (SchemaError, OSError) as error:  # looked at again at the next poll
            self._say("waiting", f"cannot be read: {error}")
        return self.version != before

    def row(self, step: int) -> dict[str, float | None]:
        """The numbers recorded at a step, in full; None where one is not finite.

        Raises:
            ValueError: If the step is not among those recorded.
        """
        if not self._start < step <= self.step:
            raise ValueError(f"step must be one of {self._start + 1} to {self.step}; not {step}.")
        found = read_row(self.path, step - self._start - 1)
        return {name: v if np.isfinite(v) else None for name, v in found.items()}

    def _look(self, identity: tuple[int, int], written: bool) -> None:
        tail, said = None, False
        if identity == self._identity:
            tail = read_tail(self.path, max(0, self._updates - 1))
            said = bool(self._updates) and not self._goes_on(tail)
        if tail is None or said:  # it is another file, or holds something else
            before, reached = self._identity, self.step
            self._forget()
            same = self._begin() and identity == before
            self.way = Way(self.path, self._parameters)
            self._identity, tail = identity, read_tail(self.path, 0)
            said = before is not None
            if said and not same:
                self._happened("replaced: another run is recorded under this name")
            elif said:
                back = min(tail.start + tail.updates, reached)
                self._happened(f"resumed at step {back}; what came later was dropped")
        self._take(tail)
        self._judge(tail, written, said=said)

    def _begin(self) -> bool:
        """Read what does not change, texts among it, from a file that is checked first.

        Returns:
            Whether it is the recording that was there before.
        """
        before = self._made
        with opened(self.path) as file:
            check_schema(file, SCHEMA, VERSION)
            run, self._made = table_of_json(file, "run"), table_of_json(file, "provenance")
            self._parameters = stored_layout(file, "layout").size
        self.name: str = str(run.get("name") or run.get("optimizer") or self.path.stem)
        self.optimizer: str = str(run.get("optimizer", ""))
        return self._made == before

    def _forget(self) -> None:
        self.serial, self.version = self.serial + 1, self.version + 1
        self._identity: tuple[int, int] | None = None
        self._seen: tuple[Any, ...] = ()
        self._start = self._updates = self._states = 0
        self.curves: dict[str, ThinnedCurve] = {}
        self._last = np.zeros(0)  # the newest row; another one in its place: another run
        self._paces: list[tuple[float, int]] = []
        self.behind = False
        self.way: Way | None = None

    def _goes_on(self, tail: Tail) -> bool:
        """Whether the newest row that is known is still where it was."""
        if tail.updates < self._updates or not len(tail.rows):
            return False
        width = min(len(self._last), tail.rows.shape[1])
        return np.array_equal(tail.rows[0, :width], self._last[:width], equal_nan=True)

    def _take(self, tail: Tail) -> None:
        new = tail.rows[1:] if self._updates else tail.rows
        self.behind: bool = self._updates + len(new) < tail.updates
        if tail.states != self._states:
            self._states, self.version = tail.states, self.version + 1
        if not len(new):
            return
        self._start = tail.start
        for name, recorded in COLUMNS.items():
            if recorded in tail.names:
                if name not in self.curves:  # it was first given now
                    self.curves[name] = ThinnedCurve(self._start + 1)
                    self.curves[name].add(np.full(self._updates, np.nan))
                self.curves[name].add(new[:, tail.names.index(recorded)])
        self.known = [
            n for n in COLUMNS if n in self.known or (n in self.curves and self.curves[n].known)
        ]
        self._updates, self._last = self._updates + len(new), new[-1]
        if not self.behind:
            self._paces = [*self._paces[1 - _PACES :], (time.monotonic(), self._updates)]
        self.version += 1

    def _judge(self, tail: Tail, written: bool, *, said: bool) -> None:
        before = self.phase
        if tail.complete:
            self._say("finished")
        elif written:
            self._say("recording" if tail.states else "waiting", "no step yet")
            if before in ("stopped", "finished") and not said:
                self._happened(f"resumed at step {self.step:,}")
        else:
            self._say("stopped", self._problem if before == "stopped" else self._why_stopped())
        if self.phase != before and before != "waiting" and self.phase in ("finished", "stopped"):
            self._happened(self.told)

    def _why_stopped(self) -> str:
        if shutil.disk_usage(self.path.parent).free < _FULL + 8 * self._parameters:
            return "the disk is full"
        return "the process was killed or interrupted"

    def _lost(self) -> None:
        if self._identity is not None:
            self._happened("the file was deleted")
            self._forget()
        self._say("waiting", "no such file yet")

    def _say(self, phase: str, problem: str = "") -> None:
        if (self.phase, self._problem) != (phase, problem):
            self.phase, self._problem, self.version = phase, problem, self.version + 1

    def _happened(self, what: str) -> None:
        number = self._events[-1][0] + 1 if self._events else 0
        self._events = [*self._events[-9:], (number, time.monotonic(), what)]
        self.version += 1

    def _speed(self) -> str:
        if len(self._paces) < 2 or time.monotonic() - self._paces[-1][0] > 10:
            return ""
        (then, first), (now, last) = self._paces[0], self._paces[-1]
        return f", {(last - first) / (now - then):.3g} steps/s" if now > then else ""
