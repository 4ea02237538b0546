"""Recorder: one line around any training loop that uses a torch optimizer."""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from landscape.base.files import expanded
from landscape.base.layout import Layout
from landscape.base.log import LOG
from landscape.base.runs.tables import check_scalar_name, refuse_existing, refuse_written
from landscape.base.runs.writer import ROW_TYPES, RowType, TrajectoryWriter
from landscape.base.shown import short
from landscape.base.trackers import tracker_of
from landscape.recording.beside import tensors_beside
from landscape.recording.contents import Contents
from landscape.recording.listener import Listener
from landscape.recording.marks import Marks
from landscape.recording.measure import Measure
from landscape.recording.numbers.hyperparameters import options_of
from landscape.recording.numbers.number import one_number
from landscape.recording.numbers.sketch import Sketch
from landscape.recording.resume import Resumable
from landscape.recording.second_moment import SecondMoments
from landscape.recording.selection import Selection, selected_layout
from landscape.recording.size import Size
from landscape.recording.slots import Slots
from landscape.recording.snapshot import Evaluation, Snapshot
from landscape.recording.steps import all_of
from landscape.recording.stream import Stream
from landscape.recording.tracking import Tracking
from landscape.recording.watch import Watch

_OPEN: weakref.WeakSet[Recorder] = weakref.WeakSet()
_LARGE = 2**25  # bytes of parameters from which on no copy is made that can be done without
_WIDTH = {"float64": torch.float64, "float32": torch.float32, "float16-delta": torch.float32}


