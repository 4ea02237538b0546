"""How much slower a chosen way is than the best of an exhaustive search."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import numpy as np
import torch
from workloads import Workload

import landscape as ls
from landscape.objective.strategies.choice import CHUNKED, SHARED, Choice

_LEAST = 0.1  # seconds of one timing at least, and two points: one alone is measured the plain way


def regret(work: Workload, chosen: Choice, *, rounds: int = 5) -> tuple[float, str]:
    """Time of a choice over that of the best of an exhaustive search, and what the best was."""
    objective = ls.Objective(work.model, work.loss, work.data)
    plane = ls.random_plane(objective.parameters(), objective.layout, seed=1)
    restriction = objective.restrict(plane.origin, plane.directions)
    points = np.random.default_rng(1).uniform(-1, 1, size=(64, 2))

    def seconds(way: Choice) -> float:
        objective.choice = way
        count = max(2, way.chunk, min(len(points), int(_LEAST / chosen.seconds)))
        begin = time.perf_counter()
        restriction(points[:count])
        return (time.perf_counter() - begin) / count

    ways = {_told(chosen): chosen}
    for way in exhaustive(len(work.data[0])):
        ways.setdefault(_told(way), way)
    times: dict[str, float] = {}
    for key, way in ways.items():
        try:
            times[key] = min(seconds(way) for _ in range(2))
        except (RuntimeError, TypeError, ValueError):
            continue
    best = sorted((key for key in times if key != _told(chosen)), key=times.__getitem__)[:4]
    again = {key: [] for key in (_told(chosen), *best)}
    for _ in range(rounds):
        for key, found in again.items():
            found.append(seconds(ways[key]))
    medians = {
        key: statistics.median(t / c for t, c in zip(found, again[_told(chosen)], strict=True))
        for key, found in again.items()
    }
    first = min(medians, key=medians.__getitem__)
    return 1 / medians[first], first


def exhaustive(samples: int) -> Iterator[Choice]:
    """Every strategy that needs no compiler, with many sizes."""
    sizes = [s for s in (8, 16, 32, 64, 128, 256, 512, 1024) if s < samples] + [samples]
    cores = torch.get_num_threads()
    for name in ("sequential", "channels last", "folded", "linear", "onednn"):
        for size in sizes:
            for chunk in (4, 16, 32, 64) if name in CHUNKED else (1,):
                for threads in {1, cores} if name in SHARED else {1}:
                    yield Choice(name, size, chunk, threads)


def _told(way: Choice) -> str:
    return ", ".join(map(str, (way.strategy, way.batch_size, way.chunk, way.threads)))
