"""Measuring a run while it trains: in a process of its own, at low priority, the newest wish first.

The training is never asked for anything: what is measured is the last state in the file.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from landscape.live.follower import Follower
from landscape.live.hub import Hub

_EVERY = re.compile(r"\s*(\w+)\s+every\s+(\d+)\s+steps?\s*", re.IGNORECASE)
_COARSE_TO_FINE = ("9", "17", "33")  # points along each axis of a surface
_STATES = 100  # of a path on a surface
_LOOK_SECONDS = 0.3


@dataclass(frozen=True)
class Wish:
    """What is to be measured again and again.

    Attributes:
        what: ``surface``, ``walk`` or ``sharpness``.
        every: After how many steps again.
    """

    what: str
    every: int

    @classmethod
    def of(cls, text: str) -> Wish:
        """A wish in words.

        Raises:
            ValueError: If it is none.

        >>> Wish.of("surface every 500 steps")
        Wish(what='surface', every=500)
        """
        found = _EVERY.fullmatch(text)
        what = found[1].lower() if found else ""
        if found is None or what not in WHAT or int(found[2]) < 1:
            raise ValueError(
                f"--measure takes '{'|'.join(WHAT)} every N steps', such as 'surface every 500 "
                f"steps'; not {text!r}."
            )
        return cls(what, int(found[2]))


def _surface(run: Path, states: int, plane: str | None = None) -> list[list[str]]:
    every = str(max(1, states // _STATES))
    chosen = [] if plane is None else ["--plane", plane]
    return [
        ["surface", str(run), *chosen, "--resolution", points, "--every", every]
        for points in _COARSE_TO_FINE
    ]


def _walk(run: Path, states: int) -> list[list[str]]:
    return [["walk", str(run), "--window", "last"]]


def _sharpness(run: Path, states: int) -> list[list[str]]:
    return [["curvature", str(run), "--at", "last", "--top", "1", "--bottom", "0"]]


WHAT = {"surface": _surface, "walk": _walk, "sharpness": _sharpness}
"""What a wish may be of: the commands that measure it, coarse first."""

PICKED = {
    **WHAT,
    "surface on a random plane": partial(_surface, plane="random"),
    "surface along the sharpest directions": partial(_surface, plane="eigen"),
}
"""What the page offers."""

_PLACES = {"surface": "--region", "slice": "--slice", "point": "--point"}


@dataclass(frozen=True)
class Job:
    """What is measured of a run.

    Attributes:
        follower: The run.
        what: In words.
        stages: Commands of this package, coarse first.
        answers: Whether the last line that is printed is the answer.
    """

    follower: Follower
    what: str
    stages: list[list[str]]
    answers: bool = False

    @classmethod
    def of(cls, follower: Follower, what: str) -> Job:
        """One of `PICKED`."""
        return cls(follower, what, PICKED[what](follower.path, follower.states))

    @classmethod
    def at(cls, follower: Follower, on: str, kind: str, place: Sequence[float]) -> Job:
        """A region, a slice or a point of the plane of a surface.

        Raises:
            ValueError: If it is none of these.
        """
        if kind not in _PLACES:
            raise ValueError(f"kind must be one of {', '.join(_PLACES)}; not {kind[:40]!r}.")
        count = 2 if kind == "point" else 4
        if len(place) != count or not all(map(math.isfinite, place)):
            raise ValueError(f"A {kind} is {count} numbers; not {str(place)[:80]}.")
        where = f"{_PLACES[kind]}={','.join(map(repr, place))}"
        command = ["refine", str(follower.path), f"--on={on}", where]
        return cls(follower, f"{kind} on the plane of {on}", [command], answers=kind == "point")


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
        self._begin(Job.of(follower, what))

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
                    return Job.of(follower, wish.what)
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
