"""Recorder when the loop around it goes wrong: what was recorded is kept, nothing hangs."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import landscape as ls

UNCLOSED = """
    import sys, torch
    import landscape as ls

    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    recorder = ls.Recorder(sys.argv[1], model, optimizer).start()
    for _ in range(30):
        model(torch.ones(4, 3)).sum().backward()
        optimizer.step()
"""


@pytest.mark.parametrize(("end", "code"), [("", 0), ("raise RuntimeError('mine')", 1)])
def test_a_recorder_that_is_not_closed_keeps_everything(tmp_path, end, code):
    path = tmp_path / "run.h5"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(UNCLOSED) + end, path],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    assert ("mine" in done.stderr) == bool(code)
    run = ls.Trajectory(path)
    np.testing.assert_array_equal(run.steps, np.arange(31))
    assert run.updates == 30
    assert not run.complete
