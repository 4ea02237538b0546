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
from landscape.objective import Objective
from landscape.recording.many import is_finished, record_runs
from landscape.recording.outcome import outcome_table, outcomes
from landscape.recording.run import Run

SCRIPTS = sorted((Path(__file__).parents[1] / "scripts").glob("record_*.py"))


def test_finished_runs_are_kept_and_others_redone(tmp_path):
    runs = {
        tmp_path / "sgd.h5": Run("digits/mlp-16", "sgd", steps=3),
        tmp_path / "gd.h5": Run("digits/mlp-16", "gd", steps=3),
    }
    assert [new for _, new in record_runs(runs)] == [True, True]
    assert [new for _, new in record_runs(runs)] == [False, False]
    with h5py.File(tmp_path / "sgd.h5", "r+") as file:
        file.attrs["complete"] = 0
    runs[tmp_path / "gd.h5"] = Run("digits/mlp-16", "gd", steps=4)
    assert [new for _, new in record_runs(runs)] == [True, True]
    assert len(ls.Trajectory(tmp_path / "gd.h5")) == 5
    (tmp_path / "sgd.h5").write_bytes(b"no file of ours")
    assert not is_finished(tmp_path / "sgd.h5", runs[tmp_path / "sgd.h5"])
    assert [new for _, new in record_runs(runs)] == [False, True]


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


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_run(script, tmp_path, monkeypatch, capsys):
    arguments = [str(script), "--smoke", "--data", str(tmp_path)]
    if script.stem == "record_optimizers":
        arguments += ["--optimizers", "sgd", "lookahead", "lbfgs"]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(script), run_name="__main__")
    assert list(tmp_path.rglob("*.h5"))
    assert capsys.readouterr().out
