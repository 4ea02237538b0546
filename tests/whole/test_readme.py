"""The README's code runs as written."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from landscape.cli import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCS = (ROOT / "docs" / "your-own-code.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
SETUP, *HAVE, TASK = PYTHON
COMMANDS, OWN_COMMANDS = SHELL[1], SHELL[2]


@pytest.fixture(scope="module")
def scope(tmp_path_factory):
    """What the first block makes, in a folder with the checkpoints that a reader has."""
    before, folder = Path.cwd(), tmp_path_factory.mktemp("readme")
    os.chdir(folder)
    names: dict = {}
    exec(compile(SETUP, "README.md", "exec"), names)
    trained = names["model"].state_dict()
    torch.save({"state_dict": {f"module.{k}": v for k, v in trained.items()}}, "model.pt")
    for epoch in range(4):
        moved = {k: v + 0.1 * epoch * torch.randn_like(v) for k, v in trained.items()}
        torch.save(moved, f"epoch_{epoch}.pt")
    yield names
    os.chdir(before)


@pytest.mark.parametrize("number", range(len(HAVE)))
def test_every_block_goes_on_from_the_first_and_runs_twice(scope, number):
    block = HAVE[number]
    if "transformers" in block:
        pytest.importorskip("transformers")
        pytest.importorskip("accelerate")
    own = dict(scope)
    if "lm," in block and "lm =" not in block:  # the trainer's goes on from the language model's
        exec(compile(HAVE[number - 1], "README.md", "exec"), own)
    for _ in range(2):
        exec(compile(block, "README.md", "exec"), own)
        plt.close("all")
    for file in re.findall(r"figures/[\w.]+", block):
        assert Path(file).stat().st_size > 5e3, file


def test_blocks_are_short():
    lines = [len(list(filter(None, block.splitlines()))) for block in HAVE]
    assert max(sorted(lines)[:-1]) <= 6  # a training loop is longer by itself
    assert max(lines) <= 12
    assert max(map(len, "".join(PYTHON).splitlines())) <= 100
    assert README.count("\n") < 240


def test_files_and_links_that_it_names_exist():
    for target in re.findall(r"\]\((?!http)([^)#]+)", README):
        if not target.startswith("figures/"):  # drawn by scripts
            assert (ROOT / target).exists(), target


def test_blocks_write_files_of_their_own():
    example, commands = "".join(HAVE), COMMANDS + OWN_COMMANDS
    named = set(re.findall(r"data/[\w.]+", example)) & set(re.findall(r"data/[\w.]+", commands))
    assert named <= {"data/series.h5"}  # the twin of a block


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
    lines = [line for line in COMMANDS.splitlines() if line.startswith("landscape ")]
    assert len(lines) >= 11
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
    Path("parabola.py").write_text(TASK)
    monkeypatch.delitem(sys.modules, "parabola", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    task = importlib.import_module("parabola").task
    for name in ("model", "a", "b", "epoch_1", "epoch_2", "epoch_3"):
        torch.manual_seed(len(name) + ord(name[-1]))
        torch.save(task(0).model.state_dict(), f"{name}.pt")
    for line in OWN_COMMANDS.splitlines():
        short = line.replace("--optimizer adam", "--optimizer adam --steps 5")
        short = re.sub("(landscape surface .*?)( *#.*)?$", r"\1 --resolution 3", short)
        words = [name for word in shlex.split(short, comments=True) for name in _found(word)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code, (line, capsys.readouterr().err)
    assert {"adam.h5", "series.h5", "pair.h5"} <= {p.name for p in Path("data").iterdir()}


def _found(word: str) -> list[str]:
    """A word as a shell expands it."""
    return sorted(map(str, Path().glob(word))) if "*" in word else [word]
