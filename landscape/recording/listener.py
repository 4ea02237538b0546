"""Listener: what happens on the training thread at every optimizer step."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.recording.marks import Marks
from landscape.recording.measure import Measure
from landscape.recording.numbers.gradients import Arguments, Gradients
from landscape.recording.numbers.hyperparameters import hyperparameters
from landscape.recording.numbers.number import one_number
from landscape.recording.numbers.random_state import random_state
from landscape.recording.slots import Flat, Slot, Slots, Step
from landscape.recording.snapshot import Snapshot
from landscape.recording.steps import Steps
from landscape.recording.stream import RecordingStopped, Stream
from landscape.recording.watch import MovedUnseen, Watch


class Listener:
    """Copy what is recorded of each optimizer step into a slot and hand it to the stream.

    The last step stays here until the next one begins, so that numbers can be added to it.

    Args:
        optimizers: Whose steps.
        snapshot: What is copied.
        watch: Looks whether that is still all.
        measure: Called at once for what is on a GPU.
        slots: What it is copied into.
        every: Store the state after every n-th step; None stores none.
        copied: Whether the parameters are copied at every step, or only where they are stored.
        motion: Whether gradients are looked at.
        inner: Whether the calls of a closure are steps of their own.
        random_state: Whether random generators go with each stored state.
        step: Number of the last step made.
        last: The parameters after it.
        early: Numbers logged so far; they belong to the first step.

    Attributes:
        step: Number of the last step made.
        stream: Where the steps go, once `begin` was called.
    """

    step: int

    stream: Stream

    def __init__(
        self,
        optimizers: Sequence[Any],
        snapshot: Snapshot,
        watch: Watch,
        measure: Measure,
        slots: Slots,
        *,
        every: int | None,
        copied: bool,
        motion: bool,
        inner: bool,
        random_state: bool,
        step: int,
        last: Flat | Marks,
        early: dict[str, float | Tensor],
    ) -> None:
        self._snapshot, self._watch, self._measure = snapshot, watch, measure
        self._slots, self._last = slots, last
        self._every, self._motion, self._random_state = every, motion, random_state
        self._inner, self._seen_inside, self._copied = inner, False, copied
        self._on_gpu = snapshot.device.type == "cuda"
        self._slot: Slot | None = None  # of the step under way
        self._pending: Step | None = None
        self._handed: Step | None = None  # the last one that the stream was given
        self._early, self._warned, self._closed = early, False, False
        self.step = step
        between = self._evaluated if inner else None
        self._gradients = Gradients(snapshot.parameters, self._gradient, between)
        self._steps = Steps(
            optimizers,
            snapshot.parameters,
            begin=self._begin,
            end=self._end,
            moved=lambda: bool(self._moved()),
            present=watch.present,
        )

    def take_first(self) -> None:
        """Read the state before the first step."""
        now = Step(self.step, self._slots.take() if self._copied else self._slots.new())
        self._snapshot.read_parameters(now.slot)
        self._snapshot.store_evaluation(now.slot)
        self._pending = self._stored(now)

    def take_up(self, stored: bool, **parts: np.ndarray | None) -> None:
        """Take what the file holds of the present step for the last state that was handed over.

        Args:
            stored: Whether it holds the state of this very step.
            **parts: Its ``buffers``, and what is ``beside`` the parameters.
        """
        slot = self._slots.new()
        self._snapshot.read_parameters(slot)
        for name, values in parts.items():
            if values is not None:
                self._snapshot.flat(name, slot).vector.copy_(torch.from_numpy(np.array(values)))
        self._handed = Step(self.step, slot, stored=stored)

    def listen(self) -> None:
        """Begin to listen; `begin` follows before the first step."""
        self._steps.listen()

    def stop_listening(self) -> None:
        """Hear nothing any more."""
        self._steps.close()

    def begin(self, stream: Stream) -> None:
        """Begin to write to `stream`."""
        self.stream = stream
        if self._pending is not None:
            self._put(self._pending)

    @property
    def closed(self) -> bool:
        """Whether it has stopped listening for good."""
        return self._closed

    @property
    def scalars(self) -> dict[str, float | Tensor]:
        """The numbers of the last step or, when it was handed over, of the next one."""
        return self._early if self._pending is None else self._pending.scalars

    def hand_over(self) -> None:
        """Hand the last step to the stream; nothing can be added to it any more."""
        step = self._pending
        if step is None:
            return
        if step.stored:
            self._snapshot.store_evaluation(step.slot)
        self._put(step)

    def flush(self) -> None:
        """Wait until every step so far is on disk."""
        self.hand_over()
        self.stream.flush()
        self._warn()

    def close(self, *, complete: bool) -> None:
        """Stop listening, store the last state, and end the stream.

        If the evaluation parameters cannot be had, the last step is lost and the error raised.
        """
        if self._closed:
            return
        self._closed = True
        self._steps.close()
        try:
            moved = self._close_steps()
        except BaseException:
            self._pending, complete = None, False
            raise
        finally:
            self.stream.close(complete=complete)
        self._warn()
        self._watch.close(self.step)
        if self._snapshot.moments is not None and self.step:
            self._snapshot.moments.say()
        if moved:
            warnings.warn(moved, MovedUnseen, stacklevel=4)

    def _close_steps(self) -> str:
        """Hand over what is left, so that the last state is the model.

        Returns:
            What moved the model after the last step, in one line; empty if nothing did.
        """
        self._watch.check(self._steps, self.step + 1)
        last = self._pending or self._handed
        moved = self._moved()
        again = last is not None and last.stored and self._snapshot.moved_buffers(last.slot)
        if moved or (again and self._pending is None):
            message = self._what_moved(moved)
            self.hand_over()
            scalars: dict[str, float | Tensor] = {"outside": 1.0}
            if (gradient := self._gradient()) is not None:
                gradient.vector.zero_()
                scalars |= {"gradient_norm": math.nan, "gradient_cosine": math.nan}
            self._record(scalars)
        else:
            message = ""
            if self._pending is None and self._handed is not None and not self._handed.stored:
                self._pending = Step(self._handed.number, self._handed.slot, late=True)
        if self._pending is not None:
            if not self._copied and not self._pending.stored:
                self._pending.slot = self._slots.new()
                self._snapshot.read_parameters(self._pending.slot)
            self._pending = self._stored(self._pending)
        self.hand_over()
        return message

    def _what_moved(self, moved: Sequence[int]) -> str:
        names = [entry.name for entry in self._snapshot.staged["parameters"].layout]
        what = f"{len(moved)} of {len(names)} tensors (first: {names[moved[0]]})" if moved else ""
        how = (
            "No step was heard: give the recorder every optimizer that moves the model"
            if not self.step
            else "It was no step that the recorder heard: weights assigned, swapped or loaded "
            "after the last one, or an optimizer that it was not given"
        )
        return (
            f"{what or 'Buffers'} moved after step {self.step}. {how}. Where they are now was "
            f"stored as step {self.step + 1}."
        )

    def _begin(
        self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], again: bool
    ) -> Arguments | None:
        self.hand_over()
        if not again:
            self._watch.check(self._steps, self.step + 1)
            self._watch.say()
            self._gradients.loss, self._seen_inside = None, False
        return self._gradients.before_step(optimizer, args, kwargs)

    def _end(self, optimizer: Any) -> None:
        if not (self._seen_inside and not self._moved()):
            self._step_of(optimizer, inside=False)

    def _evaluated(self, optimizer: Any) -> None:
        """The closure is about to be called again, wherever the optimizer has gone to."""
        if self._moved():
            self._step_of(optimizer, inside=True)
            self._seen_inside = True

    def _step_of(self, optimizer: Any, *, inside: bool) -> None:
        self._warn()
        self.hand_over()
        scalars = hyperparameters(optimizer)
        if self._snapshot.moments is not None:
            scalars |= self._snapshot.moments.count(self._snapshot.parameters)
        number = self._steps.number(optimizer)
        if len(self._steps.optimizers) > 1:
            scalars["optimizer"] = float(number)
        if self._inner:
            scalars["inside"] = float(inside)
        if self._gradients.loss is not None:
            try:
                scalars["loss"] = one_number(self._gradients.loss)
            except (TypeError, ValueError):  # which number it stands for is not guessed
                scalars["loss"] = math.nan
        step = self._record(scalars)
        if self._every is not None and step.number % self._every == 0:
            self._stored(step)

    def _record(self, scalars: dict[str, float | Tensor]) -> Step:
        """Make a step to where the parameters are now; it stays here until the next one."""
        scalars |= self._early
        self._early.clear()
        if not self._copied:
            return self._record_in_place(scalars)
        step = Step(self.step + 1, self._taken(), scalars)
        theta = self._snapshot.read_parameters(step.slot)
        if self._on_gpu:
            gradient = self._snapshot.flat("gradient", step.slot).vector if self._motion else None
            self._measure.on_device(step, theta, gradient)
        self._last = self._snapshot.flat("parameters", step.slot)
        self._pending, self.step, self._slot = step, step.number, None
        return step

    def _record_in_place(self, scalars: dict[str, float | Tensor]) -> Step:
        step = Step(self.step + 1, Slot(), scalars)
        self._measure.in_place(step, self._snapshot.parameters)
        self._last = Marks(self._snapshot.parameters)
        self._pending, self.step = step, step.number
        return step

    def _gradient(self) -> Flat | None:
        return self._snapshot.flat("gradient", self._taken()) if self._motion else None

    def _moved(self) -> list[int]:
        return self._last.moved(self._snapshot.parameters)

    def _taken(self) -> Slot:
        if self._slot is None:
            self._slot = self.stream.slot()
        return self._slot

    def _stored(self, step: Step) -> Step:
        """Copy the present state into the step's slot; `hand_over` adds the evaluation point."""
        self._snapshot.store(step.slot)
        step.stored = True
        if self._random_state and step.random_state is None:
            step.random_state = random_state(cuda=self._on_gpu)
        return step

    def _put(self, step: Step) -> None:
        if self._on_gpu:
            step.ready = torch.cuda.Event()
            step.ready.record()
        self.stream.put(step)
        self._pending, self._handed = None, step

    def _warn(self) -> None:
        if self.stream.failure and not self._warned:
            self._warned = True
            warnings.warn(self.stream.failure, RecordingStopped, stacklevel=3)
