"""Many runs: parallel processes give the same files; finished runs are kept, others redone."""

from __future__ import annotations

import dataclasses
import runpy
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import landscape as ls
from landscape.base.runs.crashproof import CrashproofFile
from landscape.objective.objective import Objective
from landscape.training.many import is_finished, record_runs
from landscape.training.outcome import Outcome, outcome_table, outcomes
from landscape.training.run import Run

SCRIPTS = sorted((Path(__file__).parents[2] / "scripts").glob("record_*.py"))


def test_finished_runs_are_kept_and_interrupted_ones_redone(tmp_path):
    runs = {
        tmp_path / "sgd.h5": Run("digits/mlp-16", "sgd", steps=3),
        tmp_path / "gd.h5": Run("digits/mlp-16", "gd", steps=3),
    }
    assert [new for _, new in record_runs(runs)] == [True, True]
    assert [new for _, new in record_runs(runs)] == [False, False]
    with h5py.File(tmp_path / "sgd.h5", "r+") as file:
        file.attrs["complete"] = 0
    assert not is_finished(tmp_path / "sgd.h5", runs[tmp_path / "sgd.h5"])
    assert dict(record_runs(runs)) == {tmp_path / "sgd.h5": True, tmp_path / "gd.h5": False}


def test_nothing_else_is_recorded_over(tmp_path):
    run = Run("digits/mlp-16", "sgd", steps=3)
    (tmp_path / "folder.h5").mkdir()
    (tmp_path / "notes.h5").write_text("no run at all")
    (tmp_path / "link.h5").symlink_to(tmp_path / "nowhere")
    ls.record_run(dataclasses.replace(run, steps=2), tmp_path / "shorter.h5")
    ls.record_run(Run("digits/mlp-16", "adam", steps=3), tmp_path / "interrupted.h5")
    with h5py.File(tmp_path / "interrupted.h5", "r+") as file:
        file.attrs["complete"] = 0
    ls.line_between(np.zeros(3), np.ones(3)).save(tmp_path / "results.h5", "line/a")
    said = {
        "folder": "no file", "notes": "no recorded run", "link": "no file",
        "shorter": "steps=2, not 3", "interrupted": "optimizer='adam', not 'sgd'",
        "results": "no recorded run",
    }  # fmt: skip
    for name, words in said.items():
        path = tmp_path / f"{name}.h5"
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(FileExistsError, match=words) as caught:
            list(record_runs({tmp_path / "new.h5": run, path: run}))
        assert "\n" not in str(caught.value)
        assert before is None or path.read_bytes() == before
        assert not (tmp_path / "new.h5").exists()
    path = tmp_path / "shorter.h5"
    assert list(record_runs({path: run}, overwrite=True)) == [(path, True)]
    assert ls.Trajectory(path).updates == 3


def test_a_run_that_is_being_recorded_is_left_alone(tmp_path):
    run = Run("digits/mlp-16", "sgd", steps=3)
    path = ls.record_run(run, tmp_path / "sgd.h5")
    with h5py.File(path, "r+") as file:
        file.attrs["complete"] = 0
    writer = CrashproofFile(path)
    with pytest.raises(FileExistsError, match="is being recorded into"):
        list(record_runs({path: run}))
    writer.close()


def test_an_impossible_run_is_refused_before_any_is_recorded(tmp_path):
    runs = {tmp_path / f"{n}.h5": Run("digits/mlp-16", n, steps=3) for n in ("sgd", "sdg")}
    with pytest.raises(ValueError, match="not 'sdg'"):
        list(record_runs(runs))
    assert not list(tmp_path.iterdir())


def test_processes_record_what_one_thread_here_records(tmp_path):
    run = Run("digits/mlp-16", "adam", steps=4)
    ls.record_run(dataclasses.replace(run, threads=1), tmp_path / "here.h5")
    there = {tmp_path / f"{k}.h5": dataclasses.replace(run, name=str(k)) for k in range(2)}
    assert {path for path, _ in record_runs(there, workers=2)} == set(there)
    for path in there:
        np.testing.assert_array_equal(
            ls.Trajectory(path).final, ls.Trajectory(tmp_path / "here.h5").final
        )


def test_outcomes_are_the_objectives_values(tmp_path):
    path = ls.record_run(Run("digits/mlp-16-bn", "adam", steps=5, every=2), tmp_path / "a.h5")
    (found,) = outcomes([path])
    task, run = ls.load_task("digits/mlp-16-bn"), ls.Trajectory(path)
    for data, values in ((task.train, found.train), (task.test, found.test)):
        twin = Objective(task.model, task.loss, data, metrics=task.metrics)
        expected = twin.at(run.final, buffers=run.buffers(-1)).mean[:, 0]
        # The same terms summed in other batches, in double precision.
        np.testing.assert_allclose([values["loss"], values["error"]], expected, rtol=1e-6)
    assert (found.steps, found.name) == (5, "Adam")
    assert f"| Adam | 0.002 | 5 | {found.train['loss']:.4f} |" in outcome_table([found])


def test_repeats_over_seeds_are_one_row_with_median_and_range():
    found = [
        Outcome("Adam", 0.1, 5, {"loss": loss, "error": loss / 10}, {}) for loss in (3.0, 1.0, 2.0)
    ]
    table = outcome_table([*found, Outcome("SGD", 0.1, 5, {"loss": 1.5}, {})]).splitlines()
    assert table[0].startswith("| run | lr | steps | seeds | train loss |")
    assert table[2].startswith("| SGD | 0.1 | 5 | 1 | 1.5000 |")  # below the median of Adam's
    assert table[3] == (
        "| Adam | 0.1 | 5 | 3 | 2.0000 (1.0000 to 3.0000) | 20.00 (10.00 to 30.00) |  |  |"
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_run(script, tmp_path, monkeypatch, capsys):
    arguments = [str(script), "--smoke", "--data", str(tmp_path)]
    if script.stem == "record_optimizers":
        arguments += ["--optimizers", "sgd", "lookahead", "lbfgs"]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.syspath_prepend(str(script.parent))  # as Python does for a script
    runpy.run_path(str(script), run_name="__main__")
    assert list(tmp_path.rglob("*-seed1.h5"))  # the smallest setting has two seeds
    assert " to " in capsys.readouterr().out  # a median comes with its range
