"""Listener: what happens on the training thread at every optimizer step."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor

from landscape.recording.gradients import Gradients
from landscape.recording.hyperparameters import hyperparameters
from landscape.recording.measure import Measure
from landscape.recording.number import one_number
from landscape.recording.random_state import random_state
from landscape.recording.slots import Slot, Step
from landscape.recording.snapshot import Snapshot
from landscape.recording.stream import RecordingStopped, Stream


class Listener:
    """Copy what is recorded of each optimizer step into a slot and hand it to the stream.

    The last step stays here until the next one begins, so that numbers can be added to it.

    Args:
        optimizer: Whose steps.
        snapshot: What is copied.
        measure: Called at once for what is on a GPU.
        stream: Where the steps go.
        every: Store the state after every n-th step; None stores none.
        motion: Whether gradients are looked at.
        random_state: Whether random generators go with each stored state.
        step: Number of the last step made.
        early: Numbers logged so far; they belong to the first step.

    Attributes:
        step: Number of the last step made.
        stream: Where the steps go.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        snapshot: Snapshot,
        measure: Measure,
        stream: Stream,
        *,
        every: int | None,
        motion: bool,
        random_state: bool,
        step: int,
        early: dict[str, float | Tensor],
    ) -> None:
        self._snapshot, self._measure, self.stream = snapshot, measure, stream
        self._gradients = Gradients(snapshot.parameters)
        self._every, self._motion, self._random_state = every, motion, random_state
        self._on_gpu = snapshot.device.type == "cuda"
        self._slot: Slot | None = None  # of the step under way
        self._pending: Step | None = None
        self._early, self._warned = early, False
        self.step = step
        if stream.committed < 0:
            now = Step(0, self._taken())
            snapshot.read_parameters(now.slot)
            self._pending, self._slot = self._stored(now), None
            self.hand_over()
        self._hooks = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]

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
        if self._on_gpu:
            step.ready = torch.cuda.Event()
            step.ready.record()
        self.stream.put(step)
        self._pending = None

    def flush(self) -> None:
        """Wait until every step so far is on disk."""
        self.hand_over()
        self.stream.flush()
        self._warn()

    def close(self, *, complete: bool) -> None:
        """Stop listening, store the last state, and end the stream.

        If the evaluation parameters cannot be had, the last step is lost and the error raised.
        """
        for hook in self._hooks:
            hook.remove()
        try:
            if self._pending is not None and not self._pending.stored:
                self._pending = self._stored(self._pending)
            self.hand_over()
        except BaseException:
            self._pending, complete = None, False
            raise
        finally:
            self.stream.close(complete=complete)
        self._warn()

    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> Any:
        self.hand_over()
        flat = self._snapshot.flat("gradient", self._taken()) if self._motion else None
        return self._gradients.before_step(optimizer, args, kwargs, flat)

    def _after_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self._warn()
        found_inf = getattr(optimizer, "found_inf", None)
        if isinstance(found_inf, Tensor) and found_inf.item():
            return  # a fused optimizer was called by a gradient scaler and did not step
        scalars = {**hyperparameters(optimizer), **self._early}
        self._early.clear()
        step = Step(self.step + 1, self._taken(), scalars)
        if self._gradients.loss is not None:
            try:
                step.scalars["loss"] = one_number(self._gradients.loss)
            except (TypeError, ValueError):  # which number it stands for is not guessed
                step.scalars["loss"] = math.nan
        theta = self._snapshot.read_parameters(step.slot)
        if self._on_gpu:
            gradient = self._snapshot.flat("gradient", step.slot).vector if self._motion else None
            self._measure.on_device(step, theta, gradient)
        if self._every is not None and step.number % self._every == 0:
            step = self._stored(step)
        self._pending, self.step, self._slot = step, step.number, None

    def _taken(self) -> Slot:
        if self._slot is None:
            self._slot = self.stream.slot()
        return self._slot

    def _stored(self, step: Step) -> Step:
        """Copy the present state into the step's slot; `hand_over` adds the evaluation point."""
        self._snapshot.store(step.slot)
        step.stored = True
        if self._random_state:
            step.random_state = random_state(cuda=self._on_gpu)
        return step

    def _warn(self) -> None:
        if self.stream.failure and not self._warned:
            self._warned = True
            warnings.warn(self.stream.failure, RecordingStopped, stacklevel=3)
