"""Work: a borrowed model, its metrics and data, and the affine family of points to measure.

A *strategy* is a context manager over a piece of work: it prepares the borrowed model, yields a
function (coordinates, batches) -> sums, and puts the model back as it found it. What it yields is
all that differs between strategies; none changes a result beyond rounding.
"""

from __future__ import annotations

import contextlib
import threading
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape.objective.data.structure import copied, identical
from landscape.objective.family import Family
from landscape.objective.inspection.nature import Nature
from landscape.objective.lending.loan import Loan
from landscape.objective.metrics import Metric
from landscape.objective.policies.batchnorm import recalibrate
from landscape.objective.vectors.making import Making

Batches = Sequence[tuple[Any, int]]
Measure = Callable[[np.ndarray, Batches], Tensor]
Strategy = Callable[["Work"], AbstractContextManager[Measure]]


class UnsuitableError(ValueError):
    """A strategy cannot do this work; the message says why."""


@dataclass
class Work:
    """What a strategy is given.

    Attributes:
        loan: The borrowed model.
        metrics: Name to metric.
        family: The points.
        own_buffers: The model's own floating-point buffers, shape (B,).
        sample: A batch of a few samples, to look at the model with.
        check: Called between batches; raises to stop.
        rounding: The type in which most of the model is computed.
        recalibration: Batches on which batch norms are estimated anew at every point, or None.
        programs: What was compiled for this model; see `landscape.objective.strategies.compiled`.
        threads: How many threads share the batches of a point; see `threads` beside this file.
        nature: What a look at the metrics found.
        begin: Told the number of every batch before it is measured.
        making: Makes parameters where they come and go.
    """

    loan: Loan
    metrics: Mapping[str, Metric]
    family: Family
    own_buffers: Tensor
    sample: Batches
    check: Callable[[], None]
    rounding: torch.dtype = torch.float32
    recalibration: list[Any] | None = None
    threads: int = 1
    programs: dict[Any, Any] = field(default_factory=dict)
    nature: Nature = field(default_factory=Nature)
    begin: Callable[[int], None] = lambda batch: None
    making: Making = field(default=None)  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        self.making = self.making or Making(self.loan, self.family)

    @property
    def origin(self) -> Tensor:
        """Parameters at coordinates zero, shape (P,)."""
        return self.family.origin

    @property
    def directions(self) -> Tensor:
        """How the parameters move with the coordinates, shape (K, P)."""
        return self.family.directions

    @property
    def fixed_buffers(self) -> bool:
        """Whether all points have the same buffers."""
        return self.family.buffer_directions is None and self.recalibration is None

    def place(self, point: Sequence[float]) -> None:
        """Let the model compute at the point with these coordinates."""
        if self.loan.stream is None:
            self.family.place(self.loan.flat, point)
            if self.loan.change is not None:
                self.loan.change(self.loan.flat, 0)
            self.loan.round()
            if self.loan.rounded and self.loan.change is None:
                self.making.count_whole(point)
        else:
            self.making.point = tuple(point)
            self.loan.stream.use(self.making)
        torch.clear_autocast_cache()  # autocast that is on all the while keeps casts of weights
        self.place_buffers(point)

    def rest(self, point: Sequence[float] = ()) -> None:
        """Let the model compute at the origin, or with its own weights where they come and go.

        For looks at the losses, which need no weights in particular: making those of the origin
        may mean to read them from files.
        """
        origin = [0.0] * self.family.coordinates
        if self.loan.stream is None:
            self.place(origin)
            return
        self.making.forget()
        if self.loan.change is None:
            self.loan.stream.use(None)
        torch.clear_autocast_cache()
        self.place_buffers(origin)

    def place_buffers(self, point: Sequence[float]) -> None:
        """Set the buffers that belong to a point, and undo what the model wrote into others."""
        self.family.place_buffers(self.loan.buffers, self.own_buffers, point)
        self.loan.round_buffers()
        self.loan.reset_others()
        if self.recalibration is not None:
            loss = next(iter(self.metrics.values()))
            recalibrate(self.loan.model, loss, self.recalibration, self.begin)


def needs_one_point_at_a_time(work: Work, *, gradients: bool = False) -> None:
    """Refuse what a strategy cannot do that computes with weights of its own.

    Args:
        work: The work.
        gradients: Whether the strategy can differentiate.

    Raises:
        UnsuitableError: If points have to be placed in the model, one by one.
    """
    if work.nature.alone:
        raise UnsuitableError(work.nature.alone)
    if work.nature.differentiates and not gradients:
        raise UnsuitableError("the loss differentiates")
    if work.loan.rounded or work.loan.rounded_buffers:
        raise UnsuitableError("the model's tensors have several or narrower types")


@contextlib.contextmanager
def patched(forwards: Mapping[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """Inside, these modules compute something else; the modules' hooks still run.

    Raises:
        UnsuitableError: If a module computes something else already.
    """
    if any("forward" in module.__dict__ for module in forwards):
        raise UnsuitableError("a layer has a forward of its own")
    try:
        for module, forward in forwards.items():
            module.__dict__["forward"] = forward
        yield
    finally:
        for module in forwards:
            module.__dict__.pop("forward", None)


@contextlib.contextmanager
def remembering(work: Work) -> Iterator[Callable[[], None]]:
    """Inside, several metrics of one batch share one forward pass.

    Each is given a copy of its own, as it may write into what the model gave it.

    Yields:
        A function that forgets the pass; call it before every batch.
    """
    if len(work.metrics) == 1 or not work.nature.plain:
        yield lambda: None
        return
    model, passes = work.loan.model, threading.local()
    own = model.__dict__.get("forward")
    forward = model.forward

    def remembered(*args: Any, **kwargs: Any) -> Any:
        for given, output in getattr(passes, "known", ()):
            if identical(given, (args, kwargs)):
                return copied(output)
        output = forward(*args, **kwargs)
        with contextlib.suppress(RuntimeError, TypeError):  # an object that cannot be copied
            passes.known = [((args, kwargs), copied(output))]
        return output

    def forget() -> None:
        passes.known = []

    model.__dict__["forward"] = _Remembered(model, own, remembered)
    try:
        yield forget
    finally:
        model.__dict__.pop("forward")
        if own is not None:
            model.__dict__["forward"] = own


class _Remembered:
    """A forward that a copy of the model does not take along: it would compute with this model."""

    def __init__(self, model: nn.Module, own: Any, function: Callable[..., Any]) -> None:
        self._model, self._own, self._function = model, own, function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[..., Any]:
        if self._own is not None:
            return self._own
        copied = memo[id(self._model)]
        return types.MethodType(type(copied).forward, copied)
