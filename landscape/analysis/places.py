"""Places on several lines, measured line by line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from landscape.analysis.segment import Ends, along, measured_sparingly
from landscape.analysis.sparing.samples import Samples
from landscape.base.progress import Progress
from landscape.base.provenance import fingerprint
from landscape.objective.evaluation import Evaluation
from landscape.objective.objective import Objective
from landscape.objective.policies.precision import REDUCED
from landscape.objective.tuning import Tuning
from landscape.objective.vectors.known import vectors_of
from landscape.objective.workers.engine import Engine, Session
from landscape.objective.workers.in_units import in_units, key_of
from landscape.results.affine import Line
from landscape.results.seeded import SeededLine


class Places:
    """Several lines in the shape that units and workers know: a point is (line, α).

    Args:
        objective: What to measure.
        lines: Where.
        buffers: For each line the buffers recorded at 0 and 1, or None.
        said: What tells this measurement from another; None where no folder keeps it.
    """

    names: tuple[str, ...]
    objective: Objective
    tuning: Tuning

    def __init__(
        self,
        objective: Objective,
        lines: Sequence[Line | SeededLine],
        buffers: Sequence[Ends | None],
        said: dict[str, Any] | None,
    ) -> None:
        self.objective, self.names, self.tuning = objective, objective.names, objective.tuning
        self.reduced: bool = objective.precision in REDUCED
        self._lines, self._buffers, self._said = lines, buffers, said
        self._held: tuple[int, Any] = -1, None

    def __getstate__(self) -> dict[str, Any]:
        """What workers are sent: each places the lines on its own device."""
        return {**self.__dict__, "_held": (-1, None)}

    def measured(
        self,
        alpha: np.ndarray,
        *,
        folder: Path | None,
        engine: Engine | None,
        shard: tuple[int, int],
        progress: Progress,
    ) -> list[Evaluation]:
        """Every line at the same places."""
        session, found = None if engine is None else Session(engine), []
        here = folder is None and engine is None and shard == (0, 1)
        try:
            for number in range(len(self._lines)):
                where = np.stack([np.full(len(alpha), float(number)), alpha], axis=1)
                found.append(
                    in_units(
                        self,
                        where,
                        key=key_of(where, self._what(number)),
                        folder=None if folder is None else folder / f"line-{number + 1}",
                        engine=session,
                        shard=shard,
                        progress=progress if here else None,
                    )
                )
                if not here:
                    progress.advance(int(found[-1].computed.sum()))
        finally:
            if session is not None:
                session.close()
        return found

    def measured_sparingly(
        self,
        alpha: np.ndarray,
        tolerance: float,
        *,
        seed: int,
        folder: Path | None,
        engine: Engine | None,
    ) -> list[Evaluation]:
        """Every line on as few samples as the tolerance allows."""
        found = []
        for number in range(len(self._lines)):
            at, coordinates = self._at(number)
            samples = Samples(
                at,
                coordinates(alpha),
                seed=seed,
                what=self._what(number),
                units=None if folder is None else folder / f"line-{number + 1}",
                engine=engine,
            )
            try:
                values, errors = measured_sparingly(samples, tolerance)
            finally:
                samples.close()
            found.append(Evaluation(self.names, values, errors, np.ones(len(alpha), bool)))
        return found

    def prepare(self, coordinates: np.ndarray, progress: Progress | None = None) -> None:
        """Choose how to evaluate these places, for all lines."""
        at, along_it = self._at(int(coordinates[0, 0]))
        at.prepare(along_it(coordinates[:, 1]), progress)

    def __call__(
        self,
        coordinates: np.ndarray,
        samples: np.ndarray | None = None,
        *,
        progress: Progress | None = None,
        checks: int = 8,
    ) -> Evaluation:
        """Measure places of one line."""
        at, along_it = self._at(int(coordinates[0, 0]))
        return at(along_it(coordinates[:, 1]), samples, progress=progress, checks=checks)

    def _at(self, number: int) -> Any:
        """The objective along a line, placed on the device while that line is measured."""
        if self._held[0] != number:
            line = self._lines[number]
            ends = self._buffers[number]
            origin, directions = vectors_of(line, self.objective.problem)
            self._held = number, along(self.objective, origin, directions, ends)
        return self._held[1]

    def _what(self, number: int) -> str:
        if self._said is None:
            return ""
        line, ends = self._lines[number], self._buffers[number]
        hashed = [line.digest, *([fingerprint(*ends)] if ends else ())]
        return json.dumps(["line", self._said, hashed])
