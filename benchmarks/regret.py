"""What choosing costs: the chosen way beside the best of an exhaustive search, and beside none.

    OMP_NUM_THREADS=2 python benchmarks/regret.py W1 W2 W3 W4 PINN LSTM ViT
    OMP_NUM_THREADS=2 python benchmarks/regret.py W1 ViT --loaded

*Regret* is the time per point of the chosen way over that of the best of all ways and sizes. The
search that finds the best times each way once or twice; the best few are timed again in turns with
the chosen one, and the very best in turns once more, so that no lucky timing counts. *Whole* is a
measurement from its call to its end, choosing and its checks included, over the same points by the
plain way, whose size of batch nobody chose. *Again* is how long the second measurement of the same
model takes from its call to the first points: with the objective of before, and in a new process.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import torch
from instructions import instructions
from workloads import WORKLOADS, Workload, workload

import landscape as ls
from landscape.objective import measuring
from landscape.objective.restriction import Restriction
from landscape.objective.strategies.choice import CHUNKED, SHARED, STRATEGIES, Choice
from landscape.objective.strategies.reference import Reference

_LEAST = 0.1  # seconds of a timing in turns at least
_SLOW = 1.4  # times the best of a way: sizes beyond are not tried
_WHOLE = 5.5  # seconds that the plain way takes for a whole measurement
_OTHERS = ("compiled", "graphed", "streamed")  # which need a compiler, a GPU or a large model


def restriction_of(work: Workload, **options: object) -> tuple[ls.Objective, Restriction]:
    """A fresh objective, on a plane of the workload."""
    objective = ls.Objective(work.model, work.loss, work.data, **options)
    plane = ls.random_plane(objective.parameters(), objective.layout, seed=1)
    return objective, objective.restrict(plane.origin, plane.directions)


def some(points: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, size=(points, 2))


class Exhaustive:
    """Every way with many sizes, timed on all samples with the model lent once.

    Args:
        restriction: What is measured.
        limit: After so many seconds no further size is tried.
    """

    def __init__(self, restriction: Restriction, limit: float) -> None:
        self.restriction, self.points = restriction, some(64)
        self.limit, self.until = limit, np.inf
        self.data = restriction.tuning.batched(restriction.problem)
        self.timed: list[Choice] = []

    def search(self) -> list[Choice]:
        """The ways in order of their times; those of other numbers are left out.

        Each is timed with one size of batch, and what is near the best with the others.
        """
        usable = self._usable()
        self.until = time.perf_counter() + self.limit
        sizes = [s for s in (8, 16, 32, 64, 128, 256, 512, 1024) if s < self.data.size]
        sizes.append(self.data.size)
        middle = len(sizes) // 2
        for way in usable:
            for chunk in (4, 8, 16, 32, 64) if way.strategy in CHUNKED else (1,):
                self._time(dataclasses.replace(way, chunk=chunk, batch_size=sizes[middle]))
        for way in self._sorted():
            if way.seconds < _SLOW * self._sorted()[0].seconds:
                self._outwards(way, sizes[middle + 1 :])
                self._outwards(way, sizes[:middle][::-1])
        return self._sorted()

    def _sorted(self) -> list[Choice]:
        return sorted(self.timed, key=lambda way: way.seconds)

    def _outwards(self, way: Choice, sizes: list[int]) -> None:
        """Other sizes of batch, until they are hopelessly slow."""
        best = way.seconds
        for size in sizes:
            seconds = self._time(dataclasses.replace(way, batch_size=size))
            best = min(best, seconds)
            if seconds > _SLOW * best:
                return

    def _time(self, way: Choice) -> float:
        """Time per point; infinite where it cannot be used, or would take too long to find out."""
        best = min((w.seconds for w in self.timed), default=0.0)
        if time.perf_counter() > self.until or way.chunk * best > self.limit / 10:
            return np.inf
        try:
            seconds = self.seconds(way, least=0.0)
        except (MemoryError, RuntimeError, TypeError, ValueError):
            return np.inf
        self.timed.append(dataclasses.replace(way, seconds=seconds))
        return seconds

    def _usable(self) -> list[Choice]:
        names = [name for name in STRATEGIES if name not in _OTHERS]
        ways = [Choice(name, 1, 2 if name in CHUNKED else 1, 1) for name in names]
        cores = torch.get_num_threads()
        ways += [dataclasses.replace(w, threads=cores) for w in ways if w.strategy in SHARED]
        with self.restriction.lent() as work:
            reference = Reference(work, self.data, self.points[:3], None)
            return [way for way in ways if reference.agrees(way)]

    def seconds(self, way: Choice, *, least: float = _LEAST) -> float:
        """Time per point, warm."""
        with (
            self.restriction.lent() as work,
            STRATEGIES[way.strategy](dataclasses.replace(work, threads=way.threads)) as measure,
        ):
            batches, points = self.data.batches(way.batch_size), self.points[: way.chunk]
            begin = time.perf_counter()
            measure(points, batches if way.chunk > 1 else batches[:2])  # kept, and allocated
            warm = time.perf_counter() - begin
            if way.chunk > 1 and warm > 2 * _LEAST:
                return warm / way.chunk
            passes, begin = 0, time.perf_counter()
            while not passes or time.perf_counter() - begin < least:
                measure(points, batches)[0, 0, 0].item()
                passes += 1
            return (time.perf_counter() - begin) / passes / way.chunk


def regret(work: Workload, chosen: Choice, *, rounds: int = 5, limit: float = 60.0) -> dict:
    """Time of a choice over that of the best of an exhaustive search, and what the best was."""
    chosen = dataclasses.replace(chosen, seconds=0.0, tried={})
    begin = time.perf_counter()
    ways = Exhaustive(restriction_of(work)[1], limit)
    order = [way for way in ways.search() if _told(way) != _told(chosen)]
    first = min(_in_turns(ways, [chosen, *order[:5]], rounds)[1:], key=lambda pair: pair[1])[0]
    ratio = _in_turns(ways, [chosen, first], 2 * rounds - 1)[1][1]
    return {
        "regret": 1 / ratio,
        "best": _told(first),
        "ways": len(ways.timed),
        "seconds": time.perf_counter() - begin,
    }


def _in_turns(ways: Exhaustive, few: list[Choice], rounds: int) -> list[tuple[Choice, float]]:
    """Median of each way's ratios to the first."""
    times = [[ways.seconds(way) for way in few] for _ in range(rounds)]
    return [(way, statistics.median(row[k] / row[0] for row in times)) for k, way in enumerate(few)]


