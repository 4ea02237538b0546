"""What recording costs: time per step, memory over many steps, and speed of writing.

    python benchmarks/recorder.py overhead --task resnet20    # training time with / without
    python benchmarks/recorder.py overhead --task mlp
    python benchmarks/recorder.py memory                      # 10,000 steps of the digits MLP
    python benchmarks/recorder.py stream                      # 11 M parameters x 50 steps
    python benchmarks/recorder.py sketch                      # measured against stated error

Overhead is paired: blocks of steps with and without a recorder take turns in one process, the
recorder's block ends only when everything is on disk, and the medians of the blocks' times are
compared, and so is the processor time of all threads, which a busy machine disturbs less. The
stream writes the same bytes, in turns, through a `Recorder` and as a plain file; both count until
the disk has everything (fsync).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import landscape as ls
from landscape.tasks.resnet import ResNet


def trainer(task: str) -> tuple[nn.Module, torch.optim.Optimizer, Callable[[], torch.Tensor]]:
    """A model, its optimizer, and a function that makes one training step."""
    generator = torch.Generator().manual_seed(0)
    if task == "resnet20":
        model: nn.Module = ResNet(20)
        inputs = torch.randn(128, 3, 32, 32, generator=generator)
        labels = torch.randint(10, (128,), generator=generator)
    else:
        loaded = ls.load_task("digits/mlp")
        model = loaded.model
        inputs, labels = (t[:128] for t in loaded.train)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        return loss

    return model, optimizer, step


def overhead(options: argparse.Namespace, folder: Path) -> None:
    model, optimizer, step = trainer(options.task)
    count = options.steps or (6 if options.task == "resnet20" else 2000)
    times: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for block in range(options.blocks + 1):
        for recorded in (True, False) if block % 2 else (False, True):
            path = folder / "run.h5"
            recorder = ls.Recorder(path, model, optimizer, overwrite=True) if recorded else None
            if recorder is not None:
                recorder.start()
            begin = time.perf_counter(), time.process_time()
            for _ in range(count):
                loss = step()
                if recorder is not None:
                    recorder.log(loss=loss)
            if recorder is not None:
                recorder.flush()
            end = time.perf_counter(), time.process_time()
            times[recorded].append((end[0] - begin[0], end[1] - begin[1]))
            if recorder is not None:
                recorder.close()
    with_, without = (np.array(times[recorded][1:])[:, 0] / count for recorded in (True, False))
    cpu, cpu_without = (np.array(times[recorded][1:])[:, 1] for recorded in (True, False))
    print(
        json.dumps(
            {
                "task": options.task,
                "parameters": sum(p.numel() for p in model.parameters()),
                "threads": torch.get_num_threads(),
                "ms_per_step_without": round(1e3 * float(np.median(without)), 3),
                "ms_per_step_with": round(1e3 * float(np.median(with_)), 3),
                "ratio_of_medians": round(float(np.median(with_) / np.median(without)), 4),
                "median_of_ratios": round(float(np.median(with_ / without)), 4),
                "ratio_of_processor_time": round(float(np.median(cpu) / np.median(cpu_without)), 4),
                "blocks": len(with_),
                "steps_per_block": count,
            }
        )
    )


def memory(options: argparse.Namespace, folder: Path) -> None:
    model, optimizer, step = trainer("mlp")
    steps = options.steps or 10_000
    sizes = []
    with ls.Recorder(folder / "run.h5", model, optimizer) as recorder:
        for number in range(steps):
            recorder.log(loss=step())
            if (number + 1) % (steps // 10) == 0:
                sizes.append(resident())
    print(json.dumps({"steps": steps, "resident_mb_at_tenths": sizes}))
    print(json.dumps({"file_mb": round((folder / "run.h5").stat().st_size / 1e6, 1)}))


def resident() -> float:
    """Resident memory of this process in MB."""
    statistics = Path("/proc/self/statm")
    if not statistics.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return round(int(statistics.read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6, 1)


def stream(options: argparse.Namespace, folder: Path) -> None:
    size, steps = 11_000_000, options.steps or 50
    model = nn.ParameterList([nn.Parameter(torch.randn(size // 11)) for _ in range(11)])
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for p in model.parameters():
        p.grad = torch.ones_like(p)

    def plain() -> float:
        begin = time.perf_counter()
        with open(folder / "plain.bin", "wb", buffering=0) as file:
            for step in range(steps + 1):
                for p in model.parameters():
                    file.write(p.detach().numpy())  # pyright: ignore[reportArgumentType]
                if step < steps:
                    optimizer.step()
            os.fsync(file.fileno())
        return time.perf_counter() - begin

    def recorded(motion: bool) -> float:
        recorder = ls.Recorder(folder / "run.h5", model, optimizer, overwrite=True, motion=motion)
        begin = time.perf_counter()
        with recorder:
            for _ in range(steps):
                optimizer.step()
        with open(folder / "run.h5", "rb") as file:
            os.fsync(file.fileno())
        return time.perf_counter() - begin

    ways = {
        "plain": plain,
        "states_only": lambda: recorded(False),
        "with_motion": lambda: recorded(True),
    }
    speeds: list[dict[str, float]] = []
    orders = list(itertools.permutations(ways))  # what came before matters to the page cache
    for block in range(options.blocks + 1):  # the first one warms up
        seconds = {}
        for name in orders[block % len(orders)]:
            os.sync()
            seconds[name] = ways[name]()
            for left in folder.iterdir():
                left.unlink()
        row = {"plain_mb_per_s": round(4e-6 * size * (steps + 1) / seconds["plain"])}
        row |= {name: round(seconds["plain"] / seconds[name], 3) for name in list(ways)[1:]}
        speeds += [row] * (block > 0)
        print(json.dumps(row), flush=True)
    medians = {name: float(np.median([row[name] for row in speeds])) for name in speeds[0]}
    print(json.dumps({"steps": steps, "parameters": size, "medians": medians}))


def sketch(options: argparse.Namespace, folder: Path) -> None:
    for k in (64, 256, 1024, 4096):
        distances, cosines = [], []
        for seed in range(options.blocks):
            model, optimizer, step = trainer("mlp")
            states = [flat(model)]
            path = folder / f"{k}-{seed}.h5"
            with ls.Recorder(path, model, optimizer, every=None, sketch=k, seed=seed):
                for _ in range(options.steps or 60):
                    step()
                    states.append(flat(model))
            sketched = ls.SketchedPath(ls.Trajectory(path))
            for a in range(0, len(states) - 20, 5):
                x, y = states[a + 10] - states[a], states[a + 20] - states[a + 10]
                true = np.linalg.norm(x)
                distances.append(sketched.distance(a, a + 10)[0] / true - 1)
                true = x @ y / np.linalg.norm(x) / np.linalg.norm(y)
                estimate, error = sketched.cosine((a, a + 10), (a + 10, a + 20))
                cosines.append((estimate - true) / error)
        stated = 1 / np.sqrt(2 * k)
        print(
            json.dumps(
                {
                    "k": k,
                    "distance_error_measured": round(float(np.std(distances)), 4),
                    "distance_error_stated": round(float(stated), 4),
                    "cosine_error_measured_over_stated": round(float(np.std(cosines)), 2),
                }
            ),
            flush=True,
        )


def flat(model: nn.Module) -> np.ndarray:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()]).double().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("overhead", "memory", "stream", "sketch"))
    parser.add_argument("--task", choices=("resnet20", "mlp"), default="resnet20")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="disk to write to; default: temporary files")
    options = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure = {"overhead": overhead, "memory": memory, "stream": stream, "sketch": sketch}
        measure[options.what](options, Path(folder))


if __name__ == "__main__":
    main()
