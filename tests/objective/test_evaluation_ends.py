"""Processes that measure end with the measurement, and nothing is left or said of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")

SCRIPT = """
import multiprocessing, os, signal, sys, time
import numpy as np
import torch
import landscape as ls
from landscape.objective.strategies.choice import Choice

how, log = sys.argv[1:]
own = []  # semaphores of a worker, as its data or metrics may need

def loss(model, batch):
    if multiprocessing.parent_process():
        own.append(multiprocessing.get_context("spawn").Lock())
        with open(log, "a") as file:
            print(os.getpid(), file=file)
        if how == "failing":
            raise ArithmeticError("no number")
        if how == "stopped":
            time.sleep(60)
    return model(batch[0]).square().squeeze(1)

if __name__ == "__main__":
    objective = ls.Objective(torch.nn.Linear(2, 1), loss, (torch.randn(8, 2),), batch_size=8)
    objective.tuning.use(Choice("sequential", 8))
    line = ls.line_between(objective.parameters(), np.ones(3))
    if how == "left":
        left = ls.Processes().start(objective.restrict(objective.parameters(), np.eye(3)[:1]))
        left.__enter__()[0].submit(np.zeros((2, 1)), None).result()
    else:
        ls.loss_line(objective, line, resolution=8, engine=ls.Processes())
"""


def running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("how", "said"),
    [("well", ""), ("left", ""), ("failing", "ArithmeticError: no number"), ("stopped", "Interrup")],
)
def test_no_process_is_left_and_nothing_is_said_of_it(tmp_path, how, said):
    script, log = tmp_path / "script.py", tmp_path / "log"
    script.write_text(SCRIPT)
    command = [sys.executable, "-W", "default", str(script), how, str(log)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        while how == "stopped" and not log.exists():
            assert run.poll() is None
            time.sleep(0.01)
        if how == "stopped":
            os.kill(run.pid, signal.SIGINT)
        told = run.communicate(timeout=100)[1]
    assert said in told
    assert (run.returncode == 0) == (told == "") == (said == "")
    assert "semaphore" not in told
    workers = {int(word) for word in log.read_text().split()}
    assert workers
    assert not any(map(running, workers))
