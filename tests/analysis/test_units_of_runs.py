"""Walks, lines and projections in units: killed, shared out or cut in parts, they are the same."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from killable_runs import KINDS, measured, run_in
from synthetic import random_walk, write_run
from typer.testing import CliRunner

import landscape as ls
from landscape.cli import app

TYPES = {"walk": ls.Walk, "line": ls.Profile, "projection": ls.Projection}


def assert_same(found, wanted):
    for field in dataclasses.fields(wanted):
        value = getattr(wanted, field.name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(found, field.name), value, err_msg=field.name)
    assert found.settings == wanted.settings


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """The three measured at once, and how many passes each takes."""
    folder = tmp_path_factory.mktemp("whole")
    found = {kind: measured(kind, folder, 0.0) for kind in KINDS}
    return found, {kind: len((folder / f"{kind}.log").read_text().split()) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_shards_of_a_folder_come_together(kind, wanted, tmp_path):
    parts = [measured(kind, tmp_path, 0.0, units=tmp_path / "u", shard=(k, 3)) for k in (2, 0, 1)]
    assert_same(parts[-1], wanted[0][kind])
    field = "alpha" if kind == "line" else "step"
    sizes = [len(getattr(part, field)) for part in parts]
    assert sizes == sorted(set(sizes))
    alone = measured(kind, tmp_path, 0.0, shard=(1, 3))
    assert len(getattr(alone, field)) < sizes[-1] / 2
    with pytest.raises(ValueError, match="0 ≤ i < n"):
        measured(kind, tmp_path, 0.0, shard=(3, 3))
    with pytest.raises(ValueError, match="fewer units than shards"):
        measured(kind, tmp_path, 0.0, shard=(99, 100))


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_of_another_run_is_refused(kind, tmp_path):
    measured(kind, tmp_path, 0.0, units=tmp_path / "u")
    layout = run_in(tmp_path).layout
    (tmp_path / "run.h5").unlink()
    write_run(tmp_path / "run.h5", random_walk(33, 9, seed=5), layout=layout)
    with pytest.raises(ValueError, match="another measurement"):
        measured(kind, tmp_path, 0.0, units=tmp_path / "u")


def start(folder, engine):
    script = Path(__file__).parents[1] / "killable_runs.py"
    return subprocess.Popen([sys.executable, str(script), str(folder), engine])


def logged(folder):
    return [word for log in sorted(folder.glob("*.log")) for word in log.read_text().split()]


def wait_for(condition, seconds=240):
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, "nothing happened"
        time.sleep(0.01)
    return found


def finished(folder, wanted, *, lost):
    """Check the three, and that little more was measured than was lost."""
    for kind in KINDS:
        assert_same(TYPES[kind].load(folder / "out.h5", kind), wanted[0][kind])
    assert len(logged(folder)) <= sum(wanted[1].values()) + lost


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
def test_the_whole_is_killed_again_and_again(wanted, tmp_path):
    moments, done = random.Random(0), {}
    for how in (signal.SIGKILL, signal.SIGINT):
        before = len(logged(tmp_path))
        run = start(tmp_path, "none")
        wait_for(lambda n=before: len(logged(tmp_path)) > n + 60)
        time.sleep(moments.uniform(0, 0.5))
        run.send_signal(how)
        assert run.wait() != 0
        now = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("unit-*.npz")}
        assert {p: now[p] for p in done} == done  # what was finished is not measured again
        assert len(now) > len(done)
        done = now
    assert start(tmp_path, "none").wait(timeout=240) == 0
    assert {p: p.stat().st_mtime_ns for p in done} == done
    # A start looks at every loss anew, and measures one finished unit of each kind again.
    finished(tmp_path, wanted, lost=2 * (3 * 40 + 4))


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
@pytest.mark.parametrize(
    "engine",
    [
        "processes",
        pytest.param(
            "ray",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("ray") is None, reason="needs the extra cluster (Ray)"
            ),
        ),
    ],
)
def test_workers_are_killed_again_and_again(wanted, tmp_path, engine):
    moments = random.Random(1)
    run, killed = start(tmp_path, engine), set()
    for kind in KINDS:  # one of the workers of each

        def new(kind=kind):
            assert run.poll() is None, "it ended too early"
            log = tmp_path / f"{kind}.log"
            words = log.read_text().split() if log.exists() else []
            return sorted({int(w) for w in words} - killed - {run.pid})

        wait_for(new)
        time.sleep(moments.uniform(0, 0.2))
        process = moments.choice(new())
        os.kill(process, signal.SIGKILL)
        killed.add(process)
    assert run.wait(timeout=240) == 0
    finished(tmp_path, wanted, lost=3 * 3 * 45)  # every worker looks at the loss for itself


def test_the_command_line_measures_in_parts_and_processes(runs, tmp_path):
    def run(*line):
        done = CliRunner().invoke(app, [str(word) for word in line])
        assert done.exit_code == 0, done.exception
        return done.output

    out, units = tmp_path / "out.h5", ("--units", tmp_path / "u")
    walk = ["walk", runs["sgd"], "--samples", "60", "--points", "2", "--out", out]
    assert "part 1/2" in run(*walk, *units, "--shard", "1/2")
    few = ls.Walk.load(out, "walk/sgd")
    run(*walk, *units, "--processes", "2")
    whole = ls.Walk.load(out, "walk/sgd")
    assert len(few.step) < len(whole.step)
    run(*walk)
    np.testing.assert_allclose(whole.loss, ls.Walk.load(out, "walk/sgd").loss, rtol=1e-5)
    refused = CliRunner().invoke(app, [*map(str, walk), "--shard", "1/2"])
    assert "--shard needs --units" in str(refused.exception)
