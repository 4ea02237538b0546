"""Who measures the units: this process, or the workers of an engine.

An engine starts workers; a worker measures one unit at a time and lives on, or again, when a unit
kills it. Everything else is here, the same for all of them: units are handed out, each is written
when it is done, those of a dead worker are queued again, and one that fails three times ends the
measurement with its error.
"""

from __future__ import annotations

import io
import pickle
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import ModuleType
from typing import Any, Protocol

import numpy as np
import torch

from landscape.base.progress import Progress
from landscape.objective.evaluation import Evaluation
from landscape.objective.strategies.choice import Choice
from landscape.objective.tuning import Tuning
from landscape.objective.workers.parametrized import rebuilding
from landscape.objective.workers.units import HeldUnits, Units

_ATTEMPTS = 3


class Measured(Protocol):
    """What is measured unit by unit, here or by workers, to which it is sent as it is.

    A `landscape.objective.restriction.Restriction` is one.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """What the numbers are."""
        ...

    @property
    def tuning(self) -> Tuning | None:
        """How points are evaluated, where all processes should do it alike."""
        ...

    @property
    def reduced(self) -> bool:
        """Whether the numbers are of a lower precision."""
        ...

    def prepare(self, coordinates: np.ndarray, progress: Progress | None = None) -> Any:
        """Choose how to evaluate these points."""
        ...

    def __call__(
        self,
        coordinates: np.ndarray,
        samples: np.ndarray | None = None,
        *,
        progress: Progress | None = None,
        checks: int = 8,
    ) -> Evaluation:
        """Measure points, shape (n, K), on some of the samples, by index, or on all."""
        ...


class Worker(Protocol):
    """Measures one unit at a time."""

    def submit(self, points: np.ndarray, samples: np.ndarray | None) -> Future[Evaluation]:
        """Measure points, shape (n, K); the future fails when the unit or the worker does."""
        ...


class Engine(Protocol):
    """Starts workers, and ends them when its context ends."""

    def start(self, measured: Measured) -> AbstractContextManager[Sequence[Worker]]:
        """Workers that measure this.

        Raises:
            ValueError: If it cannot be sent to them.
        """
        ...


class Session:
    """An engine whose workers live on from one measurement to the next, until it is closed.

    Args:
        engine: Starts them, when they are first needed.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._stack = engine, ExitStack()
        self._workers: Sequence[Worker] | None = None

    @contextmanager
    def start(self, measured: Measured) -> Iterator[Sequence[Worker]]:
        """The workers; always with the same to measure."""
        if self._workers is None:
            self._workers = self._stack.enter_context(self._engine.start(measured))
        yield self._workers

    def close(self) -> None:
        """End the workers."""
        self._stack.close()


def measure_units(
    measured: Measured,
    coordinates: np.ndarray,
    samples: np.ndarray | None,
    units: Units | HeldUnits,
    *,
    engine: Engine | None = None,
    shard: tuple[int, int] = (0, 1),
    progress: Progress | None = None,
) -> None:
    """Measure the units that are missing, and keep each when it is done.

    Args:
        measured: What to measure.
        coordinates: All points, shape (points, K).
        samples: On which samples, by index; None: on all.
        units: Where they are kept.
        engine: Whose workers measure; None measures in this process.
        shard: (i, n): only every n-th unit, from the i-th (from 0).
        progress: Told of finished points.

    Raises:
        ValueError: If it cannot be sent to the workers.
        RuntimeError: If a unit failed three times.
    """
    missing = units.missing(shard)
    if progress is not None:
        progress.only(sum(len(coordinates[units.places(number)]) for number in missing))
    if not missing:
        return
    tuning = measured.tuning
    if tuning is not None:
        _choose_alike(measured, tuning, coordinates, units, progress)
    if engine is None:
        for number in missing:
            places = units.places(number)
            found = measured(coordinates[places], samples, progress=progress, checks=0)
            units.save(number, found.mean, found.standard_error)
        return
    with engine.start(measured) as workers:
        if progress is not None and tuning is not None:
            expected = tuning.seconds_per_point(None if samples is None else len(samples))
            if expected is not None:
                progress.expect(expected, workers=len(workers))
        for found in _supervised(workers, coordinates, samples, units, missing):
            if tuning is not None:
                tuning.shrank(found.shrunk)
            if progress is not None:
                progress.advance(found.mean.shape[1])


