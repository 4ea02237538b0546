"""A recording process killed with SIGKILL leaves a readable file, from which the run goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "crash.py"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_leaves_every_acknowledged_step_right():
    done = subprocess.run(
        [sys.executable, PROGRAM, "--trials", "8", "--resumed", "3"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    trials = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(trials) == 8
    assert [trial["resumed"] for trial in trials[:3]] == [201, 201, 201]
    assert max(trial["acknowledged"] for trial in trials) > 0  # some died in the middle
