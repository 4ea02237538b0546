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
from contextlib import AbstractContextManager
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from landscape.base.progress import Progress
from landscape.objective.evaluation import Evaluation
from landscape.objective.policies.precision import REDUCED
from landscape.objective.strategies.choice import Choice
from landscape.objective.workers.parametrized import rebuilding
from landscape.objective.workers.units import Units

if TYPE_CHECKING:
    from landscape.objective.restriction import Restriction

_ATTEMPTS = 3


class Worker(Protocol):
    """Measures one unit at a time."""

    def submit(self, points: np.ndarray) -> Future[Evaluation]:
        """Measure points, shape (n, K); the future fails when the unit or the worker does."""
        ...


class Engine(Protocol):
    """Starts workers, and ends them when its context ends."""

    def start(self, restriction: Restriction) -> AbstractContextManager[Sequence[Worker]]:
        """Workers that measure this restriction.

        Raises:
            ValueError: If the objective cannot be sent to them.
        """
        ...


def measure_units(
    restriction: Restriction,
    coordinates: np.ndarray,
    units: Units,
    *,
    engine: Engine | None = None,
    shard: tuple[int, int] = (0, 1),
    progress: Progress | None = None,
) -> None:
    """Measure the units that are missing, and write each when it is done.

    Args:
        restriction: What to measure.
        coordinates: All points, shape (points, K).
        units: Where they are kept.
        engine: Whose workers measure; None measures in this process.
        shard: (i, n): only every n-th unit, from the i-th (from 0).
        progress: Told of finished points.

    Raises:
        ValueError: If the objective cannot be sent to the workers.
        RuntimeError: If a unit failed three times.
    """
    missing = units.missing(shard)
    objective = restriction.objective
    if progress is not None:
        progress.only(sum(len(coordinates[units.places(number)]) for number in missing))
    if not missing:
        return
    if objective.choice is None and units.choice is not None:
        objective.choice = _usable(units.choice, restriction, coordinates)
    if objective.choice is None:
        restriction.prepare(coordinates)
    units.keep_choice(objective.choice)
    if engine is None:
        for number in missing:
            places = units.places(number)
            found = restriction(coordinates[places], progress=progress, checks=0)
            units.save(number, found.mean, found.standard_error)
        return
    with engine.start(restriction) as workers:
        if progress is not None and objective.seconds_per_point is not None:
            progress.expect(objective.seconds_per_point, workers=len(workers))
        for found in _supervised(workers, coordinates, units, missing):
            objective.shrunk = found.shrunk or objective.shrunk
            if progress is not None:
                progress.advance(found.mean.shape[1])


def _usable(held: Choice, restriction: Restriction, coordinates: np.ndarray) -> Choice | None:
    """How another process chose to evaluate, if that gives the right numbers here too.

    A folder may come from another machine, or be made up; what was asked for here comes first.
    """
    objective = restriction.objective
    asked = (objective._strategy, objective._batch_size)
    if any(
        a not in (None, h) for a, h in zip(asked, (held.strategy, held.batch_size), strict=True)
    ):
        return None
    batch = held.batch_size and min(held.batch_size, objective.data.size)
    threads = min(held.threads, torch.get_num_threads())
    fitting = replace(held, batch_size=batch, threads=threads)
    two = coordinates[[0, -1]]
    plain = restriction(two[:1], checks=0).mean  # a single point is measured plainly
    objective.choice = fitting
    try:
        found = restriction(two, checks=0).mean[:, :1]
    except (ValueError, RuntimeError, TypeError, AttributeError, LookupError, MemoryError):
        return None
    finally:
        objective.choice = None
    close = 0.2 if objective.precision in REDUCED else 1e-3
    return fitting if np.allclose(found, plain, close, equal_nan=True) else None


def _supervised(
    workers: Sequence[Worker], coordinates: np.ndarray, units: Units, missing: list[int]
) -> Iterator[Evaluation]:
    queue, idle, failures = deque(missing), deque(workers), Counter[int]()
    running: dict[Future[Evaluation], tuple[int, Worker]] = {}
    while queue or running:
        while queue and idle:
            number, worker = queue.popleft(), idle.popleft()
            running[worker.submit(coordinates[units.places(number)])] = number, worker
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


def packed(restriction: Restriction, *, pickler: ModuleType = pickle) -> bytes:
    """A restriction as bytes, for workers.

    Args:
        restriction: With its model, loss and data.
        pickler: A module with a `Pickler`.

    Raises:
        ValueError: If a part of it cannot be pickled.
    """
    buffer = io.BytesIO()
    try:
        torch.save(restriction, buffer, pickle_module=rebuilding(pickler))
    except (pickle.PicklingError, AttributeError, TypeError, RuntimeError) as problem:
        raise ValueError(
            f"The objective cannot be sent to other processes ({problem}); define the model's "
            "class, the loss and the metrics at the top level of a module, not as lambdas or "
            "inside functions, or measure in this process."
        ) from problem
    return buffer.getvalue()


def unpacked(data: bytes, device: str) -> Restriction:
    """The restriction again, with model and data on a device; only for bytes of one's own."""
    restriction = torch.load(io.BytesIO(data), map_location=device, weights_only=False)
    objective, there = restriction.objective, torch.device(device)
    if objective.device.type != there.type:
        objective.choice = None  # what is fast here is not what was fast there
    elif objective.choice is not None:
        threads = min(objective.choice.threads, torch.get_num_threads())
        objective.choice = replace(objective.choice, threads=threads)
    objective.device = there
    return restriction
