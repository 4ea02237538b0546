"""Commands on a run that is being recorded, here and where files cannot be locked."""

from __future__ import annotations

import errno
import fcntl
import itertools
import threading
import warnings

import numpy as np
import pytest
from live_run import LiveRun
from typer.testing import CliRunner

import landscape as ls
from landscape.base.runs.reading import is_written
from landscape.cli import app
from landscape.live.follower import Follower
from landscape.live.tail import read_tail


@pytest.fixture(params=["local", "no locks"])
def live(request, tmp_path, monkeypatch):
    """A run that is being recorded, on two kinds of file systems."""
    if request.param == "no locks":

        def refuse(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)
    run = LiveRun(tmp_path / "run.h5")
    run.steps(6)
    yield run
    run.close()


@pytest.mark.parametrize("command", ["info", "path", "explore", "plot", "layers"])
def test_a_command_says_how_far_the_run_is_and_does_its_work(live, command, tmp_path):
    path = live.recorder.path
    more = {"explore": ["-o", str(tmp_path / "page.html")], "plot": ["-o", str(tmp_path / "f")]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = CliRunner().invoke(app, [command, str(path), *more.get(command, [])])
    assert found.exit_code == 0, found.output
    assert "still being recorded" in found.output
    assert "step 6" in found.output
    if command == "path":
        metrics = ls.PathMetrics.load(tmp_path / "run.results.h5", "path/run")
        np.testing.assert_array_equal(metrics.step, range(7))


def test_several_on_one_page_are_told_too(live, tmp_path):
    other = LiveRun(tmp_path / "other.h5")
    other.steps(3)
    files = [str(live.recorder.path), str(tmp_path / "other.h5")]
    found = CliRunner().invoke(app, ["explore", *files, "-o", str(tmp_path / "page.html")])
    assert found.exit_code == 0, found.output
    assert found.output.count("still being recorded") == 2
    other.close()


def test_a_closed_run_is_not_told_to_be_live(live, tmp_path):
    live.close()
    assert not ls.Trajectory(live.recorder.path).live
    found = CliRunner().invoke(app, ["info", str(live.recorder.path)])
    assert "complete" in found.output
    assert "still being recorded" not in found.output


def test_without_locks_a_run_is_live_as_long_as_it_is_written(live, monkeypatch):
    path = live.recorder.path
    assert is_written(path)
    follower = Follower(path)
    follower.poll()
    assert follower.phase == "recording"
    monkeypatch.setattr("landscape.base.runs.reading._LATELY", -1.0)
    live.recorder.flush()
    locked = True
    try:
        with open(path) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    except OSError:
        locked = False
    assert is_written(path) == locked


def test_a_run_that_is_written_without_a_pause_is_read(tmp_path, monkeypatch):
    ticks = itertools.count()
    for module in ("landscape.base.runs.reading", "landscape.live.tail"):
        monkeypatch.setattr(f"{module}._state", lambda _: next(ticks))
        monkeypatch.setattr(f"{module}._WAIT", 0.01)
    run = LiveRun(tmp_path / "run.h5")
    run.steps(3)
    with pytest.raises(ls.SchemaError, match="without a pause"):  # nothing confirms what is read
        ls.Trajectory(tmp_path / "run.h5")
    ended = threading.Event()

    def go_on():
        while not ended.is_set():
            run.steps(1)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        for _ in range(3):
            trajectory = ls.Trajectory(tmp_path / "run.h5")
            count = trajectory.updates
            assert count >= 3
            np.testing.assert_array_equal(trajectory.scalars["loss"], range(1, count + 1))
            assert trajectory.steps.tolist() == list(range(count + 1))
            assert np.isfinite(trajectory.state(count)).all()
        tail = read_tail(tmp_path / "run.h5", 1)
        loss = tail.rows[:, tail.names.index("loss")]
        np.testing.assert_array_equal(loss, 2 + np.arange(len(loss)))
    finally:
        ended.set()
        thread.join()
        run.close()
