"""What is measured on a GPU runs without one, on tiny sizes, so that no lent machine is wasted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import gpu


@pytest.mark.parametrize("part", [gpu.surface, gpu.recording, gpu.curvature, gpu.large])
def test_a_part_finds_numbers(part, monkeypatch):
    if part is gpu.large:
        pytest.importorskip("transformers")
    monkeypatch.setattr(gpu, "ROUNDS", 1)
    found = dict(part("cpu", True))
    assert len(found) >= 2
    assert all(any(sign.isdigit() for sign in value) for value in found.values())


def test_a_part_that_cannot_be_measured_says_why(monkeypatch):
    def broken(device, smoke):
        yield "one", "1 ms"
        raise RuntimeError("out of\nmemory")

    for name in ("surface", "recording", "curvature", "large"):
        monkeypatch.setattr(gpu, name, broken)
    lines = list(gpu.rows("cpu", True))
    assert lines[0] == "| one | 1 ms |"
    assert lines[1] == "| broken | **RuntimeError**: out of memory |"
    assert len(lines) == 8


def test_without_a_gpu_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="--device cpu --smoke"):
        gpu.main()
