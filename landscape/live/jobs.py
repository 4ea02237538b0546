"""What is measured beside a run: what was wished for, and what was picked on the page."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from landscape.live.follower import Follower

_EVERY = re.compile(r"\s*(\w+)\s+every\s+(\d+)\s+steps?\s*", re.IGNORECASE)
_POINTS = "33"  # along each axis of a surface, after 9 and 17
_STATES = 100  # of a path on a surface
_PARTS = 10  # of a run at whose ends its sharpness is measured, where nobody said how often


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


def _surface(run: Follower, _: int, plane: str | None = None) -> list[str]:
    every = str(max(1, run.states // _STATES))
    chosen = [] if plane is None else ["--plane", plane]
    points = ["--coarse-first", "--resolution", _POINTS, "--every", every]
    return ["surface", str(run.path), *chosen, *points]


def _walk(run: Follower, _: int) -> list[str]:
    return ["walk", str(run.path), "--window", "last"]


def _sharpness(run: Follower, every: int) -> list[str]:
    """What was measured before stays, so that it grows by a state or two."""
    return ["curvature", str(run.path), "--every", str(every), "--top", "1"]


Command = Callable[[Follower, int], list[str]]  # that measures, after so many steps

WHAT: dict[str, Command] = {"surface": _surface, "walk": _walk, "sharpness": _sharpness}
"""What a wish may be of: the command that measures it."""

PICKED: dict[str, Command] = {
    **WHAT,
    "random plane": partial(_surface, plane="random"),
    "sharpest plane": partial(_surface, plane="eigen"),
}
"""What the page offers."""

_PLACES = {"surface": "--region", "slice": "--slice", "point": "--point"}


@dataclass(frozen=True)
class Job:
    """What is measured of a run.

    Attributes:
        follower: The run.
        what: In words.
        command: Of this package; it prints a line after each stage.
        answers: Whether the last line that is printed is the answer.
    """

    follower: Follower
    what: str
    command: list[str]
    answers: bool = False

    @classmethod
    def of(cls, follower: Follower, what: str, every: int | None = None) -> Job:
        """One of `PICKED`; `every` is how many steps lie between states where there are several."""
        every = every or max(1, follower.step // _PARTS)
        return cls(follower, what, PICKED[what](follower, every))

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
        return cls(follower, f"{kind} on the plane of {on}", command, answers=kind == "point")
