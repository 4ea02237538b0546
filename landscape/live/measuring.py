"""Measuring a run while it trains: in a process of its own, at low priority, the newest wish first.

The training is never asked for anything: what is measured is the last state in the file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
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
        self._asked: list[Job] = []
        self._wake, self._lock = threading.Event(), threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._ended = False
        self.failure = ""

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
        for wish in self._wishes:
            for follower in self._hub.followers:
                key, due = (follower.path, wish.what), follower.step // wish.every
                if follower.phase in ("recording", "finished") and due > self._due.get(key, 0):
                    self._due[key] = due
                    return Job.of(follower, wish.what, wish.every)
        return None

    def _measure(self, job: Job) -> None:
        follower, self.failure, answer = job.follower, "", ""
        step = follower.step
        for stage, arguments in enumerate(job.stages, start=1):
            self._hub.refresh()
            if stage > 1 and self._is_outdated(job):
                break
            self._hub.say(
                f"measuring: {job.what} of {follower.name} at step {step:,}, stage {stage}"
            )
            printed = self._printed([*arguments, *self._more])
            if printed is None:
                break
            answer = printed if job.answers else ""
        self._hub.say(self.failure or answer)

    def _is_outdated(self, job: Job) -> bool:
        follower, what = job.follower, job.what
        taken = self._due.get((follower.path, what), 0)
        newer = [w for w in self._wishes if w.what == what and follower.step // w.every > taken]
        return bool(newer) or bool(self._asked)

    def _printed(self, arguments: Sequence[str]) -> str | None:
        """Run a command of this package; the last line that it prints, None where it fails."""
        with self._lock:
            if self._ended or self._asked:
                return None
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "landscape", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                preexec_fn=_lowest if os.name == "posix" else None,
            )
        printed, said = process.communicate()
        with self._lock:
            given_up, self._process = self._process is None, None
        if process.returncode == 0:
            return printed.strip().rpartition("\n")[2]
        if not given_up:
            lines = said.strip().splitlines() or [f"exit code {process.returncode}"]
            self.failure: str = f"not measured: {lines[-1][:300]}"
        return None

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


def _lowest() -> None:
    os.nice(19)
