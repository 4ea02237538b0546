"""Recorder: one line around any training loop that uses a torch optimizer."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from landscape.layout import Layout
from landscape.recording.gradients import Gradients
from landscape.recording.hyperparameters import hyperparameters
from landscape.recording.motion import NAMES, Motion, Numbers
from landscape.recording.random_state import random_state
from landscape.recording.resume import resumed
from landscape.recording.selection import Selection, selected_layout
from landscape.recording.size import Size
from landscape.recording.sketch import Sketch
from landscape.recording.snapshot import Evaluation, Flat, Snapshot
from landscape.recording.stream import RecordingStopped, Step, Stream
from landscape.recording.writer import RowType, TrajectoryWriter, check_scalar_name, refuse_existing
from landscape.trajectory import NoStateError


class Recorder:
    """Record every step of a training loop to a trajectory file, without disturbing it.

    The recorder listens to the optimizer's step, so gradient accumulation, schedulers, closures
    and steps skipped by a gradient scaler count as they should. It only reads: the run is bitwise
    the same with and without it. A thread writes, with bounded memory; a killed process loses
    the step under way and at most the last twentieth of a second. If the disk fails, training
    goes on and one `RecordingStopped` warning says what was kept.

    Stored: parameters and floating-point buffers of every n-th step, the first and the last; and
    of every step the logged numbers, learning rate and momentum of each parameter group (``lr``,
    ``lr.1``, …), and, as the whole vector and for each tensor, norm of update and gradient, cosine
    with the previous update and gradient, distance from the start. Gradients are those present
    when `optimizer.step()` begins, or after its closure's first call.

    Args:
        path: The trajectory file to create.
        model: The model; its trainable parameters and floating-point buffers are recorded.
        optimizer: The optimizer whose steps count.
        every: Record the state after every n-th step, and the first and the last one always;
            None records only these two. Numbers are recorded at every step.
        parameters: ``all``, a regular expression, names, or ``function(name, parameter)``.
        dtype: ``float32``, or ``float16-delta`` for half the size, see `TrajectoryWriter`.
        motion: Whether to measure norms, cosines and distances; takes memory for about eight
            vectors of the size of the parameters.
        sketch: Keep a random projection of every step to this many numbers, from which
            distances and angles between any two steps follow, see `recording.sketch`.
        evaluation: The parameters that are evaluated where they differ from the stepped ones: a
            module with parameters of the same names (`AveragedModel`), or a function without
            arguments that returns tensors by name, by parameter, or in the order of the recorded
            parameters. Asked right before the next step; recorded beside each state.
        random_state: Store the global random generators with each state.
        steps: How many steps are to come; the expected size is then printed, and refused when
            the disk cannot hold it.
        resume: Go on with an existing file after a restart: True finds the recorded state that
            the model is in, a number names the step it is at. Later states are dropped; stored
            random generators are restored. A new file is made when there is none.
        seed: Seed of the sketch.
        run: How the run is made, for example ``{"task": ..., "optimizer": "adam"}``;
            JSON-serialisable. The optimizer's class name is filled in when missing.
        overwrite: Replace an existing file.

    Attributes:
        step: Number of optimizer steps so far.

    Raises:
        FileExistsError: If the file exists and neither `overwrite` nor `resume` is given.
        OSError: If the file cannot be created or the disk cannot hold it.
        ValueError: If the settings do not fit the model or, with `resume`, the file.

    Example::

        with ls.Recorder("data/adam.h5", model, optimizer) as recorder:
            for x, y in loader:
                loss = step(x, y)
                recorder.log(loss=loss)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        every: int | None = 1,
        parameters: Selection = "all",
        dtype: RowType = "float32",
        motion: bool = True,
        sketch: int | None = None,
        evaluation: Evaluation | None = None,
        random_state: bool = False,
        steps: int | None = None,
        resume: bool | int = False,
        seed: int = 0,
        run: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        if every is not None and every < 1:
            raise ValueError(f"every must be at least 1, or None; got {every}.")
        self.path, self._overwrite, self._resume = Path(path), overwrite, resume
        if not overwrite and resume is False:
            refuse_existing(self.path)
        self._layout = layout = selected_layout(model, parameters)
        stepped = {id(p) for group in optimizer.param_groups for p in group["params"]}
        if not stepped & {id(p) for p in model.parameters()}:
            raise ValueError(
                "The optimizer steps none of the model's parameters; pass the model whose "
                "parameters the optimizer was made with."
            )
        self._buffers_layout = Layout.of_buffers(model)
        self._snapshot = Snapshot(model, layout, self._buffers_layout, evaluation)
        device = self._snapshot.device
        self._gradient = Flat(layout, device) if motion else None
        self._gradients = Gradients(self._snapshot.parameters, self._gradient)
        self._motion: Motion | None = None
        self._sketch = (sketch, seed) if sketch else None
        self._projection = Sketch(layout.size, sketch, seed=seed, device=device) if sketch else None
        self._initial = torch.empty(0)
        self._optimizer, self._every = optimizer, every
        self._dtype: RowType = dtype
        self._has_evaluation, self._random_state = evaluation is not None, random_state
        self._run = {"optimizer": type(optimizer).__name__, "every": every, **(run or {})}
        values, saved = sum(self._snapshot.sizes.values()), layout.size * (dtype != "float32")
        numbers = 8 * (12 + 5 * len(layout) * motion) + 4 * (sketch or 0)
        self.size = Size(4 * values - 2 * saved, numbers, every=every, steps=steps)
        self._stream: Stream | None = None
        self._hooks: list[Any] = []
        self._pending: Step | None = None
        self._early: dict[str, float | Tensor] = {}
        self._warned = False
        self.step = 0

    @property
    def committed(self) -> int:
        """Number of the last step that is safe on disk; -1 before the first."""
        return -1 if self._stream is None else self._stream.committed

    def log(self, **scalars: float | Tensor) -> None:
        """Attach numbers to the last optimizer step, for example ``log(loss=loss)``.

        A loss computed before `optimizer.step()` is the loss before that update. Call it after
        the step; what is logged before the first step counts for that one.
        """
        target = self._early if self._pending is None else self._pending.scalars
        for name, value in scalars.items():
            check_scalar_name(name)
            if isinstance(value, Tensor):
                if value.numel() != 1:
                    raise ValueError(
                        f"log({name}=...) takes one number; got shape {tuple(value.shape)}."
                    )
                # A number on a GPU is fetched later, by the writing thread: no waiting here.
                value = value.detach().clone() if value.is_cuda else value.item()
            target[name] = value

    def flush(self) -> None:
        """Wait until every step so far is on disk; call it beside saving a checkpoint."""
        self._finish_step()
        if self._stream is not None:
            self._stream.flush()
        self._warn()

    def start(self) -> Self:
        """Open the file, record the present state and begin to listen; `with` does it for you."""
        theta = self._snapshot.read_parameters()
        self.size.check(self.path)
        if self.size.total is not None:
            print(f"recording to {self.path}: {self.size}", file=sys.stderr)
        writer, update = self._opened(theta)
        if self._gradient is not None:
            self._motion = Motion(self._layout, self._initial, theta, update)
        self._stream = Stream(
            writer,
            self._snapshot.sizes,
            pinned=self._snapshot.device.type == "cuda",
            numbers=Numbers(None if self._motion is None else self._motion.before()),
            step=self.step if writer.states else -1,
        )
        if not writer.states:
            self._pending = self._staged(Step(0))
            self._finish_step()
        self._hooks = [
            self._optimizer.register_step_pre_hook(self._before_step),
            self._optimizer.register_step_post_hook(self._after_step),
        ]
        return self

    def close(self, *, complete: bool = True) -> None:
        """Record the last state, write what is left and stop listening.

        Args:
            complete: Whether the run came to its end; readers are told.
        """
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        if self._stream is None:
            return
        if self._pending is not None and self._pending.slot is None:
            self._pending = self._staged(self._pending)
        self._finish_step()
        self._stream.close(complete=complete)
        self._warn()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.close(complete=kind is None)

    def _before_step(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> Any:
        self._finish_step()
        return self._gradients.before_step(optimizer, args, kwargs)

    def _after_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        self._warn()
        found_inf = getattr(optimizer, "found_inf", None)
        if isinstance(found_inf, Tensor) and found_inf.item():
            return  # a fused optimizer was called by a gradient scaler and did not step
        theta = self._snapshot.read_parameters()
        step = Step(self.step + 1, {**hyperparameters(optimizer), **self._early})
        self._early = {}
        if self._gradients.loss is not None:
            step.scalars["loss"] = self._gradients.loss
        if self._motion is not None and self._gradient is not None:
            step.sums = self._motion.sums(theta, self._gradient.vector)
        if self._projection is not None:
            step.sketch = self._projection(theta - self._initial)
        if self._every is not None and step.number % self._every == 0:
            step = self._staged(step)
        self._pending, self.step = step, step.number

    def _staged(self, step: Step) -> Step:
        """Copy the present state into a free slot; `_finish_step` adds the evaluation point."""
        if self._stream is not None:
            step.slot = self._stream.slot()
            self._snapshot.fill_state(step.slot)
        if self._random_state:
            step.random_state = self._present_random_state()
        return step

    def _present_random_state(self) -> np.ndarray:
        return random_state(cuda=self._snapshot.device.type == "cuda")

    def _finish_step(self) -> None:
        step = self._pending
        if step is None or self._stream is None:
            return
        if step.slot is not None:
            self._snapshot.fill_evaluation(step.slot)
        if self._snapshot.device.type == "cuda":
            step.ready = torch.cuda.Event()
            step.ready.record()
        self._stream.put(step)
        self._pending = None

    def _opened(self, theta: Tensor) -> tuple[TrajectoryWriter, Tensor | None]:
        """The file to append to and, after a restart, the last update; sets `step`, `_initial`."""
        if self._resume is not False and self.path.exists():
            holds = {
                "dtype": self._dtype,
                "evaluation": self._has_evaluation,
                "random_state": self._random_state,
                "sketch": self._sketch,
            }
            at = None if self._resume is True else int(self._resume)
            live = theta.cpu().numpy()
            with contextlib.suppress(NoStateError):
                found = resumed(
                    self.path, self._layout, self._buffers_layout, live, step=at, holds=holds
                )
                self.step = found.step
                self._initial = torch.from_numpy(found.initial).to(theta)
                update = found.update
                return found.writer, None if update is None else torch.from_numpy(update).to(theta)
        self._initial = theta.clone()
        writer = TrajectoryWriter(
            self.path,
            self._layout,
            buffers_layout=self._buffers_layout,
            run=self._run,
            overwrite=self._overwrite or self._resume is not False,
            dtype=self._dtype,
            layers=NAMES if self._gradient is not None else (),
            evaluation=self._has_evaluation,
            random_state=self._present_random_state().size if self._random_state else 0,
            sketch=self._sketch,
        )
        return writer, None

    def _warn(self) -> None:
        if self._stream is not None and self._stream.failure and not self._warned:
            self._warned = True
            warnings.warn(self._stream.failure, RecordingStopped, stacklevel=2)
