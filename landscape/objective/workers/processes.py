"""Processes of this machine as workers: one per device, each with its own model and data."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import Any

import numpy as np
import torch

from landscape.objective.evaluation import Evaluation
from landscape.objective.workers.device import checked_device
from landscape.objective.workers.engine import Measured, packed, unpacked

_held: dict[str, Any] = {}  # in a worker: what it measures


@dataclass(frozen=True)
class Processes:
    """An engine of processes on this machine.

    Model, loss and data are pickled once and sent to every process, so they must be defined at
    the top level of a module, and a script needs an ``if __name__ == "__main__":``.

    Args:
        devices: Where the processes compute, one process for each entry: ``("cuda:0", "cuda:1")``,
            or ``("cpu", "cpu")`` for two on the processor, which share its threads.

    Raises:
        ValueError: If there is no device, or one that is unknown or absent.

    >>> Processes(devices=("cpu", "cpu", "cpu")).devices
    ('cpu', 'cpu', 'cpu')
    """

    devices: tuple[str, ...] = ("cpu", "cpu")

    def __post_init__(self) -> None:
        if not self.devices:
            raise ValueError("devices is empty; name one device per process, such as cuda:0.")
        for name in self.devices:
            checked_device(name)

    @contextlib.contextmanager
    def start(self, measured: Measured) -> Iterator[list[_Process]]:
        """One process per device."""
        data = packed(measured)
        threads = max(1, torch.get_num_threads() // len(self.devices))
        workers = [_Process(data, device, threads) for device in self.devices]
        try:
            yield workers
        finally:
            for worker in workers:
                worker.kill()


class _Process:
    """A worker that is a process, and another one when that has died."""

    def __init__(self, data: bytes, device: str, threads: int) -> None:
        self._given = (data, device, threads)
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, points: np.ndarray, samples: np.ndarray | None) -> Future[Evaluation]:
        """Measure points in the process."""
        if self._pool is not None:
            with contextlib.suppress(BrokenProcessPool):
                return self._pool.submit(_measure, points, samples)
            self.kill()
        self._pool = ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=_begin, initargs=self._given
        )
        try:
            return self._pool.submit(_measure, points, samples)
        except (OSError, BrokenProcessPool) as problem:  # it died while it was starting
            failed: Future[Evaluation] = Future()
            failed.set_exception(problem)
            return failed

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        if self._pool is None:
            return
        for process in list((self._pool._processes or {}).values()):
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = None


def _begin(data: bytes, device: str, threads: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _held.update(data=data, device=device)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _measure(points: np.ndarray, samples: np.ndarray | None) -> Evaluation:
    if "data" in _held:
        _held["measured"] = unpacked(_held["data"], _held["device"])
        del _held["data"]
    return _held["measured"](points, samples, checks=0)
