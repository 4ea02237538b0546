"""Where a path of the user's leads: ``~`` is the home folder, and a live recording stays."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys

import numpy as np
import pytest
import torch

import landscape as ls
from landscape.base.files import expanded
from landscape.cli import main
from landscape.training.many import record_runs


def recorded(path, model, **options):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with ls.Recorder(path, model, optimizer, **options):
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    yield tmp_path / "home"
    assert not (tmp_path / "~").exists()


def test_a_run_and_its_results_are_written_and_read_at_home(home):
    model = torch.nn.Linear(2, 1)
    recorded("~/runs/a.h5", model)
    assert (home / "runs/a.h5").is_file()
    with pytest.raises(FileExistsError):
        recorded("~/runs/a.h5", model)
    run = ls.Trajectory("~/runs/a.h5")
    path = ls.path_metrics(run)
    path.save("~/results/a.h5", "path")
    assert sorted(ls.load_results("~/results/a.h5")) == ["path"]
    assert type(path).find("~/results/a.h5", "path") is not None
    ls.explore("~/results/a.h5", "~/pages/a.html")
    assert (home / "pages/a.html").is_file()


def test_checkpoints_at_home_are_imported_there(home):
    torch.save(torch.nn.Linear(2, 1).state_dict(), home / "a.pt")
    ls.import_checkpoints(["~/a.pt"], "~/run.h5")
    assert len(ls.Trajectory("~/run.h5")) == 1


def test_options_of_commands_lead_home_too(home, monkeypatch):
    recorded("~/a.h5", torch.nn.Linear(2, 1))
    for line in ("info ~/a.h5", "path ~/a.h5 --out=~/b.results.h5"):
        monkeypatch.setattr(sys, "argv", ["landscape", *line.split()])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
    assert (home / "b.results.h5").is_file()


def test_a_home_that_is_not_there_is_said():
    with pytest.raises(ValueError, match="give the folder itself"):
        expanded("~nobody-of-this-name/a.h5")


def hold(path, ready):
    model = torch.nn.Linear(2, 1)
    ls.Recorder(path, model, torch.optim.SGD(model.parameters(), lr=0.1)).start()
    ready.set()
    signal.pause()


def test_a_run_under_way_is_not_replaced_and_a_dead_one_is(tmp_path):
    path, model = tmp_path / "a.h5", torch.nn.Linear(2, 1)
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    other = context.Process(target=hold, args=(path, ready))
    other.start()
    try:
        assert ready.wait(60)
        with pytest.raises(FileExistsError, match="is being recorded into at the moment"):
            recorded(path, model, overwrite=True)
        with pytest.raises(FileExistsError, match="is being recorded into at the moment"):
            next(record_runs({path: ls.Run("digits/mlp-8", "sgd", steps=1)}, overwrite=True))
        torch.save(model.state_dict(), tmp_path / "a.pt")
        with pytest.raises(FileExistsError, match="is being recorded into at the moment"):
            ls.import_checkpoints([tmp_path / "a.pt"], path, overwrite=True)
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.join()
    recorded(path, model, overwrite=True)
    assert np.array_equal(
        ls.Trajectory(path).final, torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    )


def test_a_run_that_another_recorder_of_this_process_has_open_is_not_replaced(tmp_path):
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with (
        ls.Recorder(tmp_path / "a.h5", model, optimizer),
        pytest.raises(FileExistsError, match="close that recorder"),
    ):
        ls.Recorder(tmp_path / "a.h5", model, optimizer, overwrite=True)
    assert ls.Trajectory(tmp_path / "a.h5").complete
