"""Processes of this machine as workers: one per device, each with its own model and data.

A process is asked over a pipe and needs no semaphore or file, so nothing is left of it however it
and the program that started it end.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

import numpy as np
import torch

from landscape.objective.evaluation import Evaluation
from landscape.objective.workers.device import checked_device
from landscape.objective.workers.engine import Measured, packed, unpacked

_GRACE = 1.0  # seconds that a process has to end by itself


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
        end = partial(_end, workers)
        atexit.register(end)  # were this generator never closed, the exit would wait for them
        try:
            yield workers
        finally:
            end()
            atexit.unregister(end)


class _Process:
    """A worker that is a process, and another one when that has died."""

    def __init__(self, data: bytes, device: str, threads: int) -> None:
        self._data, self._given = data, (device, threads)
        self._asking = ThreadPoolExecutor(1)  # waits for the answers
        self._asked: Future[Evaluation] | None = None
        self._process: SpawnProcess | None = None
        self._told = False

    def submit(self, points: np.ndarray, samples: np.ndarray | None) -> Future[Evaluation]:
        """Measure points in the process."""
        self._asked = self._asking.submit(self._answer, points, samples)
        return self._asked

    def tell(self) -> None:
        """Ask the process to end: nothing comes any more, and what it measures is not needed."""
        self._told = True
        process = self._process
        self._asking.shutdown(wait=False, cancel_futures=True)
        if process is None:
            return
        if self._asked is None or self._asked.done():
            self._connection.close()
        else:
            process.terminate()

    def end(self, limit: float) -> None:
        """End the process, by force where it has not by itself at that `time.monotonic`."""
        if self._asked is not None and self._process is not None:
            waiting = wait_for([self._asked], max(0.0, limit - time.monotonic())).not_done
            if waiting and (process := self._process) is not None:
                process.kill()
        self._asking.shutdown(wait=True)
        if self._process is not None:
            self._close(self._process, limit)

    def _close(self, process: SpawnProcess, limit: float) -> None:
        self._process = None
        process.join(max(0.0, limit - time.monotonic()))
        process.kill()
        process.join()
        self._connection.close()

    def _answer(self, points: np.ndarray, samples: np.ndarray | None) -> Evaluation:
        try:
            if self._process is None:
                self._start()
            self._connection.send((points, samples))
            while not self._connection.poll(1):  # its own children may hold the pipe
                if self._process is None or not self._process.is_alive():
                    raise EOFError
            found = self._connection.recv()
        except (EOFError, OSError):
            raise self._died() from None
        if isinstance(found, Exception):
            raise found
        return found

    def _start(self) -> None:
        spawn = get_context("spawn")
        self._connection, there = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(there, *self._given))
        process.start()
        there.close()
        self._process = process
        if self._told:
            process.kill()
        self._connection.send_bytes(self._data)

    def _died(self) -> ConnectionError:
        """What is said of a process that has ended, whose place is free now."""
        if (process := self._process) is None:
            return ConnectionError("the process could not be started")
        self._close(process, time.monotonic() + _GRACE)
        return ConnectionError(f"the process ended (exit code {process.exitcode})")


def _end(workers: list[_Process]) -> None:
    for worker in workers:
        worker.tell()
    limit = time.monotonic() + _GRACE
    for worker in workers:
        worker.end(limit)


def _serve(connection: Connection, device: str, threads: int) -> None:
    """In the process: measure what comes, until nothing does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        data, measured = connection.recv_bytes(), None
        while True:
            points, samples = connection.recv()
            try:
                if measured is None:
                    measured = unpacked(data, device)
                    data = b""
                found = measured(points, samples, checks=0)
            except Exception as problem:
                _send_problem(connection, problem)
            else:
                connection.send(found)


def _send_problem(connection: Connection, problem: Exception) -> None:
    problem.add_note(f"In the process:\n{traceback.format_exc()}")
    try:
        connection.send(problem)
    except (pickle.PicklingError, AttributeError, TypeError):
        connection.send(RuntimeError(f"{type(problem).__name__}: {problem}"))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
