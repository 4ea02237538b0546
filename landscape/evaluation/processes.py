"""Several processes work through the units of one measurement.

The objective is pickled once and sent to every process. A process that dies (out of memory, a
signal) loses only the units it was at: they are queued again, one at a time from then on, so that
the one that kills is known; a unit that fails three times ends the measurement with its error.
"""

from __future__ import annotations

import os
import pickle
import signal
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np

from landscape.evaluation.units import Units
from landscape.progress import Progress

if TYPE_CHECKING:
    from landscape.restriction import Restriction

_ATTEMPTS = 3
_worker: dict[str, Any] = {}


def measure_units(
    restriction: Restriction,
    coordinates: np.ndarray,
    units: Units,
    *,
    processes: int = 1,
    shard: tuple[int, int] = (0, 1),
    progress: Progress | None = None,
) -> None:
    """Measure the units that are missing, and write each when it is done.

    Args:
        restriction: What to measure.
        coordinates: All points, shape (points, K).
        units: Where they are kept.
        processes: How many processes work; 1 works in this one.
        shard: (i, n): only every n-th unit, from the i-th (from 0).
        progress: Told of finished points.

    Raises:
        ValueError: If the objective cannot be sent to other processes.
        RuntimeError: If a unit failed three times.
    """
    missing = units.missing(shard)
    objective = restriction.objective
    if not missing:
        return
    objective.choice = objective.choice or units.choice
    if objective.choice is None:
        restriction.prepare(coordinates)
        units.keep_choice(objective.choice)
    if processes == 1:
        for number in missing:
            found = restriction(coordinates[units.places(number)], progress=progress)
            units.save(number, found.mean, found.standard_error)
        return
    try:
        packed = pickle.dumps(restriction)
    except (pickle.PicklingError, AttributeError, TypeError) as problem:
        raise ValueError(
            f"The objective cannot be sent to other processes ({problem}); define the model's "
            "class, the loss and the metrics at the top level of a module, not as lambdas or "
            "inside functions, or use processes=1."
        ) from problem
    _supervise(packed, coordinates, units, missing, processes, progress)


def _supervise(
    packed: bytes,
    coordinates: np.ndarray,
    units: Units,
    missing: list[int],
    processes: int,
    progress: Progress | None,
) -> None:
    queue, failures = deque(missing), dict.fromkeys(missing, 0)
    threads = max(1, (os.cpu_count() or 1) // processes)
    while queue:
        running: dict[Future, int] = {}
        pool = ProcessPoolExecutor(
            processes,
            mp_context=get_context("spawn"),
            initializer=_start,
            initargs=(packed, coordinates, threads),
        )
        workers = pool._processes
        try:
            while queue or running:
                suspects = any(failures[number] for number in [*queue, *running.values()])
                while queue and len(running) < (1 if suspects else processes):
                    running[pool.submit(_measure, units.places(queue[0]))] = queue[0]
                    queue.popleft()
                finished = wait(running, return_when=FIRST_COMPLETED).done
                for done in sorted(finished, key=lambda f: f.exception() is not None):
                    problem = done.exception()
                    if isinstance(problem, BrokenProcessPool):
                        raise problem
                    number = running.pop(done)
                    if problem is not None:
                        failures[number] += 1
                        _give_up(number, failures, problem)
                        queue.append(number)
                        continue
                    mean, error = done.result()
                    failures[number] = 0
                    units.save(number, mean, error)
                    if progress is not None:
                        progress.advance(mean.shape[1])
        except BrokenProcessPool as problem:
            for number in running.values():
                failures[number] += 1
                _give_up(number, failures, problem)
                queue.append(number)
        finally:
            for worker in list((workers or {}).values()):
                worker.kill()
            pool.shutdown(wait=True, cancel_futures=True)


def _give_up(number: int, failures: dict[int, int], problem: BaseException) -> None:
    if failures[number] >= _ATTEMPTS:
        raise RuntimeError(
            f"Unit {number} failed {_ATTEMPTS} times; the last time: {type(problem).__name__}: "
            f"{problem}"
        ) from problem


def _start(packed: bytes, coordinates: np.ndarray, threads: int) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    torch.set_num_threads(threads)
    _worker.update(restriction=pickle.loads(packed), coordinates=coordinates)


def _measure(places: slice) -> tuple[np.ndarray, np.ndarray]:
    found = _worker["restriction"](_worker["coordinates"][places])
    return found.mean, found.standard_error
