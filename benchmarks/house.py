"""What the package itself weighs: starting, a mistake, a line of three numbers, a recorded step.

    python benchmarks/house.py                       # this checkout
    python benchmarks/house.py --beside ../before    # and another one, in turns
    python benchmarks/house.py --only line recorder

Programs are started in turns, checkout by checkout, beside ``import torch``; what is compared is
the processor time of each, which a busy machine disturbs less, and its median over the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
LINE = """
import time, numpy as np, torch, landscape as ls
torch.set_num_threads(1)
model = torch.nn.Linear(2, 1)
data = torch.ones(8, 2), torch.zeros(8, 1)
objective = ls.Objective(model, lambda m, b: (m(b[0]) - b[1]).square().mean(1), data)
made = ls.line_between(np.zeros(3, "f4"), np.ones(3, "f4"))
def milliseconds(function, times=200):
    function()
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        function()
        taken.append(1e3 * (time.perf_counter() - begin))
    return sorted(taken)[times // 2]
print(milliseconds(lambda: ls.line_between(np.zeros(3, "f4"), np.ones(3, "f4"))))
print(milliseconds(lambda: ls.loss_line(objective, made, resolution=3)))
print(milliseconds(lambda: objective.at(np.ones(3, "f4"))))
"""
WRITES = """
import os, sys
replaced, replace = [], os.replace
def counted(source, target, **more):
    replaced.append(os.fspath(target))
    return replace(source, target, **more)
os.replace = counted
from landscape.cli import main
sys.argv = ["landscape", "surface", *sys.argv[1:], "--resolution", "5", "--out", "x.results.h5"]
try:
    main()
except SystemExit:
    pass
print(sum(path.endswith("x.results.h5") for path in replaced))
"""
RECORD = ["-m", "landscape", "record", "digits/mlp", "--optimizer", "adam", "--steps"]
PROGRAMS = {  # name: arguments of python; what it is measured against, and the most that it may be
    "import torch": (["-c", "import torch"], "", 0.0),
    "import landscape.objective": (
        ["-c", "import landscape.objective.objective"],
        "import torch",
        1.15,
    ),
    "import torch.optim.Adam": (
        ["-c", "import torch; torch.optim.Adam([torch.zeros(1)])"],
        "import torch",
        0.0,
    ),
    "--help": (["-m", "landscape", "--help"], "", 0.35),
    "a mistake in a path": (["-m", "landscape", "surface", "no.h5"], "", 0.5),
    "a mistake in a name": (["-m", "landscape", "record", "digits/mlpp"], "", 0.5),
    "record --steps 1": (
        [*RECORD, "1", "--out", "r.h5", "--overwrite"],
        "import torch",
        1.6,
    ),
}


def run(checkout: Path, arguments: list[str], folder: Path) -> tuple[float, str]:
    """Processor seconds of a program that uses a checkout, and what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    printed = process.stdout.read()
    used = os.wait4(process.pid, 0)[2]
    return used.ru_utime + used.ru_stime, printed


def starts(checkouts: list[Path], rounds: int, folder: Path) -> None:
    taken = {(c, name): [] for c in checkouts for name in PROGRAMS}
    for turn in range(rounds + 1):  # the first one compiles and fills caches
        for name, (arguments, _, _) in PROGRAMS.items():
            for checkout in checkouts if turn % 2 else checkouts[::-1]:
                seconds = run(checkout, arguments, folder)[0]
                taken[checkout, name] += [seconds] * (turn > 0)
    for checkout in checkouts:
        for name, (_, against, most) in PROGRAMS.items():
            own = taken[checkout, name]
            row = {"checkout": checkout.name, "what": name, "cpu_s": round(median(own), 3)}
            if against:
                pairs = zip(own, taken[checkout, against], strict=True)
                row[f"x {against}"] = round(median(a / b for a, b in pairs), 2)
            print(json.dumps(row | ({"at most": most} if most else {})), flush=True)


def line(checkouts: list[Path], rounds: int, folder: Path) -> None:
    names = ("Line", "loss_line at three places", "Objective.at")
    for checkout in checkouts * rounds:
        printed = run(checkout, ["-c", LINE], folder)[1].split()
        milliseconds = {n: round(float(t), 3) for n, t in zip(names, printed, strict=True)}
        print(
            json.dumps({"checkout": checkout.name, "milliseconds of three numbers": milliseconds})
        )


def recorder(checkouts: list[Path], rounds: int, folder: Path) -> None:
    program = [str(HERE.resolve() / "recorder.py"), "overhead", "--task", "mlp", "--blocks", "5"]
    for checkout in checkouts * rounds:
        printed = run(checkout, [*program, "--steps", "1000"], folder)[1]
        print(json.dumps({"checkout": checkout.name, **json.loads(printed)}), flush=True)


def writes(checkouts: list[Path], rounds: int, folder: Path) -> None:
    for checkout in checkouts:
        runs = [f"{checkout.name}-{name}.h5" for name in ("a", "b")]
        for name in runs:
            run(checkout, [*RECORD, "10", "--out", name], folder)
        count = run(checkout, ["-c", WRITES, *runs], folder)[1].split()[-1]
        (folder / "x.results.h5").unlink(missing_ok=True)
        print(json.dumps({"checkout": checkout.name, "surface writes its results": int(count)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", type=Path, help="another checkout of this project")
    parser.add_argument("--rounds", type=int, default=5)
    parts = {part.__name__: part for part in (starts, line, recorder, writes)}
    parser.add_argument("--only", nargs="+", choices=[*parts], default=[*parts])
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    checkouts = [HERE.parent, *([options.beside] if options.beside else [])]
    with tempfile.TemporaryDirectory() as folder:
        for part in options.only:
            rounds = options.rounds if part == "starts" else max(1, options.rounds // 5)
            parts[part](checkouts, rounds, Path(folder))


if __name__ == "__main__":
    main()
