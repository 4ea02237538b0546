"""Real surfaces with their truth: tables of the loss of every sample at every point.

A table is the full surface, sample by sample, in float32: the mean over its samples is the truth
that a surface at a fraction of the cost is held against, and any method can be replayed on it
exactly, with any seed, without running the model again. Tables are made in blocks of samples,
point by point, and go on where they stopped.

    python benchmarks/fast_cases.py digits-random lenet       make these tables
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import landscape as ls
from landscape.analysis.planes.extent import Extent, box_of
from landscape.exchange.checkpoints.state import load_state
from landscape.tasks.folders import find_data

FOLDER = Path(__file__).parent.parent / "data" / "fast"


@dataclass(frozen=True)
class Case:
    """A surface whose truth is computed.

    Attributes:
        what: One line for the table.
        build: Gives the task with a trained model, and the plane.
        extent: As for `landscape.loss_surface`.
        resolution: Points along each axis.
        samples: Samples of the truth.
        block: Samples of the table that are computed at all points before the next.
        batch: Samples per forward pass.
        scatter: Compute the truth only at this many random points; 0 at all.
        compiled: Let `torch.compile` make the truth; it agrees with the plain one to rounding.
    """

    what: str
    build: Callable[[], tuple[ls.Task, ls.Plane]]
    extent: Extent
    resolution: int
    samples: int
    block: int
    batch: int
    scatter: int = 0
    compiled: bool = False


def trained(name: str, optimizer: str = "adam", *, steps: int) -> ls.Trajectory:
    """A recorded run of a task, made when it is not there yet."""
    file = FOLDER / f"{name.replace('/', '-')}-{optimizer}.h5"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        every = max(1, steps // 50)
        ls.record_run(ls.Run(name, optimizer, steps=steps, every=every), file)
    return ls.Trajectory(file)


def around(name: str, *, steps: int) -> tuple[ls.Task, ls.Plane]:
    """A trained net and a random filter-normalized plane around it."""
    from landscape.recording.restore import restore

    run, task = trained(name, steps=steps), ls.load_task(name)
    restore(task.model, run, -1)
    return task, ls.random_plane(run.final, run.layout)


def joint_pca() -> tuple[ls.Task, ls.Plane]:
    runs = [trained("digits/mlp", name, steps=300) for name in ("sgd", "momentum", "adam")]
    return ls.load_task("digits/mlp"), ls.pca_plane(runs)


def published(name: str, folder: str, file: str) -> tuple[ls.Task, ls.Plane]:
    """A published net and a random filter-normalized plane around it."""
    task = ls.load_task(name)
    task.model.load_state_dict(load_state(find_data(f"checkpoints/{folder}", [file])[file]))
    task.model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    objective = ls.Objective(task.model, task.loss, task.train, samples=1)
    return task, ls.random_plane(objective.parameters(), objective.layout)


LI, HE = "li2018_resnet56", "he2016_resnet_cifar10"
SKIPS = "resnet56_sgd_lr0.1_bs128_wd0.0005_model_300.t7"
PLAIN = "resnet56_noshort_sgd_lr0.1_bs128_wd0.0005_model_300.t7"

CASES: dict[str, Case] = {
    "digits-random": Case(
        "MLP on digits, random plane",
        lambda: around("digits/mlp", steps=300), 1.0, 101, 1498, 1498, 1498,
    ),
    "digits-pca": Case(
        "MLP on digits, joint PCA plane of three runs",
        joint_pca, "trajectory", 101, 1498, 1498, 1498,
    ),
    "lenet": Case(
        "LeNet on Fashion-MNIST, random plane",
        lambda: around("fashion-mnist/lenet-relu", steps=2000), 1.0, 51, 60_000, 20_000, 250,
        compiled=True,
    ),
    "lenet-10000": Case(
        "LeNet on 10,000 images of Fashion-MNIST, random plane",
        lambda: around("fashion-mnist/lenet-relu", steps=2000), 1.0, 51, 10_000, 10_000, 250, 200,
    ),
    "gpt": Case(
        "GPT on tiny Shakespeare, random plane",
        lambda: around("tiny-shakespeare/gpt-w32", steps=600), 1.0, 51, 2000, 2000, 32, 200,
    ),
    "gpt-all": Case(
        "GPT on all of tiny Shakespeare, random plane",
        lambda: around("tiny-shakespeare/gpt-w32", steps=600), 1.0, 51, 15_685, 15_685, 32, 200,
    ),
    "digits-plain": Case(
        "ResNet-56 without skips on digits, random plane",
        lambda: around("digits/resnet56-noskip-w8", steps=300), 1.0, 51, 100, 100, 50,
    ),
    "resnet20": Case(
        "ResNet-20 on CIFAR-10, random plane",
        lambda: published("cifar10/resnet20-padding", HE, "resnet20-12fca82f.th"),
        1.0, 17, 10_000, 2000, 50,
    ),
    "resnet56": Case(
        "ResNet-56 with skips on CIFAR-10, random plane",
        lambda: published("cifar10/resnet56", LI, SKIPS), 1.0, 17, 2000, 1000, 100,
    ),
    "resnet56-plain": Case(
        "ResNet-56 without skips on CIFAR-10, random plane",
        lambda: published("cifar10/resnet56-noskip", LI, PLAIN), 1.0, 17, 2000, 1000, 100,
    ),
}  # fmt: skip


def grid(case: Case, plane: ls.Plane) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along both axes."""
    box = box_of(plane, case.extent, (), 0.15)
    n = case.resolution
    return np.linspace(box[0], box[1], n), np.linspace(box[2], box[3], n)


