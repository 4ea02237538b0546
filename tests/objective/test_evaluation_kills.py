"""SIGKILL at random moments: the finished surface is the same, and only lost units ran again."""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from killable import surface

import landscape as ls

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")

PER_UNIT = 3


def start(folder, engine):
    script = Path(__file__).with_name("killable.py")
    return subprocess.Popen([sys.executable, str(script), str(folder), engine])


def logged(folder):
    """(process, point) of everything that was measured, in order."""
    text = (folder / "log").read_text() if (folder / "log").exists() else ""
    return [line.partition(" ")[::2] for line in text.splitlines(keepends=True) if line[-1] == "\n"]


def wait_for(condition, seconds=300):
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, "nothing happened"
        time.sleep(0.01)
    return found


def running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def finished(folder, tmp_path_factory, *, kills, workers, starts=1):
    """Check the surface, and that points were measured twice only where a kill lost them.

    A run that goes on (all but the first of `starts`) also measures one finished point again, to
    see that the units are of the same loss.
    """
    wanted = surface(tmp_path_factory.mktemp("whole"), 0.0)
    found = ls.Surface.load(folder / "out.h5", "surface")
    np.testing.assert_array_equal(found.values, wanted.values)
    counts = Counter(point for _, point in logged(folder))
    assert len(counts) == 99
    again = [point for point, count in counts.items() if count > 1]
    compared = starts - 1
    assert sum(counts.values()) - 99 <= kills * workers * PER_UNIT + compared
    order = {
        p: i for i, p in enumerate(sorted(counts, key=lambda p: [*map(float, p.split()[::-1])]))
    }
    assert len({order[point] // PER_UNIT for point in again}) <= kills * workers + compared


@pytest.mark.parametrize("seed", [0, 1])
def test_the_whole_run_is_killed_again_and_again(tmp_path, tmp_path_factory, seed):
    moments = random.Random(seed)
    for _ in range(2):
        before = len(logged(tmp_path))
        run = start(tmp_path, "none")
        wait_for(lambda n=before: len(logged(tmp_path)) > n)
        time.sleep(moments.uniform(0, 0.8))
        run.kill()
        run.wait()
        assert not (tmp_path / "out.h5").exists()
    assert start(tmp_path, "none").wait(timeout=240) == 0
    finished(tmp_path, tmp_path_factory, kills=2, workers=1, starts=3)


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
def test_a_worker_is_killed_again_and_again(tmp_path, tmp_path_factory, engine):
    moments = random.Random(2)
    run, killed = start(tmp_path, engine), set()
    for _ in range(2):

        def new():
            assert run.poll() is None, "it ended too early"
            return [p for p, _ in logged(tmp_path) if int(p) not in killed | {run.pid}]

        wait_for(new)
        time.sleep(moments.uniform(0, 0.3))
        process = int(moments.choice(new()))
        os.kill(process, signal.SIGKILL)
        killed.add(process)
    assert run.wait(timeout=240) == 0
    assert len(killed) == 2
    assert len({p for p, _ in logged(tmp_path)} - set(map(str, killed))) >= 1
    finished(tmp_path, tmp_path_factory, kills=2, workers=1)


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")
def test_workers_end_with_the_run_and_it_goes_on(tmp_path, tmp_path_factory):
    for how in (signal.SIGINT, signal.SIGKILL):
        before = len(logged(tmp_path))
        run = start(tmp_path, "processes")
        wait_for(lambda n=before: len(logged(tmp_path)) > n + 10)
        run.send_signal(how)
        assert run.wait(timeout=240) != 0
        workers = {int(p) for p, _ in logged(tmp_path)}
        wait_for(lambda all=workers: not any(map(running, all)))
    assert start(tmp_path, "processes").wait(timeout=240) == 0
    finished(tmp_path, tmp_path_factory, kills=2, workers=2, starts=3)
