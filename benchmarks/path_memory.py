"""Peak memory and time of path metrics, layer metrics and projections on a large trajectory.

Each runs in a process of its own; its memory is the peak resident set over that of the imports.

    python benchmarks/path_memory.py --gigabytes 2
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import landscape as ls
from landscape.base.layout import Entry

PARAMETERS = 1_000_000
_CHILD = """
import json, resource, sys, time
import landscape as ls
import landscape.analysis.layers, landscape.analysis.path, landscape.analysis.projection
run = ls.Trajectory(sys.argv[1])
plane = ls.plane_through(run.state(0), run.state(len(run) // 2), run.state(-1))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, start = peak(), time.perf_counter()
{"path": lambda: ls.path_metrics(run), "layers": lambda: ls.layer_metrics(run),
 "projection": lambda: ls.project(run, plane)}[sys.argv[2]]()
print(json.dumps({"seconds": time.perf_counter() - start, "mb": peak() - before}))
"""


def write_walk(path: Path, states: int) -> None:
    """A random walk of a million parameters in twenty tensors."""
    size = PARAMETERS // 20
    layout = ls.Layout(tuple(Entry(str(i), (size,), i * size, "weight") for i in range(20)))
    generator = np.random.default_rng(0)
    state = np.zeros(PARAMETERS, np.float32)
    with ls.TrajectoryWriter(path, layout) as writer:
        for step in range(states):
            writer.append_state(step, state)
            state += 0.01 * generator.standard_normal(PARAMETERS, np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--smoke", action="store_true", help="a hundredth of it")
    args = parser.parse_args()
    size = args.gigabytes * (0.01 if args.smoke else 1)
    with TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "walk.h5"
        states = max(4, round(size * 1e9 / 4 / PARAMETERS))
        start = time.perf_counter()
        write_walk(path, states)
        megabytes = path.stat().st_size / 1e6
        print(f"{states} states, {megabytes:.0f} MB, in {time.perf_counter() - start:.0f} s")
        for what in ("path", "layers", "projection"):
            out = subprocess.run(
                [sys.executable, "-c", _CHILD, str(path), what],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            found = json.loads(out)
            rate = megabytes / found["seconds"]
            print(
                f"{what}: {found['mb']:.0f} MB above the imports, {found['seconds']:.1f} s, "
                f"{rate:.0f} MB of file per second"
            )


if __name__ == "__main__":
    main()
