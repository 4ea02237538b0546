"""Time one point of a surface against the plain forward pass, and against other packages.

    python benchmarks/evaluator.py W1 W2 W3 W4 --repeats 5

*Raw* is the fastest plain forward pass over the same data: evaluation mode, inference mode, loss,
data in memory, best mini-batch size. *Regret* is the time of what was chosen over that of the best
of many ways, both measured again in turns (`--regret`, and see `regret.py`). Choosing starts from
nothing: what was chosen before is not looked up. Every implementation runs the same number of
points in turn, round after round, and the table gives medians of time per point over raw, so that a
machine whose speed drifts changes no ratio. Peers run as their documentation says, when they are
installed (pip install ".[peers]").
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from instructions import instructions
from peers import Run, peers
from regret import regret
from torch.utils.flop_counter import FlopCounterMode
from workloads import WORKLOADS, Workload, workload

import landscape as ls

os.environ["LANDSCAPE_REMEMBER"] = "0"
_LOOK = 2.0  # seconds at least to find the size of batch of the fastest plain pass
_REFUSALS = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def one_pass(work: Workload, batch_size: int, device: str) -> float:
    x, y = work.data
    with work.looking():
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
    until = time.perf_counter() + _LOOK
    while len(times[sizes[0]]) < 3 or time.perf_counter() < until:
        for size in sizes:
            begin = time.perf_counter()
            one_pass(work, size, device)
            times[size].append(time.perf_counter() - begin)
    return min(sizes, key=lambda size: statistics.median(times[size]))


def matrix_rate(device: str) -> float:
    """Multiplications and additions per second in the best of a few float32 matrix products."""
    a, b = (torch.randn(4096, 4096, device=device) for _ in range(2))
    best = math.inf
    for _ in range(4):
        begin = time.perf_counter()
        (a @ b)[0, 0].item()
        best = min(best, time.perf_counter() - begin)
    return 2 * 4096**3 / best


def operations(work: Workload) -> int:
    """Multiplications and additions of one plain pass over the data."""
    with FlopCounterMode(display=False) as counted, work.looking():
        work.loss(work.model, work.data)
    return counted.get_total_flops()


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


def peak_memory(name: str, key: str, checkout: Path | None) -> float:
    """MiB that nine points need beyond what a process holds that has run a first small batch."""
    command = [sys.executable, __file__, name, "--memory-of", key]
    if checkout is not None:
        command += ["--tool-2018", str(checkout)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(said.splitlines()[-1])


def added_memory(name: str, key: str, checkout: Path | None) -> float:
    work = workload(name)
    work.model.eval()
    least = min(8, len(work.data[0]))
    with work.looking():
        work.loss(work.model, tuple(t[:least] for t in work.data))
    made = None if key == "landscape" else peers(work, checkout)[key]
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    run = made or ours(work)[0]
    run(9)
    return (_status("VmHWM") - before) / 1024


def _status(field: str) -> int:
    """A figure in KiB that Linux keeps about this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def error_against_double(work: Workload, objective: ls.Objective, plane: ls.Plane) -> float:
    """Largest relative error of nine points against double precision."""
    points = np.random.default_rng(2).uniform(-1, 1, size=(9, 2))
    found = objective.restrict(plane.origin, plane.directions)(points).mean[0]
    exact = ls.Objective(work.model, work.loss, work.data, precision="double", batch_size=64)
    wanted = exact.restrict(plane.origin, plane.directions)(points).mean[0]
    return float(np.abs(found / wanted - 1).max())


