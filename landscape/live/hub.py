"""The runs that are watched, and what is new in them for somebody who has seen a part."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from landscape.base.files import SchemaError
from landscape.explorer.packing import packed
from landscape.live.follower import Follower
from landscape.live.measured import Measured
from landscape.live.way import EXACT, PROJECTED, Way, plane_of
from landscape.plots.ground import GROUND
from landscape.results.recorded import is_run

POLL_SECONDS = 0.3
_FOLDER_SECONDS = 2.0  # between looks for new files
MOST_RUNS = 100  # of a folder

Cursor = dict[Any, Any]
"""What somebody has seen: the shape, and for each run its serial, version, points of each curve."""


class Hub:
    """Follows runs as long as somebody looks.

    Args:
        places: Recorded runs, of which none need be there yet, and folders of runs.

    Attributes:
        followers: The runs, in the order in which they were found.
        measuring: What is being measured at the moment, in words.
        measures: What can be measured when somebody asks for it.
        changed: Notified when something is new; held while that is put together.
    """

    followers: list[Follower]

    def __init__(self, places: Sequence[Path]) -> None:
        self._folders = [place for place in places if place.is_dir()]
        self.followers = [Follower(place) for place in places if not place.is_dir()]
        self.changed: threading.Condition = threading.Condition()
        self._walking = threading.Lock()
        self._watchers, self._looked = 0, -np.inf
        self._measured = Measured()
        self.measuring = ""
        self.measures: list[str] = []
        self._shape: tuple[Any, ...] = ()
        self._planes: dict[tuple[Any, ...], np.ndarray] = {}
        self._ways: tuple[int, list[dict[str, Any]]] = (0, [])
        self._ended = False

    def refresh(self) -> bool:
        """Look at the numbers of all runs; whether anything changed."""
        with self.changed:
            found = self._find_new()
            changed = [follower.poll() for follower in self.followers]
            found = found or any(changed) or self._shape != self.shape
            self._shape = self.shape
            if found:
                self.changed.notify_all()
        return found

    def refresh_ways(self) -> None:
        """Look at their states, which takes longer; the numbers do not wait for it."""
        with self._walking:
            ways = [follower.way for follower in self.followers if follower.way is not None]
            moved = [way.poll() for way in ways]
            if not any(moved):
                return
            drawn = self._drawn_ways()
        with self.changed:
            self._ways = (self._ways[0] + 1, drawn)
            self.changed.notify_all()

    def run(self) -> None:
        """Follow until `end`; rest while nobody looks."""
        walks = threading.Thread(target=self._run_ways, daemon=True)
        walks.start()
        while not self._ended:
            if self._watchers:
                self.refresh()
            if not any(follower.behind for follower in self.followers):
                time.sleep(POLL_SECONDS)
        walks.join()

    def _run_ways(self) -> None:
        while not self._ended:
            if self._watchers:
                self.refresh_ways()
            time.sleep(POLL_SECONDS)

    def named(self, name: str) -> Follower:
        """The run that the page calls so.

        Raises:
            ValueError: If there is none.
        """
        found = dict(zip(_distinct(self.followers), self.followers, strict=True))
        if name not in found:
            raise ValueError(f"There is no run {name[:80]!r}; watched: {', '.join(found)}.")
        return found[name]

    def surface_on(self, plane: str) -> tuple[Follower, str]:
        """The run and the name of a surface that was measured on the plane of this fingerprint.

        Raises:
            ValueError: If there is none.
        """
        return self._measured.surface_on(self.followers, plane)

    def say(self, measuring: str) -> None:
        """Say what is being measured at the moment; nothing when it is over."""
        with self.changed:
            self.measuring: str = measuring
            self.changed.notify_all()

    def end(self) -> None:
        """Let everybody go."""
        self._ended = True
        with self.changed:
            self.changed.notify_all()

    def follow(self, send: Callable[[dict[str, Any] | None], None], *, pause: float) -> None:
        """Send what is there and then what is new, until `end` or an error; None after a pause.

        Whoever is slow gets more at once: nothing is kept for anybody.
        """
        cursor: Cursor = {}
        with self.changed:
            self._watchers += 1
        try:
            self.refresh()
            while not self._ended:
                with self.changed:
                    new = self.news(cursor)
                    if new is None and not self.changed.wait(pause):
                        new = {}
                if new is not None:
                    send(new or None)
        finally:
            with self.changed:
                self._watchers -= 1

    def news(self, cursor: Cursor) -> dict[str, Any] | None:
        """What `cursor` has not seen, which it then has; None where that is nothing."""
        whole = cursor.get("shape") != self.shape
        if whole:
            cursor.clear()
            cursor |= {"shape": self.shape, "measuring": ""}
        names = _distinct(self.followers)
        runs = [
            {"name": name, **self._news_of(follower, cursor.setdefault(index, {}))}
            for index, (follower, name) in enumerate(zip(self.followers, names, strict=True))
            if cursor.get(index, {}).get("version") != follower.version
        ]
        ways = self._ways[1] if cursor.get("ways") != self._ways[0] else None
        if not runs and not whole and ways is None and cursor["measuring"] == self.measuring:
            return None
        cursor |= {"ways": self._ways[0], "measuring": self.measuring}
        found = {"runs": runs, "ways": ways, "measuring": self.measuring}
        return {**found, "content": self.content()} if whole else found

    @property
    def shape(self) -> tuple[Any, ...]:
        """What the page is laid out for; when it changes, the page is made anew."""
        measured = self._measured.version(self.followers)
        return (*((f.name, f.optimizer, *f.known) for f in self.followers), measured)

    def content(self) -> dict[str, Any]:
        """What the page holds before the first number."""
        names = _distinct(self.followers)
        known = dict(zip(names, (f.known for f in self.followers), strict=True))
        nothing: dict[str, Any] = {"runs": [], "surfaces": [], "lines": [], "sources": []}
        found = self._measured.content(self.followers, names) if names else nothing
        for run in found["runs"]:
            run["known"] = known[run["name"]]
        more = {"live": True, "title": _title(names), "description": "", "ground": GROUND}
        return {**found, **more, "measures": self.measures, "marks": [], "story": []}

    def _news_of(self, follower: Follower, seen: dict[str, Any]) -> dict[str, Any]:
        anew = seen.get("serial") != follower.serial
        if anew:
            seen.clear()
        seen |= {"serial": follower.serial, "version": follower.version}
        columns = {}
        for name, curve in follower.curves.items():
            generation, count = seen.get(name, (-1, 0))
            start = count if generation == curve.generation else 0
            seen[name] = (curve.generation, len(curve))
            steps, values = curve.points(start)
            columns[name] = {"from": start, "step": packed(steps, "i4"), "value": packed(values)}
        return {
            "anew": anew, "columns": columns, "first": follower.first, "last": follower.step,
            "span": max((c.span for c in follower.curves.values()), default=1),
            "phase": follower.phase, "told": follower.told, "events": follower.recent,
        }  # fmt: skip

    def _drawn_ways(self) -> list[dict[str, Any]]:
        """Every kind of way in the plane of its own in which it moves most."""
        kinds: dict[tuple[Any, ...], list[tuple[int, Way]]] = {}
        for index, way in enumerate([follower.way for follower in self.followers]):
            if way is not None and len(way.steps) > 2:
                kinds.setdefault(way.kind, []).append((index, way))
        drawn, names = [], _distinct(self.followers)
        for kind, found in kinds.items():
            plane, share = plane_of([way for _, way in found], self._planes.get(kind))
            self._planes[kind] = plane
            drawn.append({"share": share, "note": _about(kind), "paths": [
                {"run": names[index], "step": packed(way.steps, "i4"),
                 "x": packed(way.points @ plane[0]), "y": packed(way.points @ plane[1])}
                for index, way in found]})  # fmt: skip
        return drawn

    def _find_new(self) -> bool:
        now = time.monotonic()
        if not self._folders or now - self._looked < _FOLDER_SECONDS:
            return False
        self._looked = now
        known = {follower.path for follower in self.followers}
        new = [
            path
            for folder in self._folders
            for path in sorted(folder.glob("*.h5"))
            if path not in known and not path.name.endswith(".results.h5") and _is_run(path)
        ]
        room = max(0, MOST_RUNS - len(self.followers))
        self.followers += [Follower(path) for path in new[:room]]
        return bool(new[:room])


def _about(kind: tuple[Any, ...]) -> str:
    numbers = kind[2] if kind[0] == "sketch" else PROJECTED if kind[1] > EXACT else 0
    parts = ["each run from its own start"] if kind[0] == "sketch" else []
    if numbers:
        error = 100 / (2 * numbers) ** 0.5
        parts.append(f"projected at random to {numbers} numbers: lengths within {error:.1g} %")
    return "; ".join(parts)


def _is_run(path: Path) -> bool:
    try:
        return is_run(path)
    except (SchemaError, OSError):
        return False


def _distinct(followers: Sequence[Follower]) -> list[str]:
    """Names of the runs; of those with the same name with what tells their files apart."""
    found = [f.name for f in followers]
    for more in (lambda f: f.path.stem, lambda f: str(f.path)):
        found = [
            f"{f.name} ({more(f)})" if found.count(name) > 1 else name
            for f, name in zip(followers, found, strict=True)
        ]
    return found


def _title(names: Sequence[str]) -> str:
    return f"{names[0]}, live" if len(names) == 1 else f"{len(names)} runs, live"
