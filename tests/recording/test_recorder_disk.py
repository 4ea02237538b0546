"""Recorder on disks that fail: training goes on, one message says why, what was kept is whole."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from test_recorder import made, train

import landscape as ls
from landscape.base.runs.writer import TrajectoryWriter
from landscape.recording.size import Size
from landscape.recording.stream import RecordingStopped, Stream


def adam(model):
    return torch.optim.Adam(model.parameters(), lr=0.01)


def check_kept(path, states, at_least=0):
    run = ls.Trajectory(path)
    assert not run.complete
    assert run.steps[-1] >= at_least
    for s, step in enumerate(run.steps):
        np.testing.assert_array_equal(run.state(s), states[step])
    assert np.isfinite(run.scalars.get("loss", np.zeros(0))).all()
    return run


@pytest.mark.parametrize(
    ("place", "when"), [("append_state", 0), ("append_state", 7), ("commit", 0), ("commit", 1)]
)
def test_a_failing_write_stops_the_recording_and_nothing_else(tmp_path, monkeypatch, place, when):
    model = made()
    states, losses = train(model, adam(model), 12)
    original, calls = getattr(TrajectoryWriter, place), []

    def failing(self, *args, **kwargs):
        calls.append(0)
        if len(calls) > when:
            raise OSError(errno.EIO, "Input/output error")
        return original(self, *args, **kwargs)

    monkeypatch.setattr(TrajectoryWriter, place, failing)
    model = made()
    optimizer = adam(model)
    recorder = ls.Recorder(tmp_path / "run.h5", model, optimizer)
    with pytest.warns(RecordingStopped) as caught, recorder:
        again = train(model, optimizer, 12, recorder)
    np.testing.assert_array_equal(again[0], states)
    np.testing.assert_array_equal(again[1], losses)
    (warning,) = caught
    text = str(warning.message)
    assert "Input/output error" in text
    assert f"step {recorder.committed} is the last" in text
    assert "\n" not in text
    if recorder.committed >= 0:
        check_kept(tmp_path / "run.h5", states, at_least=recorder.committed)


def test_a_full_disk_is_noticed_before_the_file_is_hurt(tmp_path, monkeypatch):
    states, _ = train(model := made(), adam(model), 12)
    original, written = TrajectoryWriter.append_state, []

    def append_state(self, step, *args, **kwargs):
        written.append(step)
        original(self, step, *args, **kwargs)

    def free(path):  # room for seven states, besides what is left untouched
        return type("", (), {"free": (7.5 - len(written)) * 4 * (94 + 8) + (1 << 20)})

    monkeypatch.setattr(TrajectoryWriter, "append_state", append_state)
    model = made()
    optimizer = adam(model)
    monkeypatch.setattr("landscape.recording.stream.shutil.disk_usage", free)
    recorder = ls.Recorder(tmp_path / "run.h5", model, optimizer)
    with pytest.warns(RecordingStopped, match=r"No space left.*step 6 is the last one"), recorder:
        train(model, optimizer, 12, recorder)
    check_kept(tmp_path / "run.h5", states, at_least=6)


def test_a_deleted_file_is_reported(tmp_path):
    states, _ = train(model := made(), adam(model), 12)
    model = made()
    optimizer = adam(model)
    recorder = ls.Recorder(tmp_path / "run.h5", model, optimizer).start()
    train(model, optimizer, 6, recorder)
    recorder.flush()
    (tmp_path / "run.h5").unlink()

    def go_on():
        states, _ = train(model, optimizer, 6, recorder, start=6)
        recorder.close()
        return states

    with pytest.warns(RecordingStopped, match="deleted or replaced") as caught:
        again = go_on()
    np.testing.assert_array_equal(again, states[6:])
    assert len(caught) == 1


_LIMITED = """
import os, resource, signal, sys, warnings
import numpy as np, torch
import landscape as ls
sys.path.insert(0, sys.argv[2])
from test_recorder import made, train
from test_recorder_disk import adam
torch.set_num_threads(1)
kind, path, limit = sys.argv[1], sys.argv[3], int(sys.argv[4])
if kind == "limit":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
model = made()
optimizer = adam(model)
if kind == "permission" and os.geteuid() == 0:
    os.setuid(65534)
try:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with ls.Recorder(path, model, optimizer) as recorder:
            states, _ = train(model, optimizer, 600, recorder)
except OSError as error:
    print("refused:", error)
    raise SystemExit
print("finished", recorder.committed)
for warning in caught:
    print("warning:", warning.message)
