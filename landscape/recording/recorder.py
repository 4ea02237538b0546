"""Recorder: one line around any training loop that uses a torch optimizer."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from landscape.layout import Layout
from landscape.recording.listener import Listener
from landscape.recording.measure import Measure
from landscape.recording.motion import NAMES
from landscape.recording.number import one_number
from landscape.recording.random_state import random_state
from landscape.recording.resume import Resumed, resumed
from landscape.recording.selection import Selection, selected_layout
from landscape.recording.size import Size
from landscape.recording.snapshot import Evaluation, Snapshot
from landscape.recording.stream import Stream
from landscape.recording.tables import check_scalar_name
from landscape.recording.writer import RowType, TrajectoryWriter, refuse_existing
from landscape.trajectory import HISTOGRAM_BINS, NoStateError


class Recorder:
    """Record every step of a training loop to a trajectory file, without disturbing it.

    The recorder listens to the optimizer's step, so gradient accumulation, schedulers, closures
    and steps skipped by a gradient scaler count as they should. It only reads: the run is bitwise
    the same with and without it. Two threads measure and write, with bounded memory. They gather
    steps for about a second, then measure, write and acknowledge (`committed`) them. While they
    work the training goes on: small models that step faster than they are measured are some
    hundred steps ahead, up to about a thousand, and wait then. A killed process loses the step
    under way and what was not acknowledged yet; a loss of power may take more, since writing back
    is left to the operating system (no fsync). If the disk fails, training goes on and one
    `RecordingStopped` warning says what was kept.

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
        motion: Whether to measure norms, cosines and distances; takes memory for two vectors of
            the size of the parameters, and doubles that of the steps on their way to the file.
        sketch: Keep a random projection of every step to this many numbers, from which
            distances and angles between any two steps follow, see `recording.sketch`.
        gradient_histogram: Whether to count, at every step, how many entries of the gradient have
            which size, see `recording.histogram`; needs `motion`.
        evaluation: The parameters that are evaluated where they differ from the stepped ones: a
            module with parameters of the same names (`AveragedModel`), or a function without
            arguments that returns tensors by name, by parameter, or in the order of the recorded
            parameters. Asked right before the next step; recorded beside each state.
        random_state: Store the global random generators with each state.
        frozen: Store the parameters that are not trained, once, so that the file alone is enough
            to evaluate a state.
        steps: How many steps are to come; the expected size is then printed, and refused when
            the disk cannot hold it.
        resume: Go on with an existing file after a restart: True finds the recorded state that
            the model is in, a number names the step it is at. Later states are dropped; stored
            random generators are restored. A new file is made when there is none.
        seed: Seed of the sketch.
        run: How the run is made, for example ``{"task": ..., "optimizer": "adam"}``;
            JSON-serialisable. The optimizer's class name is filled in when missing.
        overwrite: Replace an existing file.

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
        gradient_histogram: bool = False,
        evaluation: Evaluation | None = None,
        random_state: bool = False,
        frozen: bool = True,
        steps: int | None = None,
        resume: bool | int = False,
        seed: int = 0,
        run: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        if every is not None and every < 1:
            raise ValueError(f"every must be at least 1, or None; got {every}.")
        if gradient_histogram and not motion:
            raise ValueError("gradient_histogram needs motion=True, which reads the gradients.")
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
        self._snapshot = Snapshot(model, layout, self._buffers_layout, evaluation, gradient=motion)
        self._motion, self._sketch = motion, (sketch, seed) if sketch else None
        self._histogram = gradient_histogram
        self._optimizer, self._every = optimizer, every
        self._dtype: RowType = dtype
        self._has_evaluation, self._random_state = evaluation is not None, random_state
        self._run = {"optimizer": type(optimizer).__name__, "every": every, **(run or {})}
        values = layout.size * (1 + self._has_evaluation) + self._buffers_layout.size
        saved = layout.size * (dtype != "float32")
        numbers = 8 * (12 + 5 * len(layout) * motion) + 4 * (sketch or 0)
        numbers += 4 * HISTOGRAM_BINS * gradient_histogram
        self._frozen = Layout.of_frozen(model) if frozen else Layout(())
        fixed = 4 * self._frozen.size
        self.size = Size(4 * values - 2 * saved, numbers, every=every, steps=steps, fixed=fixed)
        self._listener: Listener | None = None
        self._early: dict[str, float | Tensor] = {}  # logged before the start

    @property
    def step(self) -> int:
        """Number of optimizer steps so far."""
        return 0 if self._listener is None else self._listener.step

    @property
    def committed(self) -> int:
        """Number of the last step that a kill cannot take any more; -1 before the first."""
        return -1 if self._listener is None else self._listener.stream.committed

    def log(self, **scalars: float | Tensor) -> None:
        """Attach numbers to the last optimizer step, for example ``log(loss=loss)``.

        A loss computed before `optimizer.step()` is the loss before that update. Call it after
        the step; what is logged before the first step counts for that one. When a gradient
        scaler skips a step, what is logged then counts for the step before (with a fused optimizer:
        for the next one); compare `step` to see whether a step was made.

        Raises:
            TypeError: If a value is no real number.
            ValueError: If a tensor holds more or less than one, or a name cannot be stored.
        """
        target = self._early if self._listener is None else self._listener.scalars
        for name, value in scalars.items():
            check_scalar_name(name)
            try:
                target[name] = one_number(value)
            except (TypeError, ValueError) as error:
                raise type(error)(f"log({name}=...) {error}") from None

    def flush(self) -> None:
        """Wait until every step so far is committed; call it beside saving a checkpoint."""
        if self._listener is not None:
            self._listener.flush()

    def start(self) -> Self:
        """Open the file, record the present state and begin to listen; `with` does it for you."""
        theta = self._snapshot.initial()
        self.size.check(self.path)
        if self.size.total is not None:
            print(f"recording to {self.path}: {self.size}", file=sys.stderr)
        opened = self._opened(theta)
        measure = Measure(
            self._layout,
            torch.from_numpy(opened.initial).to(theta),
            theta,
            opened.update,
            motion=self._motion,
            sketch=self._sketch,
            gradient_histogram=self._histogram,
        )
        stream = Stream(
            opened.writer,
            self._snapshot.staged,
            measure,
            pinned=theta.is_cuda,
            step=opened.step if opened.writer.states else -1,
        )
        try:
            self._listener = Listener(
                self._optimizer,
                self._snapshot,
                measure,
                stream,
                every=self._every,
                motion=self._motion,
                random_state=self._random_state,
                step=opened.step,
                early=self._early,
            )
        except BaseException:  # the evaluation's
            stream.close(complete=False)
            raise
        atexit.register(self.close, complete=False)  # threads must end before the interpreter
        return self

    def close(self, *, complete: bool = True) -> None:
        """Record the last state, write what is left and stop listening.

        A recorder that is still open when the interpreter exits is closed as not complete.

        Args:
            complete: Whether the run came to its end; readers are told.
        """
        if self._listener is not None:
            self._listener.close(complete=complete)
            atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.close(complete=kind is None)

    def _opened(self, theta: Tensor) -> Resumed:
        """The file to append to: the one that is there, after a restart, or a new one."""
        live = theta.cpu().numpy()
        if self._resume is not False and self.path.exists():
            holds = {
                "dtype": self._dtype,
                "evaluation": self._has_evaluation,
                "random_state": self._random_state,
                "sketch": self._sketch,
                "gradient_histogram": self._histogram,
            }
            at = None if self._resume is True else int(self._resume)
            with contextlib.suppress(NoStateError):
                return resumed(
                    self.path, self._layout, self._buffers_layout, live, step=at, holds=holds
                )
        state = random_state(cuda=theta.is_cuda) if self._random_state else np.empty(0)
        writer = TrajectoryWriter(
            self.path,
            self._layout,
            buffers_layout=self._buffers_layout,
            frozen=(self._frozen, self._snapshot.values(self._frozen)),
            run=self._run,
            overwrite=self._overwrite or self._resume is not False,
            dtype=self._dtype,
            layers=NAMES if self._motion else (),
            evaluation=self._has_evaluation,
            random_state=state.size,
            sketch=self._sketch,
            gradient_histogram=self._histogram,
        )
        return Resumed(writer, 0, live.copy(), None)
