"""Many runs: recorded in parallel processes, finished ones kept."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import torch

from landscape.files import SchemaError
from landscape.optim.registry import find
from landscape.recording.run import Run
from landscape.recording.training import record_run
from landscape.trajectory import Trajectory


def record_runs(
    runs: Mapping[str | os.PathLike[str], Run], *, workers: int = 1, device: str = "cpu"
) -> Iterator[tuple[Path, bool]]:
    """Record every run into its file; runs that are already finished there are kept.

    A file counts as finished when its recording was closed and it says it holds this very run
    (with any number of threads, unless the run names one); anything else at that place is
    recorded anew.

    Args:
        runs: File to run.
        workers: Number of processes, each with one thread; 1 records here, one after the other.
        device: Where to train.

    Yields:
        Every file when it is finished, and whether it was recorded now.

    Raises:
        ValueError: If a run is impossible; nothing has been recorded then.
    """
    for run in runs.values():
        run.resolved()
    todo: dict[Path, Run] = {}
    for path, run in ((Path(path), run) for path, run in runs.items()):
        if is_finished(path, run):
            yield path, False
        else:
            todo[path] = run
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
    try:
        if not Trajectory(path).complete:
            return False
        stored = Run.stored(path, task=run.task)
    except (FileNotFoundError, SchemaError, ValueError):
        return False
    if find(run.optimizer).full_batch:
        stored = dataclasses.replace(stored, batch_size=run.batch_size)
    return stored == dataclasses.replace(run, threads=run.threads or stored.threads).resolved()
