"""A run at full speed beside three readers, `landscape watch` and a browser on its page.

    python benchmarks/live.py --minutes 10
    python benchmarks/live.py --minutes 10 --apart  # the writer on cores of its own
    python benchmarks/live.py --minutes 6 --each    # what each of the others costs
    python benchmarks/live.py --million     # memory of server and page with 1,000,000 steps

One process trains and records without a pause; a part of its parameters counts the steps, so that
every row says whether it is right. Beside it a server, a browser, and three processes that read:
every number once (as the server does), whole runs (`Trajectory`), single states. In windows of two
seconds these are stopped and let go on (SIGSTOP, SIGCONT) in turns; the loss of speed is the median
of the ratios of a window and its two neighbours, of the time that passed and of the processor time
that the writer spent. All but the writer have the lowest priority. The writer has three threads, of
which one trains: where there are few cores, part of the loss is that they are shared with whatever
else runs. With ``--apart`` the writer has cores of its own, and while the others stand still one
process that only counts keeps theirs as busy: a processor (or whoever lends it) that slows down as
a whole is no part of the loss then, and what files, memory and locks cost is left.
The delay of a step is from its commit to the screen.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

WINDOW = 2.0  # seconds
COUNTERS = 256  # parameters that count the steps


def write(path: str) -> None:
    """Train and record until the input ends; say the time, steps made and steps committed."""
    import torch
    from torch import nn

    import landscape as ls

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Linear(COUNTERS, 1, bias=False)
    nn.init.zeros_(model.weight)
    work = nn.Sequential(nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    x, steps, ended = torch.randn(64, 64), 0, threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    with ls.Recorder(path, model, optimizer) as recorder:
        said = 0.0
        while not ended.is_set():
            work(x).square().mean().backward()
            model.weight.grad = -torch.ones_like(model.weight)
            optimizer.step()
            steps += 1
            recorder.log(loss=float(steps))
            now = time.time()
            if now - said > 0.02:
                said = now
                print(
                    f"{now:.3f} {steps} {recorder.committed} {time.process_time():.3f}", flush=True
                )


def read(path: Path, how: str) -> None:
    """Read again and again; say how often, how many rows, and how many of them were torn."""
    from landscape.base.runs.trajectory import Trajectory
    from landscape.live.tail import read_tail

    reads = rows = torn = since = 0
    rng = np.random.default_rng(0)
    while True:
        if how == "numbers":
            tail = read_tail(path, since)
            losses = tail.rows[:, tail.names.index("loss")] if len(tail.rows) else np.zeros(0)
            torn += int((losses != since + 1 + np.arange(len(losses))).sum())
            since += len(losses)
            rows += len(losses)
        else:
            run = Trajectory(path)
            many = slice(max(0, len(run) - 500), len(run))
            picked = np.sort(rng.choice(len(run), min(len(run), 20), replace=False))
            chosen = many if how == "runs" else picked
            found = run.columns(chosen, slice(None))
            torn += int((found != run.steps[chosen][:, None]).any(axis=1).sum())
            rows += len(found)
            if how == "runs":
                torn += int((run.scalars["loss"] != 1 + np.arange(run.updates)).sum())
        reads += 1
        print(reads, rows, torn, flush=True)
        time.sleep(0.2 if how == "numbers" else 2.0)


SEEN = """() => { window.seen = []; let last = -1; setInterval(() => {
  const now = globalThis.explorer ? Math.floor(Number(document.getElementById('step').max)) : -1;
  if (now !== last) { last = now; window.seen.push([Date.now() / 1000, now]); } }, 20); }"""


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for child in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(child.read_text().rpartition(")")[2].split()[1]) == pid:
                found += family(int(child.parent.name))
    return found


def memory(pid: int) -> float:
    """Resident MB of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A python process and what it says."""
    process = subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    said: list[str] = []

    def listen() -> None:
        for line in process.stdout or ():
            said.append(line)

    threading.Thread(target=listen, daemon=True).start()
    try:
        yield process, said
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.kill()
        process.wait()


def wait_for(said: list[str], what: str, seconds: float = 60) -> str:
    """The first line that holds a word."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := [line for line in said if what in line]:
            return found[0]
        time.sleep(0.05)
    raise TimeoutError(f"{what!r} never came: {said[-3:]}")


