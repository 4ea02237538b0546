"""Units of a long measurement: numbered files, complete or absent, in a folder.

    plan.json          MUST name what is measured (key), the points, the points per unit, and how
    unit-000012.npz    MUST hold mean and standard_error of that unit's points, shape (metrics, n)

A unit is written beside its place, flushed and renamed, so a reader never sees half of one. Several
processes or machines may work in one folder; a unit measured twice is simply replaced by itself.

A folder may be damaged, or made by anyone: what it says is checked before it is used, and nothing
in it is unpickled.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from landscape.base.files import check_version, expanded
from landscape.objective.strategies.choice import STRATEGIES, Choice

_COUNT = 32  # units of a small measurement
_POINTS = 32  # points per unit of a large one
_PLAN = 1 << 20  # bytes that a plan may have
_MOST = 1 << 20  # a size of a choice beyond which it is none


class _Cut:
    """Points cut into units.

    Args:
        points: Number of points. It alone decides how many a unit holds, so that all shards cut
            alike.
    """

    points: int
    size: int

    def __init__(self, points: int) -> None:
        self.points, self.size = points, min(_POINTS, max(1, points // _COUNT))

    @property
    def count(self) -> int:
        """Number of units."""
        return math.ceil(self.points / self.size)

    def places(self, number: int) -> slice:
        """Which points a unit holds."""
        return slice(number * self.size, min((number + 1) * self.size, self.points))


class HeldUnits(_Cut):
    """The units of one measurement, kept in memory while it lasts; see `Units`."""

    choice: None
    folder: None

    folder, choice = None, None

    def __init__(self, points: int) -> None:
        super().__init__(points)
        self._done: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def keep_choice(self, choice: Choice | None) -> None:
        """Nobody comes later."""

    def missing(self, shard: tuple[int, int] = (0, 1)) -> list[int]:
        """Units that are not there yet, of shard i of n."""
        return [k for k in range(shard[0], self.count, shard[1]) if k not in self._done]

    def save(self, number: int, mean: np.ndarray, standard_error: np.ndarray) -> None:
        """Keep a unit."""
        self._done[number] = mean, standard_error

    def collect(self, metrics: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means, standard errors, shape (metrics, points), and which points were measured."""
        mean, error = (np.full((metrics, self.points), np.nan) for _ in range(2))
        computed = np.zeros(self.points, bool)
        for number, (values, errors) in self._done.items():
            part = self.places(number)
            mean[:, part], error[:, part], computed[part] = values, errors, True
        return mean, error, computed


