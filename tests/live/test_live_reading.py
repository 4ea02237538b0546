"""What a watcher makes of a file that grows: curves in bounded memory, and what became of a run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live_run import LiveRun

import landscape as ls
from landscape.live.follower import Follower
from landscape.live.hub import Hub
from landscape.live.thinning import MOST, ThinnedCurve


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_a_thinned_curve_keeps_every_extreme_however_it_grew(pieces, seed):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(sum(pieces))
    values[rng.random(len(values)) < 0.01] = np.nan
    curve, start = ThinnedCurve(1), 0
    for count in pieces:
        curve.add(values[start : start + count])
        start += count
    steps, kept = curve.points()
    assert len(steps) <= MOST
    assert (np.diff(steps) > 0).all()
    np.testing.assert_array_equal(kept, values[steps - 1])  # each number at its own step
    if len(values):
        assert steps[-1] == len(values)
    whole = len(values) // curve.span * curve.span
    held = set(steps.tolist())
    for first in range(0, whole, curve.span):
        part = values[first : first + curve.span]
        if np.isfinite(part).any():
            assert first + 1 + int(np.nanargmin(part)) in held
            assert first + 1 + int(np.nanargmax(part)) in held
        inside = (steps > first) & (steps <= first + curve.span)
        assert np.isnan(part).any() == np.isnan(kept[inside]).any()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2500), min_size=2, max_size=10))
def test_what_is_new_completes_what_was_sent_before(pieces):
    values = np.sin(np.arange(sum(pieces)) ** 1.5)
    curve, start = ThinnedCurve(1), 0
    sent, generation, count = [np.zeros(0, int), np.zeros(0)], -1, 0
    for size in pieces:
        curve.add(values[start : start + size])
        start += size
        begin = count if generation == curve.generation else 0
        new = curve.points(begin)
        sent = [np.concatenate([a[:begin], b]) for a, b in zip(sent, new, strict=True)]
        generation, count = curve.generation, len(curve)
        for ours, theirs in zip(sent, curve.points(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_million_steps_take_no_more_room_than_two_thousand():
    curve = ThinnedCurve(1)
    for _ in range(16):
        curve.add(np.random.default_rng(0).random(1 << 16))
    assert len(curve.points()[0]) <= MOST
    assert sum(part.nbytes for part in (*curve._kept, *curve._open)) < 16 * MOST + 100


def test_a_run_is_followed_from_before_its_first_step_to_its_end(tmp_path):
    path = tmp_path / "run.h5"
    follower = Follower(path)
    follower.poll()
    assert (follower.phase, follower.told) == ("waiting", "no such file yet")
    run = LiveRun(path)
    run.steps(3)
    assert follower.poll()
    assert follower.phase == "recording"
    assert "recording, step 3" in follower.told
    assert not follower.poll()  # nothing new
    run.steps(2)
    assert follower.poll()
    recorded = ls.Trajectory(path)
    for name, column in {"losses": "loss", "cosine": "update_cosine", "distance": "distance",
                         "update_norm": "update_norm", "learning_rate": "lr"}.items():  # fmt: skip
        steps, values = follower.curves[name].points()
        assert steps.tolist() == [1, 2, 3, 4, 5]
        np.testing.assert_array_equal(values, recorded.scalars[column])
    assert follower.row(4) == {
        name: v[3] if np.isfinite(v[3]) else None for name, v in recorded.scalars.items()
    }
    with pytest.raises(ValueError, match="step must be one of 1 to 5; not 6"):
        follower.row(6)
    run.close()
    follower.poll()
    assert follower.told == "finished at step 5"
    assert [event["text"] for event in follower.recent] == ["finished at step 5"]


def test_it_is_said_that_a_run_was_stopped_and_went_on_from_an_earlier_step(tmp_path):
    path = tmp_path / "run.h5"
    run = LiveRun(path, random_state=True)
    run.steps(4)
    state = {name: p.detach().clone() for name, p in run.model.named_parameters()}
    run.steps(6)
    follower = Follower(path)
    follower.poll()
    run.close(complete=False)
    follower.poll()
    assert follower.told == "stopped at step 10: the process was killed or interrupted"
    again = LiveRun.__new__(LiveRun)
    again.model, again.optimizer = run.model, run.optimizer
    again.model.load_state_dict(state)
    again.recorder = ls.Recorder(
        path, again.model, again.optimizer, resume=4, random_state=True
    ).start()
    follower.poll()
    assert follower.phase == "recording"
    assert follower.recent[-1]["text"] == "resumed at step 4; what came later was dropped"
    assert follower.curves["losses"].points()[0].tolist() == [1, 2, 3, 4]
    again.steps(8, loss=-1.0)  # beyond where it was
    follower.poll()
    assert follower.curves["losses"].points()[1].tolist() == [1, 2, 3, 4, *[-1] * 8]
    again.close()


def test_a_run_that_went_back_and_beyond_between_two_looks_is_read_anew(tmp_path):
    path = tmp_path / "run.h5"
    run = LiveRun(path)
    run.steps(4)
    state = {name: p.detach().clone() for name, p in run.model.named_parameters()}
    run.steps(2)
    follower = Follower(path)
    follower.poll()
    run.close(complete=False)
    run.model.load_state_dict(state)
    run.recorder = ls.Recorder(path, run.model, run.optimizer, resume=4).start()
    run.steps(9, loss=-1.0)
    follower.poll()
    assert follower.curves["losses"].points()[1].tolist() == [1, 2, 3, 4, *[-1] * 9]
    assert "resumed" in follower.recent[-1]["text"]
    run.close()


def test_another_run_under_the_same_name_and_a_deleted_file_are_told(tmp_path):
    path = tmp_path / "run.h5"
    run = LiveRun(path)
    run.steps(5)
    follower = Follower(path)
    follower.poll()
    run.close()
    follower.poll()
    run = LiveRun(path, overwrite=True)
    run.steps(2, loss=7.0)
    follower.poll()
    assert follower.recent[-1]["text"] == "replaced: another run is recorded under this name"
    assert follower.curves["losses"].points()[1].tolist() == [7, 7]
    run.close()
    path.unlink()
    follower.poll()
    assert (follower.told, follower.step) == ("no such file yet", 0)
    assert follower.recent[-1]["text"] == "the file was deleted"


def test_a_full_disk_is_told_from_a_kill(tmp_path, monkeypatch):
    path = tmp_path / "run.h5"
    run = LiveRun(path)
    run.steps(2)
    follower = Follower(path)
    follower.poll()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, 1000))
    with pytest.warns(ls.RecordingStopped, match="No space left"):
        run.steps(1)
    follower.poll()
    assert follower.told == "stopped at step 2: the disk is full"
    monkeypatch.undo()
    follower.poll()
    assert follower.told == "stopped at step 2: the disk is full"
    run.close()


KILLED = """
import sys; sys.path.insert(0, sys.argv[2])
from pathlib import Path; from live_run import LiveRun
run = LiveRun(Path(sys.argv[1])); run.steps(5); print("ready", flush=True)
while True: run.steps(1)
"""


def test_a_killed_process_is_told(tmp_path):
    path = tmp_path / "run.h5"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path), str(Path(__file__).parents[1])],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    follower = Follower(path)
    follower.poll()
    assert follower.phase == "recording"
    process.kill()
    process.communicate()
    follower.poll()
    assert follower.phase == "stopped"
    assert "killed or interrupted" in follower.told
    assert follower.step == ls.Trajectory(path).updates


def test_what_is_no_run_is_said_and_looked_at_again(tmp_path):
    path = tmp_path / "run.h5"
    path.write_bytes(b"not a run")
    follower = Follower(path)
    follower.poll()
    assert "is not an HDF5 file" in follower.told
    os.unlink(path)
    run = LiveRun(path)
    run.steps(1)
    follower.poll()
    assert follower.phase == "recording"
    run.close()


def test_runs_that_come_into_a_folder_are_found_and_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr("landscape.live.hub._FOLDER_SECONDS", 0.0)
    hub = Hub([tmp_path])
    cursor = {}
    hub.refresh()
    assert hub.news(cursor)["runs"] == []
    runs = [LiveRun(tmp_path / f"{name}.h5") for name in "ab"]
    (tmp_path / "a.results.h5").write_bytes(b"")
    for run in runs:
        run.steps(2)
    hub.refresh()
    news = hub.news(cursor)
    assert [run["name"] for run in news["content"]["runs"]] == ["SGD (a)", "SGD (b)"]
    assert len({run["color"] + run["dash"] for run in news["content"]["runs"]}) == 2
    assert [run["last"] for run in news["runs"]] == [2, 2]
    assert hub.news(cursor) is None
    runs[1].steps(1)
    hub.refresh()
    news = hub.news(cursor)
    assert "content" not in news
    assert [(run["name"], run["last"]) for run in news["runs"]] == [("SGD (b)", 3)]
    for run in runs:
        run.close()


def test_watching_needs_no_torch():
    code = (
        "import landscape.live.server, landscape.cli.watch, sys; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
