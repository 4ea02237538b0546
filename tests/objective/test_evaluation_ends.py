"""Processes that measure end with the measurement, and nothing is left or said of them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="reads /proc")

SCRIPT = """
import multiprocessing, os, sys, time
import numpy as np
import torch
import landscape as ls
from landscape.objective.strategies.choice import Choice

held = []

def loss(model, batch):
    if multiprocessing.parent_process():
        held.append(multiprocessing.get_context("spawn").Lock())  # a semaphore of the worker's
        with open(sys.argv[1], "a") as file:
            print(os.getpid(), file=file)
        if model.bias.item() == 7:
            raise ArithmeticError("no number")
        if model.bias.item() == 1:
            print("busy", flush=True)
            time.sleep(60)
    return model(batch[0]).square().squeeze(1)

if __name__ == "__main__":
    objective = ls.Objective(torch.nn.Linear(2, 1), loss, (torch.randn(8, 2),), batch_size=8)
    objective.tuning.use(Choice("sequential", 8))
    left = ls.Processes(("cpu",)).start(objective.restrict(np.zeros(3), np.eye(3)[2:]))
    worker = left.__enter__()[0]
    try:
        worker.submit(np.full((1, 1), 7.0), None).result()
    except ArithmeticError as problem:
        print(problem, "in loss" in problem.__notes__[0])
    assert worker.submit(np.full((1, 1), 2.0), None).result().mean.shape == (1, 1)
    line = ls.line_between(np.zeros(3), np.array([0.0, 0.0, 1.0]))
    try:
        ls.loss_line(objective, line, resolution=9, extent=(0, 1), engine=ls.Processes())
    except BaseException as stopped:
        print(type(stopped).__name__)
"""


def running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_no_process_is_left_and_nothing_is_said_of_it(tmp_path):
    """One is left at its work's end until the exit, one is busy and one idle at Ctrl-C."""
    script, log = tmp_path / "script.py", tmp_path / "log"
    script.write_text(SCRIPT)
    command = [sys.executable, "-W", "default", str(script), str(log)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as run:
        assert run.stdout is not None
        told = [run.stdout.readline(), run.stdout.readline()]
        time.sleep(1)  # the other one ends its part
        run.send_signal(signal.SIGINT)
        rest, errors = run.communicate(timeout=100)
    assert [*told, rest] == ["no number True\n", "busy\n", "Interrupted\n"]
    assert (run.returncode, errors) == (0, "")
    workers = {int(word) for word in log.read_text().split()}
    assert len(workers) == 3
    assert not any(map(running, workers))
