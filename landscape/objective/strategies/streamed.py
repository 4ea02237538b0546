"""Evaluate a model whose weights come and go module by module: nothing is copied.

Points first, every pass makes the weights it reads. Layers first, the passes of several points and
batches meet at every module, so a module's part of the directions is made or read once for all of
them, and its weights once for all batches of a point. Through a head that is made by rows they go
in groups: what it gives is the largest thing that a pass holds.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from landscape.objective.data.held import HeldData
from landscape.objective.data.shortened import shortened
from landscape.objective.free_memory import free_bytes, give_back
from landscape.objective.lending.stream import Stream
from landscape.objective.metrics import sums
from landscape.objective.strategies.turns import Turns
from landscape.objective.strategies.work import (
    Batches,
    Measure,
    UnsuitableError,
    Work,
    remembering,
)
from landscape.objective.vectors.lazy import is_lazy

_PASSES = 64  # that wait for each other
_SHARE = 0.2  # of the model's size, or of what is free, may be held by passes that wait
_DEAR = 5  # times as much where the weights are read from files, for as many points as can be
_HEADS = 0.5  # the same by those that are in a head
_HELD = 2  # what a pass and its thread hold meanwhile, in inputs of its widest module
_TRIM = 2  # passes, after which memory that their threads freed is given back


@contextlib.contextmanager
def streamed(work: Work) -> Iterator[Measure]:
    """The strategy for weights that come and go.

    Raises:
        UnsuitableError: If the model was lent as a whole.
    """
    stream = work.loan.stream
    if stream is None:
        raise UnsuitableError("the weights of this model do not come and go")
    metrics, model = work.metrics, work.loan.model
    give_back()  # what the checks before left behind
    with remembering(work) as forget:

        @torch.no_grad()
        def values(number: int, batch: Any, samples: int) -> Tensor:
            forget()
            work.begin(number)
            found = [sums(name, metric(model, batch), samples) for name, metric in metrics.items()]
            forget()
            return torch.stack(found)

        def measure(coordinates: np.ndarray, batches: Batches) -> Tensor:
            points = [list(map(float, point)) for point in coordinates]
            several = max(1, _PASSES // len(points))  # batches
            kept: list[list[Tensor]] = [[] for _ in points]
            for start in range(0, len(batches), several):
                part = batches[start : start + several]
                work.making.point = ()
                found = _of_passes(work, stream, values, points, part, start)
                work.making.forget()
                work.making.settle()
                for i in range(len(points)):
                    kept[i] += found[i * len(part) : (i + 1) * len(part)]
            sums_of = [[torch.stack(m).sum(0) for m in zip(*each, strict=True)] for each in kept]
            return torch.stack([torch.stack(each) for each in sums_of], dim=1)

        yield measure


def _of_passes(
    work: Work,
    stream: Stream,
    values: Callable[[int, Any, int], Tensor],
    points: list[list[float]],
    batches: Batches,
    first: int,
) -> list[Tensor]:
    """Values of every pass, the batches of a point after each other."""
    passes = [(point, k) for point in points for k in range(len(batches))]
    most, ended = _HEADS * _spare(stream, work), count(1)
    placed: list[Any] = [None]

    def aim(index: int) -> None:
        work.making.point = tuple(passes[index][0])

    def begin(index: int) -> None:
        aim(index)
        if placed[0] != passes[index][0]:
            placed[0] = passes[index][0]
            work.place(placed[0])

    def of_pass(k: int) -> Tensor:
        found = values(first + k, *batches[k])
        if next(ended) % _TRIM == 0:  # passes are threads, of which each has freed something
            give_back()
        return found

    work.making.shared = len(points) > 1
    if _one_after_the_other(work) or len(passes) == 1:
        found = []
        for index, (_, k) in enumerate(passes):
            work.check()
            begin(index)
            found.append(values(first + k, *batches[k]))
        return found
    turns = Turns(
        [partial(of_pass, k) for _, k in passes],
        begin=begin,
        aim=aim,
        leave=stream.leave,
        come_back=stream.come_back,
        check=work.check,
        room=lambda place: max(1, int(most / max(1, getattr(place, "holds", 0)))),
    )
    meet, stream.meet = stream.meet, turns.meet
    try:
        with torch.no_grad():
            return turns.run()
    finally:
        stream.meet = meet


def _one_after_the_other(work: Work) -> str:
    """Why passes cannot take turns; empty when they can."""
    if work.nature.alone:
        return work.nature.alone
    if work.nature.kept or work.nature.assigned:
        return "the loss keeps something of every pass"
    if torch.is_autocast_enabled(work.loan.flat.device.type):
        return "lower precision is a setting of one thread"
    return ""


def points_together(work: Work, data: HeldData) -> int:
    """How many points are measured together: their passes wait at every module."""
    stream = work.loan.stream
    if stream is None or _one_after_the_other(work) or not work.fixed_buffers or stream.nested:
        return 1
    size = min(data.batch_size, data.size)
    each = _waiting(work, stream) * size
    dear = _DEAR if is_lazy(work.family.origin) else 1
    most = dear * _SHARE * _spare(stream, work)
    passes = min(dear * _PASSES, max(1, int(most / max(1, each))))
    return max(1, passes // -(-data.size // size))


def _spare(stream: Stream, work: Work) -> int:
    """The size of the model, or what is free if that is less, in bytes."""
    model = sum(each.own.nbytes for each in stream.parameters.values())
    free = free_bytes(work.loan.flat.device)
    return model if free is None else min(model, free)


@torch.no_grad()
def _waiting(work: Work, stream: Stream) -> float:
    """Bytes per sample that a pass holds while it waits for its turn, roughly.

    They are the inputs of the widest module but a head that is made by rows; see `Turns.room`.
    """
    batch, samples = work.sample[0]
    short, share = shortened(batch) or (batch, 1.0)
    sizes = [0]

    def watch(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        sizes.append(_HELD * sum(t.nbytes for t in given if isinstance(t, Tensor)))

    leaves = [m for m in work.loan.model.modules() if not any(m.children())]
    hooks = [module.register_forward_hook(watch) for module in leaves]
    loss = next(iter(work.metrics.values()))
    try:
        work.rest()
        try:
            loss(work.loan.model, short)
        except Exception:
            if short is batch:
                raise
            share = 1.0
            loss(work.loan.model, batch)
    finally:
        for hook in hooks:
            hook.remove()
    return max(sizes) / share / samples
