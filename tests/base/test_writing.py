"""Results of one command are written into their file together."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

import landscape as ls
from landscape.base.writing import Writing

LINE = ls.Line(origin=np.zeros(2), directions=np.ones((1, 2)), gram=[[2.0]], labels=("a",))


@pytest.fixture
def replaced(monkeypatch):
    """What was put in the place of which file."""
    found, replace = [], os.replace
    monkeypatch.setattr(
        os, "replace", lambda a, b: (found.append(os.path.basename(b)), replace(a, b))
    )
    return found


def test_several_are_written_once_and_what_is_removed_goes(tmp_path, replaced):
    path = tmp_path / "x.h5"
    LINE.save(path, "old")
    LINE.save(path, "kept/inner")
    replaced.clear()
    with Writing(path) as file:
        file.add(LINE, "one")
        file.add(LINE, "kept")
        file.remove("old")
        assert "one" not in ls.load_results(path)
    assert replaced == ["x.h5"]
    assert set(ls.load_results(path)) == {"one", "kept", "kept/inner"}


def test_what_was_added_is_written_after_an_exception(tmp_path):
    def interrupted():
        with Writing(tmp_path / "x.h5") as file:
            file.add(LINE, "one")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert set(ls.load_results(tmp_path / "x.h5")) == {"one"}


def test_a_minute_of_work_does_not_wait(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with Writing(tmp_path / "x.h5") as file:
        now[0] = 61.0
        file.add(LINE, "long")
        assert set(ls.load_results(tmp_path / "x.h5")) == {"long"}


def test_a_command_writes_its_results_once(runs, tmp_path, monkeypatch, replaced):
    from landscape.cli import main

    command = ["surface", str(runs["sgd"]), str(runs["adam"]), "--resolution", "3"]
    command += ["--samples", "20", "--every", "20", "-o", str(tmp_path / "x.results.h5")]
    monkeypatch.setattr(sys, "argv", ["landscape", *command])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    assert replaced == ["x.results.h5"]
    found = set(ls.load_results(tmp_path / "x.results.h5"))
    assert found == {"plane/pca", "surface/pca", "projection/pca/sgd", "projection/pca/adam"}
