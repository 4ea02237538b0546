"""The script that reproduces published claims: runs, resumes, tabulates what does not hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def reproduce(tmp_path):
    """Run the script in an empty folder."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(SCRIPTS / "reproduce.py"), *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(SCRIPTS.parent)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_runs_resumes_and_writes_the_table(reproduce, tmp_path):
    first = reproduce("--only", "null", "--only", "lamb")
    assert first.returncode == 0, first.stderr
    table = (tmp_path / "figures" / "reproduction.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 2
    assert all(row.endswith("| yes |") for row in rows)
    assert "arXiv:1806.08805" in table
    assert "2 of 2 hold" in first.stdout
    done = tmp_path / "data" / "reproduction" / "null.json"
    before = done.stat().st_mtime_ns
    again = reproduce("--only", "null")
    assert done.stat().st_mtime_ns == before
    assert again.stdout.endswith(first.stdout[first.stdout.index("| claim") :])


def test_what_does_not_hold_is_printed_as_such(reproduce, tmp_path):
    done = tmp_path / "data" / "reproduction" / "null.json"
    done.parent.mkdir(parents=True)
    done.write_text(
        '{"seconds": 90, "claims": '
        '[{"claim": "a|b", "source": "s", "expected": "1", "measured": "2", "holds": false}]}'
    )
    shown = reproduce("--only", "null").stdout
    assert r"| a\|b | s | 1 | 2 | **no** |" in shown
    assert "0 of 1 hold" in shown
    assert "took 1.5 minutes of one processor core: null 90 s." in shown
