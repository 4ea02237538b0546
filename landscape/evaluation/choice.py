"""Choose how to evaluate by timing the real work.

Every strategy must give the plain strategy's numbers on a few samples before it is timed, so a
choice can change the speed of a measurement, never its result beyond rounding. The search climbs:
plain first, the variants next, then batch sizes and chunks of the best one, while time allows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.evaluation.convolution import channels_last, folded
from landscape.evaluation.data import HeldData
from landscape.evaluation.linear import batched_linear
from landscape.evaluation.sequential import sequential
from landscape.evaluation.stacked import stacked
from landscape.evaluation.work import Strategy, UnsuitableError, Work

STRATEGIES: dict[str, Strategy] = {
    "sequential": sequential,
    "channels last": channels_last,
    "folded": folded,
    "linear": batched_linear,
    "stacked": stacked,
}
CHUNKED = ("linear", "stacked")

_LOOK = 32  # samples on which strategies must agree
_CHUNK = 16  # points that batched strategies start with
_TIMED = 512  # samples on which they are timed
_CALL_BOUND = 3e-3  # seconds per batch below which stacking on a CPU can pay
_TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 0.2}


@dataclass(frozen=True)
class Choice:
    """How points are evaluated.

    Attributes:
        strategy: A name in `STRATEGIES`.
        batch_size: Samples per forward pass; None for batches as given.
        chunk: Points evaluated together.
        seconds: Time per point when it was tried (on a CPU: of computing); NaN when it was not.
        tried: What was timed: "strategy, batch size, chunk" to seconds per point.
    """

    strategy: str
    batch_size: int | None
    chunk: int = 1
    seconds: float = float("nan")
    tried: Mapping[str, float] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """For provenance."""
        return {
            "strategy": self.strategy,
            "batch_size": self.batch_size,
            "chunk": self.chunk,
            "seconds_per_point": self.seconds if np.isfinite(self.seconds) else None,
            "tried": {name: round(seconds, 7) for name, seconds in self.tried.items()},
        }


def choose(
    work: Work,
    data: HeldData,
    coordinates: np.ndarray,
    *,
    strategy: str | None = None,
    batch_size: int | None = None,
) -> Choice:
    """The fastest way to measure these points.

    Args:
        work: The borrowed model and its points.
        data: The samples.
        coordinates: The points to come, shape (points, K); a few serve to try.
        strategy: Use this one and search only for its sizes; None tries all.
        batch_size: Use this one; None searches.

    Returns:
        The choice with everything that was timed.

    Raises:
        ValueError: If the strategy is unknown, or asked for and unsuitable.
    """
    if strategy is not None and strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}; not {strategy!r}.")
    trials = _Trials(work, data, coordinates)
    start = batch_size or data.batch_size
    if strategy is None:
        trials.run("sequential", start, 1)
        limit = trials.clock() + max(0.3, 0.05 * trials.best.seconds * len(coordinates))
        per_batch = trials.best.seconds * min(start, data.size) / data.size
        for name in STRATEGIES:
            slow = name == "stacked" and per_batch > _CALL_BOUND and not work.loan.flat.is_cuda
            if name != "sequential" and not slow and trials.clock() < limit:
                trials.run(name, start, _CHUNK if name in CHUNKED else 1)
    else:
        if problem := trials.run(strategy, start, _CHUNK if strategy in CHUNKED else 1):
            raise ValueError(f"strategy {strategy!r} cannot be used here: {problem}.")
        limit = trials.clock() + max(0.3, 0.05 * trials.best.seconds * len(coordinates))
    if batch_size is None and data.joined:
        trials.climb(_batch_sizes(start, data.size), limit)
    if trials.best.strategy in CHUNKED:
        trials.climb_chunks(limit)
    return trials.best


def plain_seconds(work: Work, data: HeldData, coordinates: np.ndarray) -> float:
    """What a point costs the plain strategy, from one pass over some of the samples."""
    batches = data.batches(most=_TIMED)
    samples = sum(count for _, count in batches)
    clock = _clock(work)
    with sequential(work) as measure:
        measure(coordinates[:1], batches[:1])
        begin = clock()
        measure(coordinates[:1], batches)[0, 0, 0].item()
        return (clock() - begin) * data.size / samples


def _clock(work: Work) -> Callable[[], float]:
    """On a CPU the time that this thread computes: a busy machine then misleads less."""
    return time.perf_counter if work.loan.flat.is_cuda else time.thread_time


def agree(a: Tensor, b: Tensor, dtype: torch.dtype) -> bool:
    """Whether two sets of totals have the same means, up to the rounding of `dtype`."""
    first, second = a[..., 0] / a[..., 2], b[..., 0] / b[..., 2]
    scale = first.abs().nan_to_num(0, 0, 0).amax(dim=-1, keepdim=True)
    return torch.allclose(
        first / scale, second / scale, rtol=_TOLERANCE[dtype], atol=_TOLERANCE[dtype] * 1e-2,
        equal_nan=True,
    )  # fmt: skip


def _batch_sizes(start: int, most: int) -> tuple[list[int], list[int]]:
    """Sizes below and above a start, in order of distance."""
    lower = [start >> k for k in (1, 2, 3, 4, 5) if start >> k >= 8 and start >> k < most]
    upper = [start << k for k in (1, 2, 3, 4) if start << k < most]
    return lower, [*upper, most] if start < most else upper


class _Trials:
    def __init__(self, work: Work, data: HeldData, coordinates: np.ndarray) -> None:
        self.work, self.data, self.coordinates = work, data, coordinates
        self.look = data.batches(_LOOK, most=_LOOK)
        self.tried: dict[str, float] = {}
        self.best = Choice("sequential", None)
        self.clock = _clock(work)
        with sequential(work) as measure:
            self._wanted = measure(self._points(8), self.look)

    def _points(self, count: int) -> np.ndarray:
        """Some of the points, spread over all."""
        among = np.linspace(0, len(self.coordinates) - 1, min(8, len(self.coordinates)))
        return self.coordinates[np.resize(among.round().astype(int), count)]

    def run(self, name: str, batch_size: int, chunk: int) -> str:
        """Time one candidate; says why when it cannot be used."""
        batches = self.data.batches(batch_size, most=_TIMED)
        samples = sum(count for _, count in batches)
        points = self._points(chunk)
        best = np.inf
        try:
            with STRATEGIES[name](self.work) as measure:
                found = measure(self._points(8), self.look)
                if not agree(found, self._wanted, self.work.rounding):
                    return "its numbers differ from the plain strategy's"
                spent = 0.0
                for _ in range(4):
                    begin = self.clock()
                    measure(points, batches)[0, 0, 0].item()  # waits for the device
                    seconds = self.clock() - begin
                    best, spent = min(best, seconds), spent + seconds
                    hopeless = best / samples * self.data.size / chunk > 1.3 * self.best.seconds
                    if spent > 0.2 or hopeless:
                        break
        except UnsuitableError as error:
            return str(error)
        except torch.OutOfMemoryError:
            return "out of memory"
        per_point = best / samples * self.data.size / chunk
        size = batch_size if self.data.joined else None
        self.tried[f"{name}, {size}, {chunk}"] = per_point
        if not self.best.seconds <= per_point:
            self.best = Choice(name, size, chunk, per_point)
        self.best = Choice(
            self.best.strategy, self.best.batch_size, self.best.chunk, self.best.seconds, self.tried
        )
        return ""

    def climb(self, directions: tuple[list[int], list[int]], limit: float) -> None:
        """Try batch sizes outwards from the present one while they help."""
        for sizes in directions:
            moved = False
            for size in sizes:
                before = self.best
                if self.clock() > limit:
                    return
                self.run(before.strategy, size, before.chunk)
                if self.best.batch_size == before.batch_size:
                    break
                moved = True
            if moved:
                return

    def climb_chunks(self, limit: float) -> None:
        """Try other numbers of points at once."""
        for chunk in _around(self.best.chunk):
            if self.clock() > limit or chunk > len(self.coordinates):
                return
            assert self.best.batch_size is not None
            self.run(self.best.strategy, self.best.batch_size, chunk)


def _around(chunk: int) -> Iterator[int]:
    yield from (2 * chunk, chunk // 2, chunk // 4)