class Units(_Cut):
    """The units of one measurement, in a folder.

    Args:
        folder: Where they are kept; created when missing.
        key: What is measured; a folder is only ever continued under its own key.
        points: Number of points.

    Raises:
        ValueError: If the folder belongs to another measurement.
    """

    def __init__(self, folder: str | os.PathLike[str], *, key: str, points: int) -> None:
        super().__init__(points)
        self.folder: Path = expanded(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        plan = self._plan()
        if not plan:
            if any(self.folder.glob("unit-*.npz")):
                raise ValueError(
                    f"{self.folder} holds units but no plan.json that says of what; give an empty "
                    "folder, or delete that one."
                )
            plan = {"schema": "landscape/units", "version": 1, "key": key, "points": points}
            self._write_plan({**plan, "size": self.size})
        elif (plan.get("key"), plan.get("points")) != (key, points):
            raise ValueError(
                f"{self.folder} holds units of another measurement (plane, points, data or "
                "settings differ), or of an earlier version of this package that told devices "
                "apart; give an empty folder, or delete that one."
            )
        else:
            self.size: int = self._whole(plan.get("size"), "size", most=max(1, points))

    @property
    def choice(self) -> Choice | None:
        """How the first process chose to evaluate."""
        held = self._plan().get("choice")
        if held is None:
            return None
        if not isinstance(held, dict) or held.get("strategy") not in list(STRATEGIES):
            raise self._senseless("choice", held)
        seconds, tried, batch = held.get("seconds"), held.get("tried"), held.get("batch_size")
        numbers = [seconds, *(tried.values() if isinstance(tried, dict) else ())]
        if not all(n is None or (isinstance(n, float) and n >= 0) or n != n for n in numbers):
            raise self._senseless("choice", held)
        return Choice(
            strategy=held["strategy"],
            batch_size=None if batch is None else self._whole(batch, "batch_size"),
            chunk=self._whole(held.get("chunk", 1), "chunk"),
            threads=self._whole(held.get("threads", 1), "threads"),
            seconds=math.nan if seconds is None else float(seconds),
            tried=tried if isinstance(tried, dict) else {},
        )

    def keep_choice(self, choice: Choice | None) -> None:
        """Let every later process evaluate the same way."""
        if choice is not None and self.choice is None:
            self._write_plan({**self._plan(), "choice": dataclasses.asdict(choice)})

    def missing(self, shard: tuple[int, int] = (0, 1)) -> list[int]:
        """Units that are not there yet, of shard i of n."""
        index, count = shard
        return [k for k in range(index, self.count, count) if not self._path(k).exists()]

    def save(self, number: int, mean: np.ndarray, standard_error: np.ndarray) -> None:
        """Write a unit, whole or not at all."""
        partial = self._path(number).with_suffix(f".{os.getpid()}.partial")
        with open(partial, "wb") as file:
            np.savez(file, mean=mean, standard_error=standard_error)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, self._path(number))

    def collect(self, metrics: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Means, standard errors, shape (metrics, points), and which points were measured.

        Raises:
            ValueError: If a unit is damaged.
        """
        mean, error = (np.full((metrics, self.points), np.nan) for _ in range(2))
        computed = np.zeros(self.points, bool)
        for number in sorted(set(range(self.count)) - set(self.missing())):
            part = self.places(number)
            shape = (metrics, part.stop - part.start)
            try:
                with zipfile.ZipFile(self._path(number)) as held:
                    mean[:, part] = _array(held, "mean", shape)
                    error[:, part] = _array(held, "standard_error", shape)
            except _DAMAGE as problem:
                said = " ".join(str(problem).split())
                raise ValueError(
                    f"{self._path(number)} is damaged ({said}); delete it and run again."
                ) from problem
            computed[part] = True
        return mean, error, computed

    def _path(self, number: int) -> Path:
        return self.folder / f"unit-{number:06d}.npz"

    def _plan(self) -> dict[str, Any]:
        path = self.folder / "plan.json"
        try:
            with open(path, "rb") as file:
                text = file.read(_PLAN + 1)
            found = json.loads(text) if len(text) <= _PLAN else None
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError, OSError) as problem:
            said = " ".join(str(problem).split())
            raise ValueError(f"{path} cannot be read ({said}); give another folder.") from problem
        if not isinstance(found, dict) or found.get("schema") != "landscape/units":
            raise ValueError(f"{path} is no plan of units; give another folder.")
        check_version(str(path), "landscape/units", found.get("version"), 1)
        return found

    def _whole(self, value: Any, name: str, *, most: int = _MOST) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise self._senseless(name, value)
        return value

    def _senseless(self, name: str, value: Any) -> ValueError:
        said = repr(value)
        said = said if len(said) < 100 else f"{said[:100]}..."
        return ValueError(
            f"{self.folder / 'plan.json'} says {name} {said}, which makes no sense; give another "
            "folder, or delete that one."
        )

    def _write_plan(self, plan: dict[str, Any]) -> None:
        partial = self.folder / f"plan.{os.getpid()}.partial"
        partial.write_text(json.dumps(plan))
        os.replace(partial, self.folder / "plan.json")


_DAMAGE = (
    OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def _array(held: zipfile.ZipFile, name: str, shape: tuple[int, int]) -> np.ndarray:
    """An array of a unit; its header is checked before anything of its size is made."""
    with held.open(f"{name}.npy") as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{name} is of another version")
        found, turned, kind = np.lib.format.read_array_header_1_0(file)
        if found != shape or kind != np.float64:
            raise ValueError(f"{name} is {kind} of shape {found}; expected float64 of {shape}")
        data = file.read(8 * math.prod(shape))
    return np.frombuffer(data, np.float64).reshape(shape, order="F" if turned else "C")
