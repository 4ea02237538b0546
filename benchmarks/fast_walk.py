"""Walks within a tolerance against the walk on all samples: work, stated error, true error.

    python benchmarks/fast_walk.py fashion-mnist/lenet --steps 100 --tolerance 0.5 0.2

Records a run of SGD and walks over three windows of its steps on everything, then within each
tolerance for three seeds. Work is in samples at a point of a segment, the search for their number
included. Errors are of differences of the loss along a segment, relative to its range. "Kept" is
the share of segments whose stated error (95 %) is within the tolerance; "true" the median and 95 %
quantile, over all pairs of points of all segments, of the error in units of the stated one.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import landscape as ls


def main() -> None:
    """Record, walk, and print one line per tolerance and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--length", type=int, default=10, help="steps in each of three windows")
    parser.add_argument("--tolerance", type=float, nargs="+", default=[0.5, 0.2])
    options = parser.parse_args()
    task = ls.load_task(options.task)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.h5"
        ls.record_run(ls.Run(options.task, "sgd", steps=options.steps), path)
        run = ls.Trajectory(path)
        whole, all_of_it = walked(task, run, options.length)
        size = whole.settings["samples"]
        print(f"{options.task}: {len(whole.step)} segments, {size:,} samples", flush=True)
        for tolerance in options.tolerance:
            for seed in range(3):
                part, work = walked(task, run, options.length, tolerance=tolerance, seed=seed)
                kept = np.mean(part.uncertainty <= tolerance)
                said = f"{tolerance:.0%}, seed {seed}: {part.settings['samples']:,} samples, "
                said += f"work / {all_of_it / work:.1f}, kept {kept:.0%}"
                if part.settings["samples"] < size:
                    median, high = np.quantile(misses(part, whole), [0.5, 0.95])
                    said += f", true / stated {median:.2f} (median), {high:.2f} (95 %)"
                print(said, flush=True)


def walked(task: ls.Task, run: ls.Trajectory, length: int, **options: Any) -> tuple[ls.Walk, int]:
    """A walk, and how many times a sample's loss was computed for it."""
    work = 0

    def loss(model: Any, batch: Any) -> Any:
        nonlocal work
        work += len(batch[0])
        return task.loss(model, batch)

    objective = ls.Objective(task.model, loss, task.train, strategy="sequential", batch_size=256)
    windows = ("first", "middle", "last")
    return ls.walk(objective, run, windows=windows, length=length, **options), work


def misses(part: ls.Walk, whole: ls.Walk) -> np.ndarray:
    """Errors of all differences along all segments, over the largest stated on the segment."""
    wrong = part.loss - whole.loss
    i, j = np.triu_indices(wrong.shape[1], k=1)
    stated = part.uncertainty * np.ptp(part.loss, axis=1)
    return (np.abs(wrong[:, i] - wrong[:, j]) / stated[:, None]).ravel()


if __name__ == "__main__":
    main()