def benchmark(
    name: str,
    *,
    repeats: int,
    seconds: float,
    device: str,
    with_peers: bool,
    compiled: bool,
    exhaust: bool,
    with_memory: bool,
    checkout: Path | None,
) -> dict:
    clock = time.perf_counter
    work = workload(name)
    work.model.to(device).eval()
    object.__setattr__(work, "data", tuple(t.to(device) for t in work.data))
    size = raw_batch_size(work, device)
    begin = time.perf_counter()
    one_pass(work, size, device)
    per_pass = time.perf_counter() - begin
    least = 3 if with_peers else 2  # the peers measure squares; one point alone is never batched
    side = min(work.resolution, max(least, math.isqrt(int(seconds / per_pass))))
    points = side * side

    def raw(points: int) -> None:
        for _ in range(points):
            one_pass(work, size, device)

    runs: dict[str, Run] = {"raw": raw}
    choosing: dict[str, float] = {}
    run, objective, plane, choosing["landscape"] = ours(work)
    runs["landscape"] = run
    for strategy in ("sequential", "compiled") if compiled else ("sequential",):
        key = f"landscape, {strategy}"
        runs[key], _, _, choosing[key] = ours(work, strategy=strategy)
    if with_peers:
        for key, run_points in peers(work, checkout).items():
            try:
                run_points(9)
                runs[key] = run_points
            except _REFUSALS as problem:
                print(f"  {key}: {type(problem).__name__}: {problem}")
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
    rate = operations(work) / statistics.median(times["raw"]) / matrix_rate(device)
    once = total * statistics.median(times["raw"])
    assert objective.choice is not None
    regretted = regret(work, objective.choice) if exhaust else None
    return {
        "processor": instructions() if device == "cpu" else torch.cuda.get_device_name(device),
        "work": f"{work.name}: {work.what}, {work.resolution}×{work.resolution}",
        "raw_seconds": statistics.median(times["raw"]),
        "raw_batch": size,
        "ratios": ratios,
        "ratios_with_choosing": {key: ratios[key] + t / once for key, t in choosing.items()},
        "share_of_matrix_rate": {key: rate / ratio for key, ratio in ratios.items()},
        "choosing_seconds": choosing,
        "added_mib": {
            key: peak_memory(name, key, checkout)
            for key in runs
            if with_memory and device == "cpu" and key != "raw" and not key.startswith("landscape,")
        },
        "error": error_against_double(work, objective, plane),
        "choice": objective.choice.describe(),
        "regret": regretted,
        "points_per_round": points,
        "repeats": repeats,
        "threads": torch.get_num_threads(),
        "device": device,
        "torch": torch.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "works", nargs="*", default=["W1", "W2", "W3", "W4"], help=", ".join(WORKLOADS)
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="raw time of one round")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-memory", action="store_true", help="do not measure memory")
    parser.add_argument("--compiled", action="store_true", help="a row with torch.compile")
    parser.add_argument("--regret", action="store_true", help="search all ways for the best")
    parser.add_argument("--tool-2018", type=Path, help="a checkout of the tool of Li et al.")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="write everything measured as JSON")
    given = parser.parse_args()
    if given.memory_of:
        print(added_memory(given.works[0], given.memory_of, given.tool_2018))
        return
    found = []
    for name in given.works:
        found.append(
            benchmark(
                name,
                repeats=given.repeats,
                seconds=given.seconds,
                device=given.device,
                with_peers=not given.no_peers,
                compiled=given.compiled,
                exhaust=given.regret,
                with_memory=not given.no_memory,
                checkout=given.tool_2018,
            )
        )
        last = found[-1]
        print(f"{last['work']} on {last['processor']}")
        print(f"  raw {1e3 * last['raw_seconds']:.3f} ms per point, batches of {last['raw_batch']}")
        for key, ratio in last["ratios"].items():
            share = last["share_of_matrix_rate"][key]
            print(f"  {key:24s} {ratio:6.2f} × raw, {share:4.0%} of the matrix rate")
        for key, ratio in last["ratios_with_choosing"].items():
            seconds = last["choosing_seconds"][key]
            print(f"  {key:24s} {ratio:6.2f} × raw with the {seconds:.2f} s of choosing")
        if last["regret"]:
            best = f"{last['regret']['best']} of {last['regret']['ways']} ways"
            print(f"  {'regret':24s} {last['regret']['regret']:6.2f} × the best: {best}")
        print(f"  {'added memory':24s} {last['added_mib']} MiB")
        print(f"  error {last['error']:.1e}, {json.dumps(last['choice'])}", flush=True)
    if given.out:
        given.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
