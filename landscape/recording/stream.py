"""Stream: a thread that writes what was recorded, in order, with bounded memory.

The training thread takes an empty slot, copies into it and hands it over. There are only so
many slots, so a slow disk slows training down instead of filling the memory. When the disk fails
the thread closes the file as well as it can, remembers why, and lets every later slot pass
unwritten, so that training never waits for a file that cannot be written.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import shutil
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.recording.motion import Numbers
from landscape.recording.writer import TrajectoryWriter

_COMMIT_SECONDS = 0.05  # between two commits, at most
_MEMORY = 256 << 20  # bytes of slots
_SPARE = 1 << 20  # bytes of disk left untouched


class RecordingStopped(UserWarning):
    """The file could not be written any more; training went on without being recorded."""


Slot = dict[str, Tensor]  # room for one state: parameters, buffers, evaluation


@dataclass
class Step:
    """What is known about one optimizer step (number 0: before the first)."""

    number: int
    scalars: dict[str, float | Tensor] = field(default_factory=dict)
    sums: Tensor | None = None
    sketch: Tensor | None = None
    slot: Slot | None = None
    random_state: np.ndarray | None = None
    ready: Any = None  # a torch.cuda.Event, or None when everything is there already


class Stream:
    """Write steps to a trajectory, off the training thread.

    Args:
        writer: Where to.
        sizes: Name to length of the vectors in a slot.
        pinned: Whether slots are in pinned memory (the model is on a GPU).
        numbers: Makes norms and cosines of the sums that come with each step.
        step: The last step that the file already holds.

    Attributes:
        committed: Number of the last step that is safe on disk; -1 before the first.
        failure: Why writing stopped, in one line; None while all is well.
    """

    def __init__(
        self,
        writer: TrajectoryWriter,
        sizes: dict[str, int],
        *,
        pinned: bool,
        numbers: Numbers,
        step: int = -1,
    ) -> None:
        self._writer = writer
        self._bytes = 4 * sum(sizes.values())
        self._numbers = numbers
        self._slots: queue.SimpleQueue[Slot] = queue.SimpleQueue()
        for _ in range(min(64, max(2, _MEMORY // self._bytes))):
            parts = {n: torch.empty(size, pin_memory=pinned) for n, size in sizes.items()}
            self._slots.put(parts)
        self._steps: queue.Queue[Step | threading.Event | None] = queue.Queue(1024)
        self._last = self.committed = step
        self.failure: str | None = None
        self._complete = False
        status = os.stat(writer.path)
        self._identity = (status.st_dev, status.st_ino)
        self._thread = threading.Thread(target=self._run, name="landscape recorder", daemon=True)
        self._thread.start()

    def slot(self) -> Slot:
        """An empty slot; waits until there is one."""
        return self._slots.get()

    def put(self, step: Step) -> None:
        """Hand a step over; waits when too many are on their way."""
        self._steps.put(step)

    def flush(self) -> None:
        """Wait until everything handed over is on disk (or has failed)."""
        done = threading.Event()
        self._steps.put(done)
        done.wait()

    def close(self, *, complete: bool) -> None:
        """Write what is left, close the file, and end the thread."""
        self._complete = complete
        self._steps.put(None)
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        waiting = False  # whether something is written but not committed
        while True:
            try:
                timeout = max(0.0, due - time.monotonic()) if waiting else None
                step = self._steps.get(timeout=timeout)
            except queue.Empty:
                step = threading.Event()
            if isinstance(step, Step):
                self._guarded(self._write, step)
                if step.slot is not None:
                    self._slots.put(step.slot)
                waiting = True
                if time.monotonic() < due:
                    continue
            if step is None:
                self._guarded(self._commit)
                self._guarded(self._writer.close if self._complete else self._writer.abort)
                return
            if waiting:
                self._guarded(self._commit)
                waiting, due = False, time.monotonic() + _COMMIT_SECONDS
            if isinstance(step, threading.Event):
                step.set()

    def _guarded(self, function: Any, *arguments: Any) -> None:
        if self.failure is not None:
            return
        try:
            function(*arguments)
        except BaseException as error:  # told to the training thread, which goes on
            with contextlib.suppress(OSError):
                self._commit()  # the steps before the one that failed
            code = error.errno if isinstance(error, OSError) else None
            reason = os.strerror(code) if code else str(error)
            self.failure = (
                f"Recording to {self._writer.path} stopped ({reason}). Training goes on; step "
                f"{self.committed} is the last one recorded."
            )
            self._writer.discard()

    def _write(self, step: Step) -> None:
        if step.number <= self._last:  # handed over twice around a Ctrl-C
            return
        if step.ready is not None:
            step.ready.synchronize()
        if shutil.disk_usage(self._writer.path.parent).free < self._bytes + _SPARE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if step.slot is not None:
            parts = {name: part.numpy() for name, part in step.slot.items()}
            self._writer.append_state(step.number, random_state=step.random_state, **parts)
        if step.number:
            scalars: dict[str, float] = {}
            layers: dict[str, np.ndarray] = {}
            if step.sums is not None:
                scalars, layers = self._numbers.of(step.sums.cpu().numpy())
            if step.sketch is not None:
                layers["sketch"] = step.sketch.cpu().numpy()
            scalars |= {name: float(value) for name, value in step.scalars.items()}
            self._writer.append_update(scalars, layers)
        self._last = step.number

    def _commit(self) -> None:
        try:
            status = os.stat(self._writer.path)
        except FileNotFoundError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._identity:
            raise OSError("the file was deleted or replaced")
        self._writer.commit()
        self.committed = self._last
