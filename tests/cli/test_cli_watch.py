"""`landscape watch` itself: what it prints, whom it answers, how it ends, what it refuses."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from live_run import LiveRun
from test_cli import cli

__all__ = ["cli"]


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
def test_it_prints_an_address_and_how_to_reach_it_and_ends_by_ctrl_c(tmp_path):
    run = LiveRun(tmp_path / "run.h5")
    run.steps(3)
    watching = subprocess.Popen(
        [sys.executable, "-m", "landscape", "watch", "run.h5", "gone.h5", "--no-open"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "SSH_CONNECTION": "there"},
    )  # fmt: skip
    assert watching.stdout is not None
    first, address, far = (watching.stdout.readline().strip() for _ in range(3))
    assert first == "watching run.h5, gone.h5; Ctrl-C ends it"
    port = int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)/\?token=\S{32}", address)[1])
    assert f"ssh -N -L {port}:127.0.0.1:{port} " in far
    assert os.getpriority(os.PRIO_PROCESS, watching.pid) == 19
    with urllib.request.urlopen(address, timeout=30) as page:
        assert page.read(15) == b"<!doctype html>"
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=30)
    assert (watching.returncode, said) == (0, "")
    run.close()


def test_what_cannot_be_watched_is_refused_in_one_line(cli, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for line, why in (
            ("watch gone", "gone: no such folder, and no name of a run"),
            ("watch run.results.h5", "landscape explore run.results.h5"),
            ("watch run.h5 --measure surface", "--measure takes 'surface|walk|sharpness every N"),
            (f"watch run.h5 --no-open --port {port}", f"port {port} cannot be used"),
        ):
            assert why in cli(line, expect=2)
