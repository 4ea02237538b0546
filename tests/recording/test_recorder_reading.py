"""A recording is read while it is written, from other processes and beside forked children."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.cli.describe import describe

READER = """
import sys, numpy as np, landscape as ls
wrong = reads = 0
while True:
    run = ls.Trajectory(sys.argv[1])
    for s, step in enumerate(run.steps):  # every parameter counts the steps
        wrong += not np.array_equal(run.state(s), np.full(run.layout.size, step, np.float32))
    reads += 1
    print(reads, len(run), wrong, flush=True)
    if run.complete:
        break
"""


def counting(size=3000):
    """A model whose parameters are the number of steps made."""
    model = nn.Linear(size, 1, bias=False)
    with torch.no_grad():
        model.weight.zero_()
    model.weight.grad = -torch.ones_like(model.weight)
    return model, torch.optim.SGD(model.parameters(), lr=1.0)


def test_a_reader_beside_the_writer_finds_every_state_right(tmp_path, monkeypatch):
    monkeypatch.setattr("landscape.recording.stream.COMMIT_SECONDS", 0.02)
    path = tmp_path / "run.h5"
    model, optimizer = counting()
    recorder = ls.Recorder(path, model, optimizer).start()
    recorder.flush()
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    lines = [reader.stdout.readline()]
    while len(lines) < 12:
        for _ in range(20):
            optimizer.step()
        recorder.flush()
        lines.append(reader.stdout.readline())
    recorder.close()
    rest, _ = reader.communicate(timeout=120)
    reads = [[int(n) for n in line.split()] for line in [*lines, *rest.splitlines()] if line]
    assert reader.returncode == 0
    assert reads[0][1] < reads[-1][1] == recorder.step + 1
    assert all(wrong == 0 for *_, wrong in reads)


def test_a_run_that_is_being_recorded_says_so(tmp_path):
    path = tmp_path / "run.h5"
    model, optimizer = counting(4)
    with ls.Recorder(path, model, optimizer) as recorder:
        for _ in range(3):
            optimizer.step()
        recorder.flush()
        run = ls.Trajectory(path)
        assert (run.live, run.complete, len(run)) == (True, False, 4)
        assert "still being recorded, at step 3" in "\n".join(describe(path))
        optimizer.step()
        recorder.flush()
        np.testing.assert_array_equal(run.final, 3)  # what has come since is not seen
        assert len(ls.Trajectory(path)) == 5
    run = ls.Trajectory(path)
    assert (run.live, run.complete) == (False, True)
    recorder = ls.Recorder(path, model, optimizer, resume=True).start()
    recorder.close(complete=False)
    run = ls.Trajectory(path)
    assert (run.live, run.complete) == (False, False)
    assert "interrupted or killed" in "\n".join(describe(path))


def test_a_second_writer_is_refused_and_a_reader_is_no_writer(tmp_path):
    path = tmp_path / "run.h5"
    model, optimizer = counting(4)
    with ls.Recorder(path, model, optimizer) as recorder:
        optimizer.step()
        recorder.flush()
        with pytest.raises(ls.SchemaError, match="being written by another process"):
            ls.Recorder(path, model, optimizer, resume=True).start()
    with ls.Trajectory(path) as run:
        assert run.state(1).tolist() == [1] * 4
        ls.Recorder(path, model, optimizer, resume=True).start().close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_neither_keeps_the_lock_nor_gives_it_away(tmp_path):
    path = tmp_path / "run.h5"
    model, optimizer = counting(4)
    recorder = ls.Recorder(path, model, optimizer).start()
    optimizer.step()
    recorder.flush()
    ends, end = os.pipe()
    child = os.fork()
    if not child:
        os.close(end)
        recorder.close()  # as an interpreter that exits would
        os.read(ends, 1)
        os._exit(0)
    try:
        with pytest.raises(ls.SchemaError, match="being written by another process"):
            ls.Recorder(path, model, optimizer, resume=True).start()
        recorder.close()
        with ls.Recorder(path, model, optimizer, resume=True):  # while the child lives
            optimizer.step()
    finally:
        os.close(end)
        os.waitpid(child, 0)
    assert ls.Trajectory(path).steps.tolist() == [0, 1, 2]


def test_a_file_without_a_writer_that_cannot_be_read_is_refused_at_once(tmp_path):
    (tmp_path / "run.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    with pytest.raises(ls.SchemaError, match="damaged"):
        ls.Trajectory(tmp_path / "run.h5")
