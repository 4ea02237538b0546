"""Kill recording processes with SIGKILL at random moments; check every file that is left.

    python benchmarks/crash.py --trials 100 --resumed 20

Each trial forks a process that trains the digits MLP under a `Recorder` and publishes, in shared
memory, the last step that the recorder acknowledged (`Recorder.committed`). The process is killed
at a uniformly random moment of the run; it commits fifty times a second, so that commits are under
way then. The file it leaves must open, hold every acknowledged step, its state and its numbers,
without a hole, and agree bit for bit with an undisturbed twin run: states and losses with one that
is not recorded, the other numbers with one that is. The first `--resumed` runs are then restarted
from their last checkpoint, which they save every 20 steps, and recorded to the end in the same
file, which must equal the twin's throughout. Prints one JSON line per trial and fails on the first
violation.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import signal
import struct
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import landscape as ls
from landscape.recording import stream

STEPS = 200


def parts(seed: int = 0) -> tuple[ls.Task, torch.optim.Optimizer]:
    task = ls.load_task("digits/mlp", seed=seed)
    return task, torch.optim.Adam(task.model.parameters(), lr=2e-3)


def step(task: ls.Task, optimizer: torch.optim.Optimizer, number: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(number)
    index = torch.randint(len(task.train[0]), (32,), generator=generator)
    optimizer.zero_grad()
    loss = task.loss(task.model, tuple(t[index] for t in task.train)).mean()
    loss.backward()
    optimizer.step()
    return loss


def flat(model: torch.nn.Module) -> np.ndarray:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()]).numpy()


@dataclass
class Twin:
    """The undisturbed run.

    Attributes:
        states: Every state, shape (STEPS + 1, P).
        scalars: Name to the numbers of every step, shape (STEPS,).
    """

    states: np.ndarray
    scalars: dict[str, np.ndarray]


def twin() -> Twin:
    """The run without a recorder."""
    task, optimizer = parts()
    states, losses = [flat(task.model)], []
    for number in range(STEPS):
        losses.append(step(task, optimizer, number).item())
        states.append(flat(task.model))
    return Twin(np.stack(states), {"loss": np.array(losses)})


def record(path: Path, acknowledged: mmap.mmap) -> None:
    """Train from the last checkpoint, if there is one, and record."""
    task, optimizer = parts()
    checkpoint = path.with_suffix(".ckpt")
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        task.model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
    with ls.Recorder(path, task.model, optimizer, resume=True) as recorder:
        for number in range(recorder.step, STEPS):
            loss = step(task, optimizer, number)
            recorder.log(loss=loss)
            acknowledged[:8] = struct.pack("q", recorder.committed)
            if number % 20 == 19:
                recorder.flush()
                saved = {"model": task.model.state_dict(), "optimizer": optimizer.state_dict()}
                torch.save(saved, checkpoint.with_suffix(".partial"))
                os.replace(checkpoint.with_suffix(".partial"), checkpoint)


def killed(path: Path, delay: float) -> int:
    """Record in a child process, kill it after `delay` seconds; the step it acknowledged."""
    acknowledged = mmap.mmap(-1, 8)
    acknowledged[:8] = struct.pack("q", -1)
    child = os.fork()
    if child == 0:
        try:
            record(path, acknowledged)
        finally:
            os._exit(0)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return struct.unpack("q", acknowledged[:8])[0]


def check(path: Path, acknowledged: int, twin: Twin, resumed: int = 0) -> dict[str, int]:
    """Compare a file with the twin; `resumed` is the step that it was gone on from, or 0."""
    if not path.exists():
        if acknowledged >= 0:
            raise SystemExit(f"step {acknowledged} was acknowledged, but there is no file")
        return {"states": 0, "updates": 0}
    try:
        run = ls.Trajectory(path)
    except ls.SchemaError as error:
        if "no state yet" in str(error) and acknowledged < 0:
            return {"states": 0, "updates": 0}
        raise
    with run:
        if not np.array_equal(run.steps, np.arange(len(run))):
            raise SystemExit(f"steps are missing: {run.steps.tolist()}")
        if min(run.steps[-1], run.updates) < acknowledged or run.updates != run.steps[-1]:
            raise SystemExit(
                f"step {acknowledged} was acknowledged; the file holds states up to "
                f"{run.steps[-1]} and {run.updates} updates"
            )
        for number in run.steps:
            if (run.state(number) != twin.states[number]).any():
                raise SystemExit(f"step {number} is not what the twin run visited")
        if run.updates and not set(twin.scalars) <= set(run.scalars):
            raise SystemExit(f"the file holds only the numbers {sorted(run.scalars)}")
        for name in twin.scalars if run.updates else ():
            found, expected = run.scalars[name], twin.scalars[name][: run.updates].copy()
            if resumed and name == "gradient_cosine":
                expected[resumed] = np.nan  # the gradient before it is gone
            if not np.array_equal(found, expected, equal_nan=True):
                raise SystemExit(f"{name} is not what the twin run has")
        return {"states": len(run), "updates": run.updates}


def resume(path: Path, twin: Twin) -> int:
    """Record the rest of a killed run; how many states it then has."""
    checkpoint = path.with_suffix(".ckpt")
    start = 0
    if checkpoint.exists():
        start = int(torch.load(checkpoint, weights_only=True)["optimizer"]["state"][0]["step"])
    record(path, mmap.mmap(-1, 8))
    with ls.Trajectory(path) as run:
        if not run.complete or len(run) != STEPS + 1 or run.updates != STEPS:
            raise SystemExit(f"the resumed run has {len(run)} states and {run.updates} updates")
    return check(path, STEPS, twin, start if start < STEPS else 0)["states"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--resumed", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    stream.COMMIT_SECONDS = 0.02
    random = np.random.default_rng(options.seed)
    plain = twin()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        record(Path(folder) / "whole.h5", mmap.mmap(-1, 8))
        whole = time.perf_counter() - begin
        check(Path(folder) / "whole.h5", STEPS, plain)
        with ls.Trajectory(Path(folder) / "whole.h5") as run:
            recorded = Twin(plain.states, dict(run.scalars))
        for trial in range(options.trials):
            path = Path(folder) / f"{trial}.h5"
            delay = random.uniform(0, whole)
            acknowledged = killed(path, delay)
            held = check(path, acknowledged, recorded)
            line = {"trial": trial, "acknowledged": acknowledged, **held}
            if trial < options.resumed:
                line["resumed"] = resume(path, recorded)
            print(json.dumps(line), flush=True)
            path.unlink(missing_ok=True)
            path.with_suffix(".ckpt").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
