"""Time one point of a surface against the plain forward pass, and against other packages.

    python benchmarks/evaluator.py W1 W2 W3 W4 --repeats 5

*Raw* is the fastest plain forward pass over the same data: evaluation mode, inference mode, loss,
data in memory, best mini-batch size. Every implementation runs the same number of points in turn,
round after round, and the table gives medians of time per point over raw, so that a machine whose
speed drifts changes no ratio. Peers run as their documentation says, when they are installed
(pip install "landscape[peers]").
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from workloads import WORKLOADS, Workload, workload

import landscape as ls

Run = Callable[[int], None]  # measure this many points


@torch.inference_mode()
def one_pass(work: Workload, batch_size: int, device: str) -> float:
    x, y = work.data
    total = torch.zeros((), dtype=torch.float64, device=device)
    for start in range(0, len(x), batch_size):
        part = slice(start, start + batch_size)
        total += work.loss(work.model, (x[part], y[part])).sum()
    return total.item() / len(x)


def raw_batch_size(work: Workload, device: str) -> int:
    """The mini-batch size of the fastest plain pass."""
    samples = len(work.data[0])
    sizes = [s for s in (8, 16, 32, 64, 128, 256, 512, 1024) if s < samples] + [samples]
    times = {size: [] for size in sizes}
    for _ in range(3):
        for size in sizes:
            begin = time.thread_time() if device == "cpu" else time.perf_counter()
            one_pass(work, size, device)
            end = time.thread_time() if device == "cpu" else time.perf_counter()
            times[size].append(end - begin)
    return min(sizes, key=lambda size: min(times[size]))


def ours(work: Workload, **options: object) -> tuple[Run, ls.Objective, ls.Plane, float]:
    """What measures points, and the seconds that choosing how took."""
    objective = ls.Objective(work.model, work.loss, work.data, **options)
    plane = ls.random_plane(objective.parameters(), objective.layout, seed=1)
    restriction = objective.restrict(plane.origin, plane.directions)
    rng = np.random.default_rng(0)
    grid = rng.uniform(-1, 1, size=(work.resolution**2, 2))
    begin = time.perf_counter()
    restriction.prepare(grid)
    choosing = time.perf_counter() - begin

    def run(points: int) -> None:
        restriction(grid[:points])

    return run, objective, plane, choosing


def loss_landscapes(work: Workload) -> Run:
    import loss_landscapes as package
    from loss_landscapes.metrics import Loss

    def mean(output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return work.loss(lambda _: output, (None, y)).mean()

    metric = Loss(mean, *work.data)

    def run(points: int) -> None:
        package.random_plane(
            work.model, metric, 1, math.isqrt(points), normalization="filter", deepcopy_model=True
        )

    return run


def landscaper(work: Workload) -> Run:
    from landscaper import LossLandscape

    x, y = work.data
    batches = [(x[i : i + 128], y[i : i + 128]) for i in range(0, len(x), 128)]

    def scalar(model: nn.Module, data: list) -> float:
        with torch.no_grad():
            return float(sum(work.loss(model, b).sum().item() for b in data) / len(x))

    directions = [[torch.randn_like(p) for p in work.model.parameters()] for _ in range(2)]

    def run(points: int) -> None:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            LossLandscape.compute(
                work.model,
                batches,
                directions,
                scalar,
                steps=math.isqrt(points),
                distance=1,
                dim=2,
                device="cpu",
            )

    return run


def error_against_double(work: Workload, objective: ls.Objective, plane: ls.Plane) -> float:
    """Largest relative error of nine points against double precision."""
    points = np.random.default_rng(2).uniform(-1, 1, size=(9, 2))
    found = objective.restrict(plane.origin, plane.directions)(points).mean[0]
    exact = ls.Objective(work.model, work.loss, work.data, precision="double", batch_size=64)
    wanted = exact.restrict(plane.origin, plane.directions)(points).mean[0]
    return float(np.abs(found / wanted - 1).max())


def benchmark(
    name: str, *, repeats: int, seconds: float, device: str, peers: bool, cpu_time: bool
) -> dict:
    clock = time.thread_time if cpu_time else time.perf_counter
    work = workload(name)
    work.model.to(device).eval()
    object.__setattr__(work, "data", tuple(t.to(device) for t in work.data))
    size = raw_batch_size(work, device)
    begin = time.perf_counter()
    one_pass(work, size, device)
    per_pass = time.perf_counter() - begin
    least = 3 if peers else 2  # the peers measure squares; one point alone is never batched
    side = min(work.resolution, max(least, math.isqrt(int(seconds / per_pass))))
    points = side * side

    def raw(points: int) -> None:
        for _ in range(points):
            one_pass(work, size, device)

    run, objective, plane, choosing = ours(work)
    plain, _, _, _ = ours(work, strategy="sequential")
    runs: dict[str, Run] = {"raw": raw, "landscape": run, "landscape, sequential": plain}
    for peer in (loss_landscapes, landscaper) if peers else ():
        try:
            made = peer(work)
            made(9)
            runs[peer.__name__.replace("_", "-")] = made
        except Exception as problem:
            print(f"  {peer.__name__}: {type(problem).__name__}: {problem}")
    times: dict[str, list[float]] = {key: [] for key in runs}
    for _ in range(repeats):
        for key, run_points in runs.items():
            begin = clock()
            run_points(points)
            times[key].append((clock() - begin) / points)
    ratios = {
        key: statistics.median(t / r for t, r in zip(found, times["raw"], strict=True))
        for key, found in times.items()
    }
    total = work.resolution**2
    with_choice = ratios["landscape"] + choosing / (total * statistics.median(times["raw"]))
    assert objective.choice is not None
    return {
        "work": f"{work.name}: {work.what}, {work.resolution}×{work.resolution}",
        "raw_seconds": statistics.median(times["raw"]),
        "raw_batch": size,
        "ratios": ratios,
        "ratio_with_choosing": with_choice,
        "error": error_against_double(work, objective, plane),
        "choice": objective.choice.describe(),
        "points_per_round": points,
        "repeats": repeats,
        "threads": torch.get_num_threads(),
        "clock": "computing" if cpu_time else "wall",
        "device": device,
        "torch": torch.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("works", nargs="*", default=list(WORKLOADS), help="W1 W2 W3 W4")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="raw time of one round")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="compare the main thread's computing time: for a busy machine, OMP_NUM_THREADS=1",
    )
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--out", type=Path, help="write everything measured as JSON")
    given = parser.parse_args()
    found = []
    for name in given.works:
        found.append(
            benchmark(
                name,
                repeats=given.repeats,
                seconds=given.seconds,
                device=given.device,
                peers=not given.no_peers,
                cpu_time=given.cpu_time,
            )
        )
        last = found[-1]
        print(last["work"])
        print(f"  raw {1e3 * last['raw_seconds']:.3f} ms per point, batches of {last['raw_batch']}")
        for key, ratio in last["ratios"].items():
            print(f"  {key:24s} {ratio:6.2f} × raw")
        print(f"  {'with choosing':24s} {last['ratio_with_choosing']:6.2f} × raw")
        print(f"  error {last['error']:.1e}, {json.dumps(last['choice'])}", flush=True)
    if given.out:
        given.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
