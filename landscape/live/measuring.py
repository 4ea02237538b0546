"""Measuring a run while it trains: in a process of its own, at low priority, the newest wish first.

The training is never asked for anything: what is measured is the last state in the file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
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


def _surface(run: Path, states: int) -> list[list[str]]:
    every = str(max(1, states // _STATES))
    return [
        ["surface", str(run), "--resolution", points, "--every", every]
        for points in _COARSE_TO_FINE
    ]


def _walk(run: Path, states: int) -> list[list[str]]:
    return [["walk", str(run), "--window", "last"]]


def _sharpness(run: Path, states: int) -> list[list[str]]:
    return [["curvature", str(run), "--at", "last", "--top", "1", "--bottom", "0"]]


WHAT = {"surface": _surface, "walk": _walk, "sharpness": _sharpness}


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
        hub.measures = list(WHAT)
        self._due: dict[tuple[Path, str], int] = {}  # of a run: the last multiple that was taken
        self._asked: list[tuple[Follower, str]] = []
        self._wake, self._lock = threading.Event(), threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._ended = False
        self.failure = ""

    def run(self) -> None:
        """Measure until `end`."""
        while not self._ended:
            self._hub.refresh()
            if (found := self._next()) is None:
                self._wake.wait(_LOOK_SECONDS)
                self._wake.clear()
            else:
                self._measure(*found)

    def ask(self, follower: Follower, what: str) -> None:
        """Measure this now; what is being measured is given up.

        Raises:
            ValueError: If it cannot be measured.
        """
        if what not in WHAT:
            raise ValueError(f"what must be one of {', '.join(WHAT)}; not {what[:40]!r}.")
        with self._lock:
            self._asked = [(follower, what)]
            self._stop()
        self._wake.set()

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

    def _next(self) -> tuple[Follower, str] | None:
        with self._lock:
            if self._asked:
                return self._asked.pop()
        for wish in self._wishes:
            for follower in self._hub.followers:
                key, due = (follower.path, wish.what), follower.step // wish.every
                if follower.phase in ("recording", "finished") and due > self._due.get(key, 0):
                    self._due[key] = due
                    return follower, wish.what
        return None

    def _measure(self, follower: Follower, what: str) -> None:
        step, self.failure = follower.step, ""
        for stage, arguments in enumerate(WHAT[what](follower.path, follower.states), start=1):
            self._hub.refresh()
            if stage > 1 and self._is_outdated(follower, what):
                break
            self._hub.say(f"measuring: {what} of {follower.name} at step {step:,}, stage {stage}")
            if not self._ran([*arguments, *self._more]):
                break
        self._hub.say(self.failure)

    def _is_outdated(self, follower: Follower, what: str) -> bool:
        taken = self._due.get((follower.path, what), 0)
        newer = [w for w in self._wishes if w.what == what and follower.step // w.every > taken]
        return bool(newer) or bool(self._asked)

    def _ran(self, arguments: Sequence[str]) -> bool:
        """Run a command of this package; whether it did its work."""
        with self._lock:
            if self._ended or self._asked:
                return False
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", "landscape", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
                preexec_fn=_lowest if os.name == "posix" else None,
            )
        _, said = process.communicate()
        with self._lock:
            given_up, self._process = self._process is None, None
        if process.returncode and not given_up:
            lines = said.strip().splitlines() or [f"exit code {process.returncode}"]
            self.failure: str = f"not measured: {lines[-1][:300]}"
        return process.returncode == 0

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


def _lowest() -> None:
    os.nice(19)
