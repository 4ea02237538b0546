"""Many runs: recorded in parallel processes, finished ones kept."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import torch

from landscape.base.files import SchemaError, being_written, expanded
from landscape.base.runs.tables import refuse_written
from landscape.base.runs.trajectory import NoStateError, Trajectory
from landscape.optim.registry import find
from landscape.training.loop import record_run
from landscape.training.run import Run

FINISHED = "holds this run"
INTERRUPTED = "holds the beginning of this run"
_OURS = (FINISHED, INTERRUPTED)
_WRITTEN = "is being written by another process"


def record_runs(
    runs: Mapping[str | os.PathLike[str], Run],
    *,
    workers: int = 1,
    device: str = "cpu",
    overwrite: bool = False,
) -> Iterator[tuple[Path, bool]]:
    """Record every run into its file; runs that are already finished there are kept.

    A file counts as finished when its recording was closed and it says it holds this very run
    (with any number of threads, unless the run names one). An interrupted recording of this very
    run is recorded anew. Anything else at that place is refused, unless `overwrite` says so.

    Args:
        runs: File to run.
        workers: Number of processes, each with one thread; 1 records here, one after the other.
        device: Where to train.
        overwrite: Replace files that hold anything else.

    Yields:
        Every file when it is finished, and whether it was recorded now.

    Raises:
        ValueError: If a run is impossible; nothing has been recorded then.
        FileExistsError: If something else is at the place of a run; nothing has been recorded.

    >>> import landscape as ls
    >>> names = ("adam", "lamb")
    >>> runs = {f"{name}.h5": ls.Run("function/rosenbrock", name, steps=4) for name in names}
    >>> [path.name for path, new in ls.record_runs(runs)]
    ['adam.h5', 'lamb.h5']
    """
    for run in runs.values():
        run.resolved()
    given = {expanded(path): run for path, run in runs.items()}
    found = {path: found_at(path, run) for path, run in given.items()}
    others = {path: what for path, what in found.items() if what not in (*_OURS, None)}
    live = [path for path, what in others.items() if what == _WRITTEN]
    if live:
        refuse_written(live[0])
    if others and not overwrite:
        path, what = next(iter(others.items()))
        more = f" ({len(others) - 1} more files are in the way.)" if len(others) > 1 else ""
        raise FileExistsError(
            f"{path} {what}. Nothing was recorded: delete it, record into another folder, or pass "
            f"overwrite=True.{more}"
        )
    for path, what in found.items():
        if what == FINISHED:
            yield path, False
    todo = {path: run for path, run in given.items() if found[path] != FINISHED}
    if workers == 1:
        for path, run in todo.items():
            record_run(run, path, device=device, overwrite=True)
            yield path, True
        return
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        jobs = [
            pool.submit(record_run, run, path, device=device, overwrite=True)
            for path, run in todo.items()
        ]
        for job in as_completed(jobs):
            yield job.result(), True


def is_finished(path: Path, run: Run) -> bool:
    """Whether `path` holds a closed recording of `run`."""
    return found_at(path, run) == FINISHED


def found_at(path: Path, run: Run) -> str | None:
    """What is at the place where `run` is to be recorded.

    Returns:
        None: nothing; `FINISHED` or `INTERRUPTED`: this very run; else what there is, in words.
    """
    if not os.path.lexists(path):
        return None
    if path.is_file() and not path.stat().st_size:
        return INTERRUPTED
    if not path.is_file():
        return "is no file"
    try:
        if being_written(path):
            return _WRITTEN
        with Trajectory(path) as trajectory:
            complete = trajectory.complete
        stored = Run.stored(path, task=run.task)
    except NoStateError:
        return INTERRUPTED
    except SchemaError:
        return "is no recorded run, or a damaged one"
    except OSError as error:
        return f"cannot be read ({error})"
    except ValueError as error:
        return f"holds another run ({error})"
    if find(run.optimizer).full_batch:
        stored = dataclasses.replace(stored, batch_size=run.batch_size)
    wanted = dataclasses.replace(run, threads=run.threads or stored.threads).resolved()
    if stored == wanted:
        return FINISHED if complete else INTERRUPTED
    names = [f.name for f in dataclasses.fields(run)]
    name = next(n for n in names if getattr(stored, n) != getattr(wanted, n))
    return f"holds a run with {name}={getattr(stored, name)!r}, not {getattr(wanted, name)!r}"
