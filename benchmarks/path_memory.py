"""Peak memory and time of what reads many states of a run, in vectors of the model.

    python benchmarks/path_memory.py --states 6 40

Every analysis of a random walk runs in a process of its own; its memory is the highest resident set
beyond what it held before, torch's included, over the bytes of one state. Freed memory goes back at
once (MALLOC_MMAP_THRESHOLD_), so that what is counted is what is held.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import landscape as ls

TENSORS, WIDTH = 20, 100


def model_of(size: int) -> torch.nn.Module:
    """Twenty linear layers one after the other."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        *(
            torch.nn.Linear(size // TENSORS // WIDTH, WIDTH, bias=False)
            if k % 2 == 0
            else torch.nn.Linear(WIDTH, size // TENSORS // WIDTH, bias=False)
            for k in range(TENSORS)
        )
    )


def objective_of(size: int) -> ls.Objective:
    """The mean square of what it gives on four samples."""
    data = torch.randn(4, size // TENSORS // WIDTH)
    return ls.Objective(model_of(size), lambda m, x: m(x).square().mean(), data)


def write_walk(path: Path, size: int, states: int) -> None:
    """A random walk of so many states."""
    generator = np.random.default_rng(0)
    state = np.zeros(size, np.float32)
    with ls.TrajectoryWriter(path, objective_of(size).layout) as writer:
        for step in range(states):
            writer.append_state(step, state)
            state += 0.01 * generator.standard_normal(size, np.float32)


def through(run: ls.Trajectory, **options: Any) -> ls.Plane:
    return ls.plane_through(run.state(0), run.state(len(run) // 2), run.state(-1), **options)


Case = tuple[Callable[[ls.Trajectory, ls.Objective], Any], Callable[..., Any]]


def alone(run: ls.Trajectory, objective: ls.Objective) -> ls.Objective:
    return objective


def with_plane(run: ls.Trajectory, objective: ls.Objective) -> tuple[ls.Objective, ls.Plane]:
    return objective, through(run)


def states(run: ls.Trajectory, objective: ls.Objective) -> list[Any]:
    return [run.state(k) for k in (0, len(run) // 2, -1)]


def cases() -> dict[str, Case]:
    """What is made before, and what is measured, by name."""
    return {
        "pca_plane": (alone, lambda run, _: ls.pca_plane(run)),
        "pca_plane, about the mean": (alone, lambda run, _: ls.pca_plane(run, origin="mean")),
        "pca_plane of two runs": (alone, lambda run, _: ls.pca_plane([run, run])),
        "project": (with_plane, lambda run, given: ls.project(run, given[1])),
        "project with losses": (
            with_plane,
            lambda run, given: ls.project(run, given[1], objective=given[0]),
        ),
        "path_metrics": (alone, lambda run, _: ls.path_metrics(run)),
        "layer_metrics": (alone, lambda run, _: ls.layer_metrics(run)),
        "line_between": (states, lambda run, given: ls.line_between(*given[::2])),
        "plane_through": (states, lambda run, given: ls.plane_through(*given)),
        "plane_through, orthonormal": (
            states,
            lambda run, given: ls.plane_through(*given, axes="orthonormal"),
        ),
        "walk": (alone, lambda run, given: ls.walk(given, run, points=2)),
        'loss_surface, extent="trajectory"': (
            with_plane,
            lambda run, given: ls.loss_surface(
                *given, extent="trajectory", resolution=3, paths=[ls.project(run, given[1])]
            ),
        ),
        "surfaces_along": (
            with_plane,
            lambda run, given: ls.surfaces_along(
                given[0], run, steps=run.steps.tolist(), plane=given[1], extent=0.1, resolution=2
            ),
        ),
    }


def status(name: str) -> int:
    """A number of /proc/self/status, in bytes."""
    return 1024 * int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0])


def measured(path: str, name: str) -> dict[str, float]:
    """One analysis, in this process; a short run first, which loads what is loaded once."""
    warnings.simplefilter("ignore")
    before, measure = cases()[name]
    for file in (Path(path).with_name("small.h5"), Path(path)):
        run = ls.Trajectory(file)
        given = before(run, objective_of(run.layout.size))
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        rest, start = status("VmRSS"), time.process_time()
        measure(run, given)
    seconds = time.process_time() - start
    return {"held": (status("VmHWM") - rest) / (4 * run.layout.size), "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--states", type=int, nargs="+", default=[6, 40])
    parser.add_argument("--parameters", type=int, default=4_000_000)
    parser.add_argument("--smoke", action="store_true", help="a small model")
    parser.add_argument("--only", nargs="*", default=list(cases()))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measured(given.child, given.only[0])))
        return
    size = 40_000 if given.smoke else given.parameters
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000", "OMP_NUM_THREADS": "1"}
    print(f"{size:,} parameters, {4 * size / 1e6:.0f} MB a state; vectors and CPU seconds")
    print(f"{'states':36}" + "".join(f"{states:>16}" for states in given.states))
    with TemporaryDirectory(dir=".") as folder:
        write_walk(Path(folder) / "small.h5", 40_000, 4)
        for states in given.states:
            write_walk(Path(folder) / f"{states}.h5", size, states)
        for name in given.only:
            row = []
            for states in given.states:
                told = ["--child", f"{folder}/{states}.h5", "--only", name]
                out = subprocess.run(
                    [sys.executable, __file__, *told],
                    capture_output=True,
                    text=True,
                    env=environment,
                )
                if out.returncode:
                    row.append(out.stderr.strip().splitlines()[-1][:60])
                    continue
                found = json.loads(out.stdout.splitlines()[-1])
                row.append(f"{found['held']:8.2f}{found['seconds']:6.1f} s")
            print(f"{name:36}" + "".join(f"{cell:>16}" for cell in row), flush=True)


if __name__ == "__main__":
    main()
