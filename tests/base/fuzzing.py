"""Read damaged and hostile files, and say what is wrong with how that ends.

Run as a program it reads inputs one after the other, and says each number before it begins, so that
whoever started it knows which input ended the interpreter, or never ended.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import resource
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
from fuzz_inputs import make_input

SECONDS = 10  # that one input may take
MEMORY = 1 << 30  # bytes that reading may take beyond what the program has
UNITS = ("k" * 16, 70)  # key and points of the folder of units


def read_run(path: Path) -> None:
    """Everything that a run holds."""
    from landscape.base.runs.trajectory import Trajectory
    from landscape.cli.describe import describe

    with Trajectory(path) as run:
        assert len(run) >= 1
        for state in (run.initial, run.final, run.columns(slice(0, 2), slice(0, 1))[0]):
            assert state.dtype == np.float32, state.dtype
        assert run.final.shape == (run.layout.size,)
        for values in (run.buffers(0), run.evaluation(-1), run.random_state(-1)):
            assert values is None or values.ndim == 1
        for values in (run.sketch, run.gradient_histogram, run.frozen):
            assert values is None or len(values) >= 0
        for name in run.layer_scalars:
            assert run.layers(name).shape == (run.updates, len(run.layout))
        assert isinstance(run.name, str)
    list(describe(path))


def read_results(path: Path) -> None:
    """Every result of a file."""
    from landscape.base.result import Result
    from landscape.cli.describe import describe
    from landscape.results.registry import load_results

    assert all(isinstance(one, Result) for one in load_results(path).values())
    list(describe(path))


def read_li2018(path: Path) -> None:
    """What the 2018 tool wrote."""
    from landscape.exchange.li2018.folder import read_all

    assert read_all([path])


def read_units(path: Path) -> None:
    """What a folder of units says and holds."""
    from landscape.objective.workers.units import Units

    units = Units(path, key=UNITS[0], points=UNITS[1])
    units.choice, units.missing(), units.missing((1, 3))
    mean, error, computed = units.collect(1)
    assert mean.shape == error.shape == (1, UNITS[1])
    assert computed.shape == (UNITS[1],)


READ = {"run": read_run, "results": read_results, "li2018": read_li2018, "units": read_units}


def verdict(kind: str, path: Path) -> tuple[str, bool]:
    """Read an input; says what is wrong with how it ends, or nothing, and whether it opened."""
    before = _mark(path)
    problem, opened = "", False
    try:
        READ[kind](path)
        opened = True
    except (ValueError, OSError) as error:
        said = str(error)
        if "\n" in said or path.name not in said or len(said) > 2000:
            problem = f"{type(error).__name__} with a message of no use: {said[:300]!r}"
    except BaseException as error:  # whatever it is, it is no message
        problem = f"{type(error).__name__}: {str(error)[:300]}"
    return problem or ("it was changed" if _mark(path) != before else ""), opened


def said_by_command(command: str, path: Path) -> str:
    """Ask the command line about an input; says what is wrong with the answer, or nothing."""
    from landscape.cli import main

    sys.argv, code, out, err = ["landscape", command, str(path)], 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    lines = err.getvalue().splitlines()
    if (code == 0 and not lines) or (code == 2 and len(lines) == 1):
        return ""
    return f"`landscape {command}` ends with {code} and {lines[:3]}"


def _mark(path: Path) -> str:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return hashlib.sha256(
        b"".join(f.name.encode() + (f.read_bytes() if f.is_file() else b"") for f in files)
    ).hexdigest()


def main() -> None:
    """Read inputs FIRST to LAST of SEED; prints each number, and what is wrong behind it."""
    bases, into = Path(sys.argv[1]), Path(sys.argv[2])
    seed, first, last = map(int, sys.argv[3:6])
    import landscape.analysis
    import landscape.cli.describe
    import landscape.exchange.li2018.folder  # noqa: F401

    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # it ends the program, whatever that does
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    for number in range(first, last):
        print(number, flush=True)
        kind, path = make_input(bases, into, seed, number)
        signal.alarm(SECONDS)
        wrong, opened = verdict(kind, path)
        if not wrong and number % 20 == 0 and kind != "units":
            wrong = said_by_command("info", path)
            if not wrong and not opened:
                wrong = said_by_command("plot", path)
        signal.alarm(0)
        if wrong:
            print(f"{number} {path.name}: {' '.join(wrong.split())}", flush=True)


if __name__ == "__main__":
    main()