def watched(folder: Path, minutes: float, *, apart: bool, each: bool) -> dict[str, Any]:
    """Measure."""
    from playwright.sync_api import sync_playwright

    me, path = os.path.abspath(__file__), folder / "run.h5"
    own, others = halves(os.sched_getaffinity(0)) if apart else (set(), set())
    if apart:
        os.sched_setaffinity(0, others)
    with contextlib.ExitStack() as stack:
        server, announced = stack.enter_context(
            started("-m", "landscape", "watch", str(path), "--no-open")
        )
        address = wait_for(announced, "http").strip()
        _, steps = stack.enter_context(
            started(me, "--write", str(path), "--cores", ",".join(map(str, own)))
        )
        wait_for(steps, " ")
        while not path.exists() or len(steps) < 20:
            time.sleep(0.1)
        readers = {
            how: stack.enter_context(started(me, "--read", str(path), "--how", how))
            for how in ("numbers", "runs", "states")
        }
        playwright = stack.enter_context(sync_playwright())
        names = (os.environ.get("CHROMIUM", ""), "chromium", "google-chrome")
        program = next(found for name in names if name and (found := shutil.which(name)))
        before = set(family(os.getpid()))
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("html[data-ready]")
        page.evaluate(SEEN)
        shows = [p for p in family(os.getpid()) if p not in before]  # the page's own, too
        parts = {"page": [*shows, *family(server.pid)]}
        parts |= {how: family(reader.pid) for how, (reader, _) in readers.items()}
        sizes, heaps = [memory(server.pid)], [heap(page)]
        windows: list[tuple[str, float, float]] = []
        order = [*parts] if each else ["all"]
        if apart:
            parts["spinning"] = [stack.enter_context(started("-c", "while True: pass"))[0].pid]
            give_way(parts["spinning"], others)
        count = max(2, round(60 * minutes / WINDOW / 2 / len(order)) * len(order))
        for number in range(2 * count + 1):
            on = order[number // 2 % len(order)] if number % 2 else ""
            give_way(shows, others)
            let_go_on(parts, on or ("spinning" if apart else ""))
            begin = time.time()
            time.sleep(WINDOW)
            windows.append((on, begin, time.time()))
            if on in ("all", "page"):
                sizes.append(memory(server.pid))
                heaps.append(heap(page))
        let_go_on(parts, "all")
        time.sleep(3)
        seen = page.evaluate("window.seen")
        points = page.evaluate("explorer.runs[0].path.losses.length")
        table = np.array([line.split() for line in steps if line.count(" ") == 3], float)
        ended = {how: reader.poll() for how, (reader, _) in readers.items()}
        said = [words[-1].split() for _, words in readers.values()]
        browser.close()
    return {
        **speeds(table, windows),
        **delays(table, np.array(seen), windows),
        "torn rows": sum(int(words[2]) for words in said),
        "reads": [int(words[0]) for words in said],
        "rows read": [int(words[1]) for words in said],
        "readers that gave up": [how for how, code in ended.items() if code is not None],
        "points of a curve on the page": points,
        "server, MB": [round(m) for m in (sizes[1], sizes[-1])],
        "page's heap, MB": [round(h, 1) for h in (heaps[1], heaps[-1])],
    }


def halves(cores: set[int]) -> tuple[set[int], set[int]]:
    """The cores of the writer and those of everybody else."""
    if len(cores) < 2:
        raise SystemExit("--apart needs two cores.")
    ordered = sorted(cores)
    return set(ordered[: len(ordered) // 2]), set(ordered[len(ordered) // 2 :])


def give_way(pids: Sequence[int], cores: set[int]) -> None:
    """The lowest priority to every thread, on these cores; a browser's choose both themselves."""
    for task in (int(t.name) for pid in pids for t in Path(f"/proc/{pid}/task").glob("*")):
        with contextlib.suppress(OSError):  # ended meanwhile
            os.setpriority(os.PRIO_PROCESS, task, 19)
            if cores:
                os.sched_setaffinity(task, cores)


def let_go_on(parts: dict[str, list[int]], which: str) -> None:
    """Stop all processes but those of one part; ``all``: but what only spins."""
    for name, pids in parts.items():
        goes_on = which == name or (which == "all" and name != "spinning")
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT if goes_on else signal.SIGSTOP)


def million(folder: Path, steps: int) -> dict[str, Any]:
    """Memory of the server and of the page with few steps, and after so many more."""
    from playwright.sync_api import sync_playwright

    from landscape.base.layout import Layout
    from landscape.base.runs.writer import TrajectoryWriter

    layout = '[{"name": "w", "shape": [3], "offset": 0, "kind": "weight", "filter_axis": 0}]'
    rng, path, found = np.random.default_rng(0), folder / "run.h5", {}
    with contextlib.ExitStack() as stack:
        writer = TrajectoryWriter(path, Layout.from_json(layout), run={"optimizer": "adam"})
        server, announced = stack.enter_context(
            started("-m", "landscape", "watch", str(path), "--no-open")
        )
        playwright = stack.enter_context(sync_playwright())
        program = next(p for n in ("chromium", "google-chrome") if (p := shutil.which(n)))
        page = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"]).new_page()
        writer.append_state(0, np.zeros(3))
        writer.commit()
        page.goto(wait_for(announced, "http").strip())
        page.wait_for_selector("html[data-ready]")
        for end in (2000, steps):
            while writer.updates < end:
                for loss in rng.random(min(20_000, end - writer.updates)):
                    row = {
                        "loss": loss,
                        "lr": 0.1,
                        "update_norm": loss,
                        "update_cosine": loss - 0.5,
                    }
                    writer.append_update({**row, "distance": loss})
                writer.append_state(writer.updates, rng.random(3))
                writer.commit()
            while page.evaluate("globalThis.explorer?.player ? +step.max : 0") < end:
                page.wait_for_timeout(100)
            page.wait_for_timeout(2000)
            found[f"server and page, MB, at {end:,} steps"] = [
                round(memory(server.pid)), round(heap(page), 1)
            ]  # fmt: skip
        found["points of a curve"] = page.evaluate("explorer.runs[0].path.losses.length")
        writer.close()
    return found


def heap(page: Any) -> float:
    """Megabytes of the page after a collection."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    found = session.send("Runtime.getHeapUsage")["usedSize"] / 2**20
    session.detach()
    return found


def speeds(table: np.ndarray, windows: Sequence[tuple[str, float, float]]) -> dict[str, Any]:
    """How fast the training was with and without the others beside it."""
    ends = np.array([w[1:] for w in windows])
    made, worked = (np.interp(ends, table[:, 0], table[:, column]) for column in (1, 3))
    steps = np.diff(made)[:, 0]
    seconds, cost = np.diff(ends)[:, 0] / steps, np.diff(worked)[:, 0] / steps
    found: dict[str, Any] = {"steps": int(table[-1, 1])}
    alone = np.array([not w[0] for w in windows])
    for name in dict.fromkeys(w[0] for w in windows if w[0]):
        on = np.array([w[0] == name for w in windows])
        found |= {
            f"{name}: steps/s alone, beside it": [
                round(float(1 / np.median(seconds[m]))) for m in (alone, on)
            ],
            f"{name}: loss of speed, % (95 % interval)": loss(seconds, on),
            f"{name}: the same of processor time": loss(cost, on),
        }
    return found


def loss(cost: np.ndarray, on: np.ndarray) -> list[float]:
    """By how many per cent a step costs more in these windows than beside them; the interval."""
    pairs = [cost[k] / np.mean(cost[[k - 1, k + 1]]) for k in np.flatnonzero(on)]
    rng = np.random.default_rng(0)
    medians = [np.median(rng.choice(pairs, len(pairs))) for _ in range(2000)]
    found = (np.median(pairs), *np.percentile(medians, [2.5, 97.5]))
    return [round(100 * (float(v) - 1), 2) for v in found]


def delays(
    table: np.ndarray, seen: np.ndarray, windows: Sequence[tuple[str, float, float]]
) -> dict[str, Any]:
    """From commits to the screen, of commits in windows in which the page was let go on."""
    commits = table[np.flatnonzero(np.diff(table[:, 2], prepend=-1) > 0)]
    found = []
    for on, begin, end in windows:
        for moment, _, step, _ in commits if on in ("all", "page") else ():
            if begin + 0.2 < moment < end - 1:
                shown = seen[seen[:, 1] >= step, 0]
                found.append(shown[0] - moment if len(shown) else np.inf)
    return {
        "delay to the screen, s: median, 99 %, worst": [
            round(float(np.quantile(found, q)), 2) for q in (0.5, 0.99, 1)
        ],
        "commits": len(found),
    }


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--apart", action="store_true", help="the writer on cores of its own")
    parser.add_argument("--each", action="store_true", help="what each of the others costs")
    parser.add_argument("--million", action="store_true", help="memory with 1,000,000 steps")
    parser.add_argument("--cores", default="", help=argparse.SUPPRESS)
    parser.add_argument("--write", help=argparse.SUPPRESS)
    parser.add_argument("--read", help=argparse.SUPPRESS)
    parser.add_argument("--how", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        if given.cores:
            os.sched_setaffinity(0, set(map(int, given.cores.split(","))))
        write(given.write)
    elif given.read:
        os.nice(19)
        read(Path(given.read), given.how)
    else:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            how = {"apart": given.apart, "each": given.each}
            found = (
                million(place, 1000000) if given.million else watched(place, given.minutes, **how)
            )
            for name, value in found.items():
                print(f"{name}: {value}")


if __name__ == "__main__":
    main()