class Recorder:
    """Record every step of a training loop to a trajectory file, without disturbing it.

    The recorder listens to the optimizers' steps, so gradient accumulation, schedulers, closures
    and steps skipped by a gradient scaler count as they should. A state is recorded whenever one of
    them has made a step: of two that step in turn, or one after the other, each makes its own, and
    ``optimizer`` in the row of numbers says which (0, 1, …). Torch optimizers that were not given
    are heard as well when they step a recorded parameter; so one may be made later. Of wrappers,
    whose step contains others, the outermost counts.

    When the recorder closes, its last state is the model, bit for bit: what has moved the model
    after the last step (weights assigned, averaged, loaded) is stored as one more state, whose row
    has ``outside`` = 1, and a `MovedUnseen` warning says so. Layers that are replaced by others of
    the same shape are recorded on; for what cannot be recorded (layers added or unfrozen midway,
    moving averages of untrained copies) such a warning says which.

    It only reads: the run is bitwise the same with and without it. Two threads measure and write,
    with bounded memory. They gather steps for about a second, then measure, write and acknowledge
    (`committed`) them. While they work the training goes on: small models that step faster than
    they are measured are some hundred steps ahead, up to about a thousand, and wait then. A killed
    process loses the step under way and what was not acknowledged yet; a loss of power may take
    more, since writing back is left to the operating system (no fsync). If the disk fails, training
    goes on and one `RecordingStopped` warning says what was kept. The file can be read meanwhile.

    Stored: parameters and floating-point buffers (no complex ones) of every n-th step, the first
    and the last, in the precision of the model; and of every step the logged numbers, learning
    rate and momentum of each parameter group (``lr``, ``lr.1``, …), and, as the whole vector and
    for each tensor, norm of update and gradient, cosine with the previous update and gradient,
    distance from the start. Gradients are those present when `optimizer.step()` begins, or after
    its closure's first call; in a wrapper, when the step inside it begins.

    Args:
        path: The trajectory file to create.
        model: The model; its trainable parameters and floating-point buffers are recorded.
        optimizer: The optimizer whose steps count, or a list of several. Wrappers, and what only
            has a `step`, are heard as well.
        every: Record the state after every n-th step, and the first and the last one always;
            None records only these two. Numbers are recorded at every step.
        parameters: ``all``, a regular expression, names, or ``function(name, parameter)``.
        beside: Tensors by name that are recorded beside the parameters: what the optimizer steps
            and the model does not hold (coefficients, weights of a loss), moving averages, layers
            that will be unfrozen. Tensors of the optimizer that are neither here nor in the model
            are recorded as ``beside.0``, …, with a warning.
        inner: Record where a closure is called again within a step, too, wherever the parameters
            have moved in between (L-BFGS's iterations with their line search, the ascent of SAM):
            each such call is a step of its own, with the loss and gradient of the call before;
            ``inside`` in its row is 1.
        dtype: The precision of the rows: None takes that of the model, float64 where one of its
            parameters has it, else ``float32`` (which holds half precision exactly);
            ``float16-delta`` halves the size, see `TrajectoryWriter`.
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
        optimizer_state: Store with each state the optimizer's running mean of squared gradients
            (Adam and its kin, RMSprop), and how many updates it has seen, so that
            `landscape.curvature_path` can compare the preconditioned sharpness with the threshold;
            as large as the parameters.
        random_state: Store the global random generators with each state.
        frozen: Store the parameters that are not trained, once, so that the file alone is enough
            to evaluate a state.
        steps: How many steps are to come; the expected size is then printed, and refused when
            the disk cannot hold it.
        resume: Go on with an existing file after a restart: True finds the recorded state that
            the model is in, a number names the step it is at. Later states are dropped; stored
            random generators are restored (with `random_state`). A new file is made when there is
            none.
        seed: Seed of the sketch.
        log_to: An experiment tracker that is told the numbers while the run trains, up to ten
            steps a second: ``wandb``, a `SummaryWriter`, …, see `landscape.log_to`. Neither the
            training nor the recording waits for it; if it fails, one `NotTracked` warning says so.
        run: How the run is made, for example ``{"task": ..., "optimizer": "adam"}``;
            JSON-serialisable. The optimizer's class name and options are filled in when missing.
        overwrite: Replace an existing file.

    Raises:
        FileExistsError: If the file exists and neither `overwrite` nor `resume` is given, or
            another recorder has it open.
        OSError: If the file cannot be created or the disk cannot hold it.
        ValueError: If the settings do not fit the model or, with `resume`, the file.

    Example::

        with ls.Recorder("data/adam.h5", model, optimizer) as recorder:
            for x, y in loader:
                loss = step(x, y)
                recorder.log(loss=loss)

    >>> import torch
    >>> import landscape as ls
    >>> model = torch.nn.Linear(2, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with ls.Recorder("run.h5", model, optimizer) as recorder:
    ...     for _ in range(3):
    ...         loss = model(torch.ones(4, 2)).square().mean()
    ...         optimizer.zero_grad()
    ...         loss.backward()
    ...         optimizer.step()
    ...         recorder.log(loss=loss)
    >>> run = ls.Trajectory("run.h5")
    >>> len(run), run.initial.shape
    (4, (3,))
    """

    path: Path

    def __init__(
        self,
        path: str | os.PathLike[str],
        model: nn.Module,
        optimizer: torch.optim.Optimizer | Sequence[Any] | Any,
        *,
        every: int | None = 1,
        parameters: Selection = "all",
        beside: Mapping[str, Tensor] | None = None,
        inner: bool = False,
        dtype: RowType | None = None,
        motion: bool = True,
        sketch: int | None = None,
        gradient_histogram: bool = False,
        evaluation: Evaluation | None = None,
        optimizer_state: bool = False,
        random_state: bool = False,
        frozen: bool = True,
        steps: int | None = None,
        resume: bool | int = False,
        seed: int = 0,
        log_to: Any = None,
        run: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        if every is not None and every < 1:
            raise ValueError(f"every must be at least 1, or None; got {every}.")
        if gradient_histogram and not motion:
            raise ValueError("gradient_histogram needs motion=True, which reads the gradients.")
        if dtype is not None and dtype not in ROW_TYPES:
            raise ValueError(f"dtype must be one of {', '.join(ROW_TYPES)}; not {dtype!r}.")
        self.path, self._overwrite, self._resume = expanded(path), overwrite, resume
        if not overwrite and resume is False:
            refuse_existing(self.path)
        elif overwrite:
            refuse_written(self.path)
        self._layout = selected_layout(model, parameters)
        self._optimizers = all_of(optimizer)
        self._beside, beside_layout = tensors_beside(model, self._optimizers, beside)
        self._snapshot = Snapshot(
            model,
            self._layout,
            Layout.of_buffers(model),
            evaluation,
            beside=(beside_layout, self._beside),
            moments=SecondMoments(self._optimizers) if optimizer_state else None,
            gradient=motion,
            dtype=None if dtype is None else _WIDTH[dtype],
        )
        self._contents = Contents(
            self._snapshot,
            Layout.of_frozen(model) if frozen else Layout(()),
            dtype,
            motion,
            random_state,
            Sketch.checked(sketch, seed),
            gradient_histogram,
        )
        self._model, self._every, self._inner = model, every, inner
        self._tracker = log_to
        if log_to is not None:
            tracker_of(log_to)
        called = " + ".join(type(o).__name__ for o in self._optimizers)
        options = {"options": options_of(self._optimizers[0])} if len(self._optimizers) == 1 else {}
        self._run = {"optimizer": called, "every": every, **options, **(run or {})}
        self.size: Size = self._contents.size(every=every, steps=steps)
        self._listener: Listener | None = None
        self._early: dict[str, float | Tensor] = {}  # logged before the start
        self._process = os.getpid()

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

    def __repr__(self) -> str:
        open_ = self._listener is not None and not self._listener.closed
        model = f"{type(self._model).__name__} of {self._layout.size:,} parameters"
        return short("Recorder", self.path, model, "recording" if open_ else "not recording")

    def flush(self) -> None:
        """Wait until every step so far is committed; call it beside saving a checkpoint."""
        if self._listener is not None:
            self._listener.flush()

    def start(self) -> Self:
        """Open the file, record the present state and begin to listen; `with` does it for you."""
        if self._listener is not None and not self._listener.closed:
            return self
        first = self._snapshot.initial()
        theta = first.vector
        self.size.check(self.path)
        if self.size.total is not None:
            LOG.info("recording to %s: %s", self.path, self.size)
        resumed = self._resumable(theta)
        step, initial, update = 0, theta, None
        if resumed is not None:
            step, update = resumed.step, resumed.update
            initial = torch.from_numpy(resumed.initial).to(theta)
        copied = self._contents.motion or self._every is not None or theta.is_cuda
        copied = copied or theta.nbytes < _LARGE
        measure = Measure(
            self._layout,
            initial,
            theta,
            update,
            motion=self._contents.motion,
            sketch=self._contents.sketch,
            gradient_histogram=self._contents.gradient_histogram,
            copied=copied,
        )
        fewest = 3 if self._inner else 2  # one is compared with, another filled; see Slots
        slots = Slots(self._snapshot.staged, pinned=theta.is_cuda, fewest=fewest)
        listener = Listener(
            self._optimizers,
            self._snapshot,
            Watch(self._model, self._layout, self._beside, self._snapshot),
            measure,
            slots,
            every=self._every,
            copied=copied,
            motion=self._contents.motion,
            inner=self._inner,
            random_state=self._contents.random_state,
            step=step,
            last=first if copied else Marks(self._snapshot.parameters),
            early=self._early,
        )
        del first, theta, initial  # of what is not copied, nothing is kept
        if resumed is None:
            listener.take_first()
        else:
            listener.take_up(resumed.stored, buffers=resumed.buffers, beside=resumed.beside)
        listener.listen()
        try:  # the file is touched last, when nothing else can fail
            writer = self._opened(resumed)
        except BaseException:
            listener.stop_listening()
            raise
        tracking = None if self._tracker is None else Tracking(self._tracker)
        last = -1 if resumed is None else step
        listener.begin(Stream(writer, slots, measure, step=last, tracking=tracking))
        self._listener = listener
        _OPEN.add(self)
        atexit.register(self.close, complete=False)  # threads must end before the interpreter
        return self

    def _resumable(self, theta: Tensor) -> Resumable | None:
        """Where the file that is there goes on, if that was asked for."""
        if self._resume is False or not self.path.exists():
            return None
        at = None if self._resume is True else int(self._resume)
        return self._contents.resumable(self.path, theta.cpu().numpy(), at)

    def _opened(self, resumed: Resumable | None) -> TrajectoryWriter:
        if resumed is not None:
            return resumed.open()
        overwrite = self._overwrite or self._resume is not False
        return self._contents.create(self.path, run=self._run, overwrite=overwrite)

    def close(self, *, complete: bool = True) -> None:
        """Record the last state, write what is left and stop listening.

        A recorder that is still open when the interpreter exits is closed as not complete.

        Args:
            complete: Whether the run came to its end; readers are told.
        """
        if self._listener is not None and self._process == os.getpid():  # not in a forked child
            self._listener.close(complete=complete)
            _OPEN.discard(self)
            atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.close(complete=kind is None)


def recorder_of(model: nn.Module) -> Recorder | None:
    """A recorder that records this model, or another one with some of its parameters, now."""
    mine = set(map(id, model.parameters()))
    for recorder in list(_OPEN):
        if mine & set(map(id, recorder._model.parameters())):
            return recorder
    return None