def make_table(name: str, block: int, *, minutes: float = 1e9) -> bool:
    """Compute one block of samples at all points; whether it is complete."""
    case, file = CASES[name], FOLDER / f"{name}-{block:03d}.npy"
    first = block * case.block
    if first >= case.samples:
        return False
    task, plane = case.build()
    alpha, beta = grid(case, plane)
    points = np.stack(np.meshgrid(alpha, beta), -1).reshape(-1, 2)
    index = np.arange(len(points))
    if case.scatter:
        index = np.sort(np.random.default_rng(1).choice(index, case.scatter, replace=False))
    points = points[index]
    count = min(case.block, case.samples - first)
    done_file = file.with_suffix(".done")
    if not file.exists():
        np.lib.format.open_memmap(file, "w+", np.float32, (len(points), count)).flush()
        np.savez(FOLDER / f"{name}.grid.npz", alpha=alpha, beta=beta, index=index)
        done_file.write_text("0 0")
    start, spent = done_file.read_text().split()
    table = np.lib.format.open_memmap(file, "r+")
    inputs, labels = (t[first : first + count] for t in task.train)
    parameters = [p for p in task.model.parameters() if p.requires_grad]
    model = torch.compile(task.model.eval()) if case.compiled else task.model.eval()
    seconds, began = float(spent), time.time()
    for k in range(int(start), len(points)):
        theta = torch.from_numpy(
            (plane.origin + points[k] @ plane.directions.astype(np.float64)).astype(np.float32)
        )
        clock = time.thread_time()
        with torch.inference_mode():
            torch.nn.utils.vector_to_parameters(theta, parameters)
            for a in range(0, count, case.batch):
                batch = (inputs[a : a + case.batch], labels[a : a + case.batch])
                table[k, a : a + case.batch] = task.loss(model, batch).numpy()
        seconds += time.thread_time() - clock
        if k % 8 == 7 or k == len(points) - 1:
            table.flush()
            done_file.write_text(f"{k + 1} {seconds}")
        if time.time() - began > 60 * minutes:
            return False
    print(f"{name} block {block}: {len(points)} points x {count} samples, {seconds:.0f} s")
    return True


def table_of(name: str) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], float]:
    """alpha, beta, complete blocks of shape (points, samples), and seconds they took."""
    held = np.load(FOLDER / f"{name}.grid.npz")
    blocks, seconds = [], 0.0
    for file in sorted(FOLDER.glob(f"{name}-[0-9][0-9][0-9].npy")):
        table = np.load(file, mmap_mode="r")
        done, spent = file.with_suffix(".done").read_text().split()
        if int(done) == len(table):
            blocks.append(table)
            seconds += float(spent)
    return held["alpha"], held["beta"], blocks, seconds


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    wanted = sys.argv[1:] or list(CASES)
    for entry in wanted:
        case_name, _, only = entry.partition(":")
        for number in [int(only)] if only else range(100):
            if number * CASES[case_name].block < CASES[case_name].samples:
                make_table(case_name, number)