def closeness(measured: Measured) -> float:
    """What two measurements of one point may differ by: less than two losses do."""
    return 0.2 if measured.reduced else 1e-3


def _choose_alike(
    measured: Measured,
    tuning: Tuning,
    coordinates: np.ndarray,
    units: Units | HeldUnits,
    progress: Progress | None,
) -> None:
    """Evaluate as the process that began these units, or choose for all that come."""
    if tuning.choice is None and units.choice is not None:
        _try(units.choice, measured, tuning, coordinates)
    if tuning.choice is None:
        measured.prepare(coordinates, progress)
    units.keep_choice(tuning.choice)


def _try(held: Choice, measured: Measured, tuning: Tuning, coordinates: np.ndarray) -> None:
    """Use what another process chose, if that gives the right numbers here too.

    A folder may come from another machine, or be made up; what was asked for here comes first.
    """
    if (fitting := tuning.allowed(held)) is None:
        return
    two = coordinates[[0, -1]]
    plain = measured(two[:1], checks=0).mean  # a single point is measured plainly
    tuning.use(fitting)
    right = False
    try:
        found = measured(two, checks=0).mean[:, :1]
        right = np.allclose(found, plain, closeness(measured), equal_nan=True)
    except (ValueError, RuntimeError, TypeError, AttributeError, LookupError, MemoryError):
        pass
    finally:
        tuning.use(fitting if right else None)


def _supervised(
    workers: Sequence[Worker],
    coordinates: np.ndarray,
    samples: np.ndarray | None,
    units: Units | HeldUnits,
    missing: list[int],
) -> Iterator[Evaluation]:
    queue, idle, failures = deque(missing), deque(workers), Counter[int]()
    running: dict[Future[Evaluation], tuple[int, Worker]] = {}
    while queue or running:
        while queue and idle:
            number, worker = queue.popleft(), idle.popleft()
            given = coordinates[units.places(number)]
            running[worker.submit(given, samples)] = number, worker
        ended = wait(running, return_when=FIRST_COMPLETED).done
        for done in sorted(ended, key=lambda done: done.exception() is not None):  # save first
            number, worker = running.pop(done)
            idle.append(worker)
            problem = done.exception()
            if problem is None:
                found = done.result()
                units.save(number, found.mean, found.standard_error)
                yield found
                continue
            failures[number] += 1
            if failures[number] == _ATTEMPTS:
                raise RuntimeError(
                    f"Unit {number} failed {_ATTEMPTS} times; the last time: "
                    f"{type(problem).__name__}: {problem}"
                ) from problem
            queue.append(number)


def packed(measured: Measured, *, pickler: ModuleType = pickle) -> bytes:
    """What is measured as bytes, for workers.

    Args:
        measured: With its model, loss and data.
        pickler: A module with a `Pickler`.

    Raises:
        ValueError: If a part of it cannot be pickled.
    """
    buffer = io.BytesIO()
    try:
        torch.save(measured, buffer, pickle_module=rebuilding(pickler))
    except (pickle.PicklingError, AttributeError, TypeError, RuntimeError) as problem:
        raise ValueError(
            f"The objective cannot be sent to other processes ({problem}); define the model's "
            "class, the loss and the metrics at the top level of a module, not as lambdas or "
            "inside functions, or measure in this process."
        ) from problem
    return buffer.getvalue()


def unpacked(data: bytes, device: str) -> Measured:
    """The same again, with model and data on a device; only for bytes of one's own."""
    return torch.load(io.BytesIO(data), map_location=device, weights_only=False)
