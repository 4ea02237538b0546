"""Units of a long measurement: numbered files, complete or absent, in a folder.

    plan.json          MUST name what is measured (key), the points, the points per unit, and how
    unit-000012.npz    MUST hold mean and standard_error of that unit's points, shape (metrics, n)

A unit is written beside its place, flushed and renamed, so a reader never sees half of one. Several
processes or machines may work in one folder; a unit measured twice is simply replaced by itself.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from landscape.evaluation.choice import Choice

_COUNT = 32  # units of a small measurement
_POINTS = 32  # points per unit of a large one


class Units:
    """The units of one measurement.

    Args:
        folder: Where they are kept; created when missing.
        key: What is measured; a folder is only ever continued under its own key.
        points: Number of points. It alone decides how many a unit holds, so that all shards cut
            alike.

    Raises:
        ValueError: If the folder belongs to another measurement.
    """

    def __init__(self, folder: str | os.PathLike[str], *, key: str, points: int) -> None:
        self.folder = Path(folder)
        self.points = points
        self.size = min(_POINTS, max(1, points // _COUNT))
        self.folder.mkdir(parents=True, exist_ok=True)
        plan = self._plan()
        if not plan:
            plan = {"schema": "landscape/units", "version": 1, "key": key, "points": points}
            self._write_plan({**plan, "size": self.size})
        elif (plan.get("key"), plan.get("points")) != (key, points):
            raise ValueError(
                f"{self.folder} holds units of another measurement (plane, points, data or "
                "settings differ); give an empty folder, or delete that one."
            )
        else:
            self.size = int(plan["size"])

    @property
    def count(self) -> int:
        """Number of units."""
        return math.ceil(self.points / self.size)

    @property
    def choice(self) -> Choice | None:
        """How the first process chose to evaluate."""
        held = self._plan().get("choice")
        return Choice(**held) if held else None

    def keep_choice(self, choice: Choice | None) -> None:
        """Let every later process evaluate the same way."""
        if choice is not None and self.choice is None:
            self._write_plan({**self._plan(), "choice": dataclasses.asdict(choice)})

    def places(self, number: int) -> slice:
        """Which points a unit holds."""
        return slice(number * self.size, min((number + 1) * self.size, self.points))

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
            try:
                with np.load(self._path(number), allow_pickle=False) as held:
                    mean[:, part], error[:, part] = held["mean"], held["standard_error"]
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as problem:
                raise ValueError(
                    f"{self._path(number)} is damaged ({problem}); delete it and run again."
                ) from problem
            computed[part] = True
        return mean, error, computed

    def _path(self, number: int) -> Path:
        return self.folder / f"unit-{number:06d}.npz"

    def _plan(self) -> dict[str, Any]:
        try:
            return json.loads((self.folder / "plan.json").read_text())
        except FileNotFoundError:
            return {}
        except ValueError as problem:
            raise ValueError(
                f"{self.folder / 'plan.json'} cannot be read ({problem}); give another folder."
            ) from problem

    def _write_plan(self, plan: dict[str, Any]) -> None:
        partial = self.folder / f"plan.{os.getpid()}.partial"
        partial.write_text(json.dumps(plan))
        os.replace(partial, self.folder / "plan.json")
