"""Stream: two threads that measure and write what was recorded, in order, with bounded memory.

The training thread takes an empty slot, copies into it and hands it over; it does no more. Once a
second, or when 128 steps wait or half the slots are taken, the measuring thread wakes, measures all
the steps that have come and passes them on to the writing thread, which writes them. They are
committed together, at most every quarter of a second: many small steps share the cost of one
commit, and in between nobody contends with the training for the interpreter. There are only so many
slots, so a slow disk slows training down instead of filling the memory. When the disk fails the
file is closed as well as it can be, the reason is remembered, and every later slot passes
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
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from landscape.base.runs.writer import TrajectoryWriter
from landscape.recording.measure import Measure, Row
from landscape.recording.slots import Slot, Slots, Step
from landscape.recording.tracking import Tracking

COMMIT_SECONDS = 1.0  # steps are gathered for so long, then measured, written and committed
_APART = 0.25  # seconds between two commits, however fast the steps come
_TOGETHER = 128  # steps that are measured together: fewer slots are made, and stay in the cache
_SPARE = 1 << 20  # bytes of disk left untouched


class RecordingStopped(UserWarning):
    """The file could not be written any more; training went on without being recorded.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", RecordingStopped)  # stop the training as well
    """


class Stream:
    """Write steps to a trajectory, off the training thread.

    Args:
        writer: Where to.
        slots: What steps come in.
        measure: Makes the numbers of each step.
        step: The last step that the file already holds.
        tracking: Told the numbers of the steps that were committed.

    Attributes:
        committed: Number of the last step that a kill cannot take any more; -1 before the first.
        failure: Why writing stopped, in one line; None while all is well.
    """

    def __init__(
        self,
        writer: TrajectoryWriter,
        slots: Slots,
        measure: Measure,
        *,
        step: int = -1,
        tracking: Tracking | None = None,
    ) -> None:
        self._writer, self._measure = writer, measure
        self._slots, self._tracking = slots, tracking
        self._untold: list[tuple[int, Mapping[str, float]]] = []
        self._batch = max(2, slots.most // 8)  # steps after which slots come free
        self._enough = min(_TOGETHER, slots.most // 2 - 1)  # steps that are not waited with
        self._stored = [name for name in slots.staged if name != "gradient"]
        self._bytes = sum(slots.staged[name].bytes for name in self._stored)
        self._steps: queue.SimpleQueue[Step | threading.Event | None] = queue.SimpleQueue()
        self._tasks: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._newest = self._written = self.committed = step
        self._due: float | None = None  # when what was passed on is to be committed
        self._next_commit = 0.0  # none before
        self.failure: str | None = None
        self._complete = False
        self._place = writer.path.absolute()  # also when the program goes to another folder
        status = os.stat(self._place)
        self._identity = (status.st_dev, status.st_ino)
        self._threads = [
            threading.Thread(target=target, name=f"landscape {what}", daemon=True)
            for target, what in ((self._measure_steps, "measures"), (self._write_steps, "writes"))
        ]
        for thread in self._threads:
            thread.start()

    def slot(self) -> Slot:
        """An empty slot; waits until there is one."""
        if self._steps.qsize() >= self._enough:
            self._wake.set()
        return self._slots.take()

    def put(self, step: Step) -> None:
        """Hand a step over."""
        self._steps.put(step)

    def flush(self) -> None:
        """Wait until everything handed over is on disk (or has failed, or the stream is closed)."""
        done = threading.Event()
        self._steps.put(done)
        self._wake.set()
        while self._threads[-1].is_alive() and not done.wait(COMMIT_SECONDS):
            pass

    def close(self, *, complete: bool) -> None:
        """Write what is left, close the file, and end the threads."""
        self._complete = complete
        self._steps.put(None)
        self._wake.set()
        for thread in self._threads:
            thread.join()
        if self._tracking is not None:
            self._tracking.close()

    def _measure_steps(self) -> None:
        request: threading.Event | bool | None = False
        kept: list[Slot] = []  # the last one measured, which the next step is compared with
        while request is not None:
            steps, request = self._gathered()
            for start in range(0, len(steps), self._batch):
                batch = steps[start : start + self._batch]
                rows = self._measured(batch)
                *done, last = (step.slot for step in batch)
                self._tasks.put(partial(self._finish, batch, rows, [*kept, *done]))
                kept = [last]
                self._due = self._next_commit
            now = time.monotonic()
            if self._due is not None and (
                now >= self._due or request is not False or self._newest == 0
            ):
                self._tasks.put(partial(self._guarded, self._commit))
                self._due, self._next_commit = None, now + _APART
            if isinstance(request, threading.Event):
                self._tasks.put(request.set)
        self._tasks.put(partial(self._guarded, self._close))
        self._tasks.put(None)

    def _write_steps(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()

    def _gathered(self) -> tuple[list[Step], threading.Event | bool | None]:
        """What comes until a commit is due or half the slots are taken; step 0 on its own.

        Returns:
            The steps, and what ended them: an event to set, None for the end, or False.
        """
        steps: list[Step] = []
        left = None if self._due is None else max(0.0, self._due - time.monotonic())
        try:
            came = self._steps.get(timeout=left)
        except queue.Empty:
            return steps, False
        if self._newest >= 0:
            self._wake.wait(COMMIT_SECONDS if left is None else left)
            self._wake.clear()
        while isinstance(came, Step):
            if came.number > self._newest or came.late:  # else it came twice, by a Ctrl-C
                steps.append(came)
                self._newest = came.number
            if self._newest == 0:  # the initialization is committed at once, whatever comes after
                return steps, False
            try:
                came = self._steps.get_nowait()
            except queue.Empty:
                return steps, False
        return steps, came

    def _measured(self, steps: Sequence[Step]) -> dict[int, Row] | BaseException:
        """Number of a step to its numbers."""
        moved = [step for step in steps if step.number and not step.late]
        try:
            for step in steps:
                if step.ready is not None:
                    step.ready.synchronize()
            rows = self._measure.rows(moved) if moved else []
            return {step.number: row for step, row in zip(moved, rows, strict=True)}
        except BaseException as error:  # raised again where the steps would be written
            return error

    def _finish(
        self, steps: Sequence[Step], rows: dict[int, Row] | BaseException, done: Sequence[Slot]
    ) -> None:
        self._guarded(partial(self._write, steps, rows))
        for slot in done:
            self._slots.give_back(slot)

    def _guarded(self, function: Callable[[], None]) -> None:
        if self.failure is not None:
            return
        try:
            function()
        except BaseException as error:  # told to the training thread, which goes on
            with contextlib.suppress(Exception):
                self._commit()  # the steps before the one that failed
            code = error.errno if isinstance(error, OSError) else None
            reason = os.strerror(code) if code else str(error)
            self.failure = (
                f"Recording to {self._writer.path} stopped ({reason}). Training goes on; step "
                f"{self.committed} is the last one recorded."
            )
            with contextlib.suppress(Exception):
                self._writer.discard()

    def _write(self, steps: Sequence[Step], rows: dict[int, Row] | BaseException) -> None:
        if isinstance(rows, BaseException):
            raise rows
        free = shutil.disk_usage(self._place.parent).free
        for step in steps:
            free -= self._bytes * step.stored
            if free < _SPARE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if step.stored:
                parts = {name: step.slot.arrays[name] for name in self._stored}
                self._writer.append_state(step.number, random_state=step.random_state, **parts)
            if step.number and not step.late:
                self._writer.append_update(*rows[step.number])
                if self._tracking is not None:
                    self._untold.append((step.number, rows[step.number][0]))
            self._written = step.number

    def _commit(self) -> None:
        try:
            status = os.stat(self._place)
        except FileNotFoundError:
            status = None
        if status is None or (status.st_dev, status.st_ino) != self._identity:
            raise OSError("the file was deleted or replaced")
        self._writer.commit()
        self.committed: int = self._written
        if self._tracking is not None and self._untold:
            self._tracking.put(self._untold)
            self._untold = []

    def _close(self) -> None:
        (self._writer.close if self._complete else self._writer.abort)()