def whole(work: Workload, rounds: int = 2) -> dict:
    """Measurements from their call to their end, over the same points by the plain way alone."""

    def seconds(points: np.ndarray, *, plain: bool) -> float:
        objective, restriction = restriction_of(work)
        if plain:
            objective.tuning.use(objective.tuning.plain)
        begin = time.perf_counter()
        restriction(points)
        return time.perf_counter() - begin

    few = [seconds(some(count), plain=True) for count in (2, 2, 4)]
    count = max(4, round(2 * _WHOLE / max(few[2] - few[1], few[2] / 4)))
    points = some(count)
    ratios = []
    for index in range(rounds):
        order = (True, False) if index % 2 else (False, True)
        times = {plain: seconds(points, plain=plain) for plain in order}
        ratios.append(times[False] / times[True])
    return {"whole": statistics.median(ratios), "ratios": ratios, "points": count}


def again(name: str) -> list[float]:
    """Seconds from a call to the first points: once more, and in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        told = {**os.environ, "LANDSCAPE_REMEMBER": "1", "XDG_CACHE_HOME": folder}
        command = [sys.executable, __file__, name, "--start"]
        said = [subprocess.check_output(command, env=told, text=True) for _ in range(2)]
    return [float(seconds) for seconds in said[1].split()[-2:]]


def start(name: str) -> list[float]:
    """Seconds from a call to its first points: of a second call, and of the first."""
    work = workload(name)
    restriction = restriction_of(work)[1]
    own, begun = measuring.measure_chunks, []

    def watched(*args: object, **options: object) -> Choice:
        begun.append(time.perf_counter())
        raise KeyboardInterrupt

    def seconds() -> float:
        begun.clear()
        begin = time.perf_counter()
        with contextlib.suppress(KeyboardInterrupt):
            restriction(some(work.resolution**2))
        return begun[0] - begin

    measuring.measure_chunks = watched
    first = seconds()
    second = seconds()
    measuring.measure_chunks = own
    return [second, first]


@contextlib.contextmanager
def busy(loaded: bool) -> Iterator[None]:
    """Inside, another process keeps one core busy."""
    if not loaded:
        yield
        return
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def _told(way: Choice) -> str:
    return ", ".join(map(str, (way.strategy, way.batch_size, way.chunk, way.threads)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("works", nargs="*", default=list(WORKLOADS), help=", ".join(WORKLOADS))
    parser.add_argument(
        "--limit", type=float, default=20.0, help="seconds of the search for the best"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loaded", action="store_true", help="beside a process on one core")
    parser.add_argument("--parts", nargs="*", default=["regret", "whole", "again"])
    parser.add_argument("--start", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.start:
        print(*start(given.works[0]))
        return
    print(instructions())
    for name in given.works:
        work = workload(name)
        work.model.eval()
        with busy(given.loaded):
            print(f"{work.name}: {work.what}", flush=True)
            if "regret" in given.parts:
                os.environ["LANDSCAPE_REMEMBER"] = "0"
                objective, restriction = restriction_of(work)
                begin = time.perf_counter()
                restriction.prepare(some(work.resolution**2))
                choosing = time.perf_counter() - begin
                choice = objective.choice or objective.tuning.plain
                found = regret(work, choice, rounds=given.rounds, limit=given.limit)
                print(
                    f"  chosen {_told(choice)} in {choosing:.2f} s of {len(choice.tried)} ways\n"
                    f"  regret {found['regret']:.3f}: best {found['best']} of {found['ways']} ways "
                    f"in {found['seconds']:.0f} s",
                    flush=True,
                )
            if "whole" in given.parts:
                os.environ["LANDSCAPE_REMEMBER"] = "0"
                found = whole(work)
                told = ", ".join(f"{ratio:.3f}" for ratio in found["ratios"])
                print(
                    f"  whole {found['whole']:.3f} × the plain way for {found['points']} points "
                    f"({told})",
                    flush=True,
                )
            if "again" in given.parts:
                second, new = again(name)
                print(
                    f"  again: begins after {second:.3f} s, in a new process {new:.3f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