"""


def limited(kind, path, limit=0):
    code = textwrap.dedent(_LIMITED)
    here = os.path.dirname(__file__)
    arguments = [sys.executable, "-c", code, kind, here, str(path), str(limit)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300)


def test_the_initialization_is_committed_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("landscape.recording.stream.COMMIT_SECONDS", 600.0)
    model = made()
    optimizer = adam(model)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer) as recorder:
        train(model, optimizer, 3, recorder)
        deadline = time.monotonic() + 300
        while recorder.committed < 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert recorder.committed == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
@pytest.mark.parametrize("limit", [120_000, 260_001])
def test_a_quota_that_is_reached_while_writing(tmp_path, limit):
    """The system refuses to let the file grow, in the middle of whatever HDF5 writes then."""
    done = limited("limit", tmp_path / "run.h5", limit)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(lines) == 2, done.stdout
    committed = int(lines[0].split()[1])
    assert lines[1].startswith("warning: Recording to ")
    assert "File too large" in lines[1]
    assert committed >= 0
    torch.set_num_threads(1)
    states, _ = train(model := made(), adam(model), committed + 40)
    check_kept(tmp_path / "run.h5", states, at_least=committed)


def test_a_small_disk_fills_up(tmp_path):
    """A file system of 1.3 MB, in a name space of its own; 1 MB of it is left untouched."""
    disk, kept = tmp_path / "disk", tmp_path / "kept.h5"
    disk.mkdir()
    script = '''disk="$1"; kept="$2"; shift 2
        mount -t tmpfs -o size=1300k none "$disk" || exit 77
        "$@" && cp "$disk/run.h5" "$kept"'''
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    command += [str(disk), str(kept), sys.executable, "-c", textwrap.dedent(_LIMITED)]
    command += ["disk", os.path.dirname(__file__), str(disk / "run.h5"), "0"]
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare")
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode == 77:
        pytest.skip(f"cannot mount: {done.stderr}")
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stdout + done.stderr
    committed = int(lines[0].split()[1])
    assert "No space left on device" in lines[1]
    assert committed > 0
    torch.set_num_threads(1)
    states, _ = train(model := made(), adam(model), committed + 40)
    check_kept(kept, states, at_least=committed)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_folder_that_cannot_be_written_is_refused_before_training():
    with tempfile.TemporaryDirectory() as folder:  # one that every user may enter
        os.chmod(folder, 0o555)
        path = Path(folder) / "run.h5"
        done = limited("permission", path)
        assert done.stdout.startswith(f"refused: {path} cannot be created (Permission denied)"), (
            done.stdout + done.stderr
        )


def test_a_recording_that_the_disk_cannot_hold_is_refused_with_advice(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "landscape.recording.size.shutil.disk_usage", lambda _: type("", (), {"free": 10_000})
    )
    model = made()
    recorder = ls.Recorder(tmp_path / "run.h5", model, adam(model), steps=1000)
    with pytest.raises(OSError, match=r"only 10\.0 kB are free.*every=10.*float16-delta.*sketch"):
        recorder.start()
    assert not list(tmp_path.iterdir())


def test_the_expected_size_is_printed_and_right(tmp_path, capsys):
    layout = ls.Layout.of(big := torch.nn.Linear(500, 100))
    optimizer = torch.optim.SGD(big.parameters(), lr=0.1)
    with ls.Recorder(tmp_path / "run.h5", big, optimizer, steps=20, every=3) as recorder:
        for _ in range(20):
            big(torch.ones(1, 500)).sum().backward()
            optimizer.step()
    assert "8 states of 200.4 kB, 1.6 MB in all" in capsys.readouterr().err
    assert layout.size == 50_100
    actual = (tmp_path / "run.h5").stat().st_size
    assert recorder.size.total is not None
    # Besides the data: chunks of 1024 numbers for each of 11 columns, and HDF5's bookkeeping.
    assert recorder.size.total < actual < recorder.size.total + 11 * 8192 + 100_000


def test_slots_are_bounded_and_a_slow_disk_slows_training(tmp_path, monkeypatch):
    """With every slot taken, the next one is waited for; memory cannot grow."""
    monkeypatch.setattr("landscape.recording.slots._MEMORY", 4 * 4 * (2 * 94 + 8))
    made_slots = []
    slot, append_state = Stream.slot, TrajectoryWriter.append_state

    def counted(self):
        made_slots.append(self._slots.made)
        return slot(self)

    def slow(self, *args, **kwargs):
        time.sleep(0.005)
        append_state(self, *args, **kwargs)

    monkeypatch.setattr(Stream, "slot", counted)
    monkeypatch.setattr(TrajectoryWriter, "append_state", slow)
    model = made()
    optimizer = adam(model)
    with ls.Recorder(tmp_path / "run.h5", model, optimizer) as recorder:
        train(model, optimizer, 30, recorder)
    assert max(made_slots) == 4
    assert len(ls.Trajectory(tmp_path / "run.h5")) == 31


def test_a_recorder_that_is_never_started_leaves_nothing(tmp_path):
    ls.Recorder(tmp_path / "run.h5", model := made(), adam(model)).close()
    assert not list(tmp_path.iterdir())


def test_sizes():
    assert Size(state=10, update=0, every=4, steps=9).states == 1 + 2 + 1
    assert Size(state=10, update=0, every=4, steps=8).states == 1 + 2
    assert Size(state=10, update=0, every=None, steps=8).states == 2
    assert str(Size(state=10, update=0, every=1, steps=None)) == "10 B for each state"


def test_an_error_that_is_not_the_disks_is_told_too(tmp_path, monkeypatch):
    model = made()
    states, _ = train(model, adam(model), 12)

    def failing(self):
        raise MemoryError("no room")

    model = made()
    optimizer = adam(model)
    recorder = ls.Recorder(tmp_path / "run.h5", model, optimizer)
    monkeypatch.setattr(TrajectoryWriter, "commit", failing)
    with pytest.warns(RecordingStopped, match="no room"), recorder:
        again, _ = train(model, optimizer, 12, recorder)
    np.testing.assert_array_equal(again, states)
