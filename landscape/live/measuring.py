"""Measuring a run while it trains: in a process of its own, at low priority, the newest wish first.

The training is never asked for anything: what is measured is the last state in the file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from landscape.live.follower import Follower
from landscape.live.hub import Hub
from landscape.live.jobs import PICKED, Job, Wish

_LOOK_SECONDS = 0.3


class Measuring:
    """Measures what is wished for, one thing at a time, until `end`.

    When a new wish of a kind comes due before an older one of the same run is done, the older one
    ends with the stage that it is in, or is never begun; what is asked for by hand ends it at once.

    Args:
        hub: The runs; told what is being measured.
        wishes: What is measured while a run is recorded.
        more: Arguments of every command, such as ``--task``.
    """

    def __init__(self, hub: Hub, wishes: Sequence[Wish], more: Sequence[str] = ()) -> None:
        self._hub, self._wishes, self._more = hub, wishes, list(more)
        hub.measures = list(PICKED)
        self._due: dict[tuple[Path, str], int] = {}  # of a run: the last multiple that was taken
        self._turns: dict[tuple[Path, str], int] = {}  # in which order they had their turn
        self._asked: list[Job] = []
        self._wake, self._lock = threading.Event(), threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._ended = False
        self.failure = self._answer = ""

    def run(self) -> None:
        """Measure until `end`."""
        while not self._ended:
            if self._wishes:  # else nothing is looked at unless somebody looks
                self._hub.refresh()
            if (job := self._next()) is None:
                self._wake.wait(_LOOK_SECONDS)
                self._wake.clear()
            else:
                self._measure(job)

    def ask(self, follower: Follower, what: str) -> None:
        """Measure this now; what is being measured is given up.

        Raises:
            ValueError: If it cannot be measured.
        """
        if what not in PICKED:
            raise ValueError(f"what must be one of {', '.join(PICKED)}; not {what[:40]!r}.")
        every = [wish.every for wish in self._wishes if wish.what == what]
        self._begin(Job.of(follower, what, *every[:1]))

    def ask_at(self, surface: tuple[Follower, str], kind: str, place: Sequence[float]) -> None:
        """Measure a ``surface`` (a region), a ``slice`` or a ``point`` of a surface's plane, now.

        Args:
            surface: The run, and the name of its surface in its file of results.
            kind: Which of the three.
            place: (α_min, α_max, β_min, β_max); (α, β) of both ends; or (α, β).

        Raises:
            ValueError: If it is no such place.
        """
        self._begin(Job.at(*surface, kind, place))

    def give_up(self) -> None:
        """End what is being measured, and forget what was asked for."""
        with self._lock:
            self._asked = []
            self._stop()

    def end(self) -> None:
        """End what is being measured, and everything."""
        self._ended = True
        self.give_up()
        self._wake.set()

    def _begin(self, job: Job) -> None:
        with self._lock:
            self._asked = [job]
            self._stop()
        self._wake.set()

    def _next(self) -> Job | None:
        with self._lock:
            if self._asked:
                return self._asked.pop()
        due = [
            (self._turns.get((follower.path, wish.what), 0), number, wish, follower)
            for number, wish in enumerate(self._wishes)
            for follower in self._hub.followers
            if follower.phase in ("recording", "finished") and self._is_due(wish, follower)
        ]
        if not due:
            return None
        _, _, wish, follower = min(due, key=lambda found: found[:2])  # who has waited longest
        key = (follower.path, wish.what)
        self._due[key] = follower.step // wish.every
        self._turns[key] = 1 + max(self._turns.values(), default=0)
        return Job.of(follower, wish.what, wish.every)

    def _is_due(self, wish: Wish, follower: Follower) -> bool:
        taken = self._due.get((follower.path, wish.what), 0)
        return follower.step // wish.every > taken

    def _measure(self, job: Job) -> None:
        self.failure, step = "", job.follower.step
        if job.answers:
            self._answer = ""
        where = f"{job.what} of {job.follower.name} at step {step:,}"
        self._say(f"measuring: {where}")
        stages = 0
        for line in self._lines([*job.command, *self._more]):
            self._answer: str = line if job.answers else self._answer
            if line.endswith(" points"):  # a stage was saved
                stages += 1
                self._say(f"measuring: {where}, stage {stages} is there")
                self._hub.refresh()
                if self._is_outdated(job):
                    self._stop_now()
        self._say(self.failure)

    def _say(self, text: str) -> None:
        """Say what is being measured, after the last answer, which stays."""
        self._hub.say(" · ".join(filter(None, (self._answer, text))))

    def _is_outdated(self, job: Job) -> bool:
        wishes = [wish for wish in self._wishes if wish.what == job.what]
        return any(self._is_due(wish, job.follower) for wish in wishes)

    def _lines(self, arguments: Sequence[str]) -> Iterator[str]:
        """Run a command of this package; the lines that it prints, as they come."""
        with tempfile.TemporaryFile("w+") as said:
            with self._lock:
                if self._ended or self._asked:
                    return
                self._process = process = subprocess.Popen(
                    [sys.executable, "-m", "landscape", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    text=True,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                    preexec_fn=_lowest if os.name == "posix" else None,
                )
            with process:
                for line in process.stdout or ():
                    yield line.strip()
            with self._lock:
                given_up, self._process = self._process is None, None
            if process.returncode and not given_up:
                said.seek(0)
                lines = said.read().strip().splitlines() or [f"exit code {process.returncode}"]
                self.failure: str = f"not measured: {lines[-1][:300]}"

    def _stop_now(self) -> None:
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


def _lowest() -> None:
    os.nice(19)
