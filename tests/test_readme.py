"""The README's code runs as written."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pytest

from landscape.cli import main

README = (Path(__file__).parent.parent / "README.md").read_text()
DOCS = (Path(__file__).parent.parent / "docs" / "your-own-code.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)


def test_python_blocks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    setup, example, _ = PYTHON
    scope: dict = {}
    exec(compile(setup + example, "README.md", "exec"), scope)
    plt.close("all")
    with h5py.File("data/own.results.h5") as file:
        assert set(file) == {"path", "projection", "surface"}
    assert Path("figures/own.html").stat().st_size > 1e5
    assert Path("figures/own.png").stat().st_size > 1e4


def test_blocks_write_files_of_their_own():
    example, commands = PYTHON[1], SHELL[1]
    assert not set(re.findall(r"data/[\w.]+", example)) & set(re.findall(r"data/[\w.]+", commands))


def test_blocks_about_own_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    blocks = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    exec(compile("".join(blocks), "docs/your-own-code.md", "exec"), scope)
    assert scope["walk"].next_step[-1] == 8  # two optimizers, four steps each
    assert scope["trajectory"].dtype == scope["surface"].values.dtype == "float64"
    assert np.isfinite(scope["line"].loss).all()
    own = scope["residual"](scope["net"], None).item()
    np.testing.assert_allclose(scope["objective"].at(scope["trajectory"].final).mean, own)


def test_command_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = [line for line in SHELL[1].splitlines() if line.startswith("landscape ")]
    assert len(lines) >= 8
    for line in lines:
        short = line.replace("--steps 300", "--steps 45")
        if short.startswith("landscape surface"):
            short = short.replace("data/sgd.h5 data", "--resolution 7x5 data/sgd.h5 data")
        monkeypatch.setattr(sys, "argv", shlex.split(short, comments=True))
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code, capsys.readouterr().err
    assert Path("figures/joint.html").exists()
    assert list(Path("figures").glob("*.pdf"))


def test_users_task(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("parabola.py").write_text(PYTHON[2])
    monkeypatch.delitem(sys.modules, "parabola", raising=False)
    for line in (
        "landscape record parabola:task --optimizer adam --steps 5",
        "landscape surface data/adam.h5 --task parabola:task --resolution 3",
    ):
        assert line.rpartition(" --")[0].split(" --steps")[0] in README.replace("\n", " ")
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code, capsys.readouterr().err
