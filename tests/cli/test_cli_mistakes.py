"""What people mistype: one line that says what to do, before anything slow is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import landscape as ls
from landscape.cli import HOMES, PANELS, loaded, main, names
from landscape.cli.record import said_of_loss
from landscape.tasks import task_names

MISTAKES = {  # command line: part of what is said
    "surfce run.h5": "Did you mean 'surface'?",
    "record digits/mlp --optimizer adamm": "Did you mean adam?",
    "record digit/mlp": "not 'digit/mlp'. Did you mean digits/mlp?",
    "record digits/mpl": "Models for digits: mlp, conv",
    "record mytask.py": "name the function in it too: mytask:task",
    "record": "give TASK, such as digits/mlp",
    "record digits/mlp --epochs 3": "--steps",
    "record digits/mlp --steps ten": "'--steps'",
    "record digits/mlp --lr -1": "lr must be positive and finite; got -1.0",
    "record digits/mlp --steps 0": "steps must be at least 1; got 0",
    "record digits/mlp --schedule cosin": "Did you mean cosine?",
    "record digits/mlp --schedule step --schedule-option warm=3": "takes no option warm; allowed:",
    "record digits/mlp --average swe": "--average must be one of swa, ema; not 'swe'. Did you",
    "record digits/mlp -o taken.h5": "Nothing recorded is overwritten unasked",
    "record digits/mlp -o run.png": "A run ends in .h5; 'run.png' would be a picture",
    "record --resume nope.h5": "nope.h5: no such file",
    "surface nope.h5": "nope.h5: no such file",
    "surface rum.h5": "Did you mean run.h5?",
    "surface folder": "is a folder",
    "surface run.results.h5": "is a results file, not a recorded run",
    "surface": "Give recorded runs",
    "surface run.h5 run.h5": "A run is given twice (run.h5, run.h5)",
    "surface run.h5 --resolution 51x": "takes 51 or 41x61",
    "surface run.h5 --extent foo": "trajectory, R for [-R, R]², or X0,X1,Y0,Y1",
    "surface run.h5 --plane pcaa": "pca, random, eigen; not 'pcaa'. Did you mean pca?",
    "surface run.h5 --data valid": "--data must be one of train, test; not 'valid'.",
    "surface run.h5 --device tpu": "device must be one of auto, cpu, cuda, cuda:N",
    "surface run.h5 --tolerance 1": "1% is 1% or 0.01",
    "surface run.h5 --resolution 1": "at least 2 along both axes",
    "surface run.h5 --task digits/mpl": "Did you mean digits/mlp?",
    "surface run.h5 -o out.csv": "A results file ends in .h5",
    "surface best.ckpt": "landscape surface --checkpoint best.ckpt --task FILE:FUNCTION",
    "surface --checkpoint nope.pt --task a:b": "nope.pt: no such file",
    "walk run.h5 --window 3": "takes FIRST-LAST",
    "line run.h5 --kind betwen": "Did you mean between?",
    "curvature nope.h5": "no such file",
    "layers nope.h5": "no such file",
    "project run.h5 --onto nope.h5": "no such file",
    "plot nope.h5": "no such file",
    "plot run.results.h5 -o figures/x.png": "--out figures --format png",
    "explore nope.h5": "no such file",
    "explore run.results.h5 -o x.png": "A page ends in .html or .htm; not 'x.png'",
    "render run.results.h5 -o x.html": "A picture ends in .png",
    "mesh run.results.h5 -o x.stl": "A mesh ends in .ply",
    "animate run.results.h5 -o x.avi": "A film ends in .gif or .mp4",
    "render run.results.h5 --surface surface/pac": "Did you mean surface/pca?",
    "export run.results.h5 surface/pac": "Did you mean surface/pca?",
    "import nope.pt": "no such file",
    "merge nope.h5 -o x.h5": "no such file",
    "info nope.h5": "no such file",
    "list optimisers": "must be one of optimizers, schedules, tasks, data; not 'optimisers'. Did",
}

RUN_ALL = """
import contextlib, io, json, sys, time
from landscape.cli import main
told = {}
for line in json.load(sys.stdin):
    sys.argv = ["landscape", *line.split()]
    said, began = io.StringIO(), time.process_time()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    told[line] = said.getvalue(), code, time.process_time() - began, "torch" in sys.modules
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def folder(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "best.ckpt").write_bytes(b"PK and what torch writes")
    for name in ("run.h5", "taken.h5"):
        (folder / name).write_bytes(runs["sgd"].read_bytes())
    (folder / "folder").mkdir()
    import explorer_sample as sample

    sample.surface().save(folder / "run.results.h5", "surface/pca")
    return folder


@pytest.fixture(scope="module")
def told(folder):
    """Every mistake, made in one process without torch; what was said, exit code, seconds."""
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL], input=json.dumps(list(MISTAKES)), cwd=folder,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_one_line_and_quick(told, line):
    said, code, seconds, torch_loaded = told[line]
    assert MISTAKES[line] in said
    assert said.count("\n") == 1
    assert "Value error" not in said
    assert code == 2
    assert seconds < 0.5
    assert not torch_loaded


@pytest.fixture
def cli(monkeypatch, folder, capsys):
    monkeypatch.chdir(folder)

    def run(line: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["landscape", *line.split()])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert not stop.value.code, said.err
        return said.out, said.err

    return run


def test_divergence_and_the_next_command_are_said(cli):
    said, _ = cli("record digits/mlp-8 --optimizer sgd --lr 1e9 --steps 5 -o boom.h5")
    assert ": diverged\nnext: landscape surface boom.h5" in said
    assert said_of_loss(np.array([2.3, np.nan])).endswith("diverged")
    assert said_of_loss(np.array([2.3, 2.5])).endswith("rises")
    assert said_of_loss(np.zeros(0)) == "no loss was recorded"
    said, _ = cli("record digits/mlp-8 --learning-rate 0.1 --steps 2 -o default.h5")
    assert "2 steps of Adam on digits/mlp-8, lr 0.1" in said


def test_choices_of_any_case_and_more_samples_than_there_are(cli):
    said, errors = cli("surface run.h5 --plane PCA --data TRAIN --resolution 3 --samples 100000")
    assert "all 1,498 samples (asked for 100,000)" in errors
    assert "next: landscape explore run.results.h5 --open" in said


def test_runs_are_shown_as_they_were_recorded(cli):
    assert "shown.html" in cli("explore run.h5 -o shown.html")[0]
    assert "path.png" in cli("plot run.h5 -o figs")[0]
    # A run without numbers of its steps: what its states say.
    states = [{"w": torch.ones(3) * k} for k in range(3)]
    for k, state in enumerate(states):
        torch.save(state, f"c_{k}.pt")
    ls.import_checkpoints([f"c_{k}.pt" for k in range(3)], "imported.h5", overwrite=True)
    assert "path.png" in cli("plot imported.h5 -o figs")[0]


def test_help_has_groups_and_every_command(cli):
    said, _ = cli("help")
    assert [g for g in ("Start", "Measure", "Look", "Exchange") if f"─ {g} ─" in said] == [
        "Start", "Measure", "Look", "Exchange",
    ]  # fmt: skip
    for name in HOMES:
        assert f" {name} " in said
        assert loaded(name).name == name
    assert {n for names_ in PANELS.values() for n in names_} <= {*HOMES, "help"}
    assert "Usage: landscape surface" in cli("help surface")[0]


def test_what_programs_read(cli):
    run = json.loads(cli("info run.h5 --json")[0])
    assert (run["kind"], run["last_step"], run["complete"]) == ("run", 40, True)
    results = json.loads(cli("info run.results.h5 --json")[0])["results"]
    assert results["surface/pca"]["schema"] == "landscape/surface"
    assert any(line.startswith("adam ") for line in json.loads(cli("list --json")[0]))
    checks = json.loads(cli("diagnose run.h5 -o diagnosed.h5 --json")[0])["run"]
    assert checks["divergence"]["found"] is False
    assert {"value", "error", "threshold", "sentence", "remedy"} <= set(checks["rate too high"])


def test_the_first_words_of_all(cli, monkeypatch, capsys):
    assert cli("--version")[0] == f"landscape {ls.__version__}\n"
    assert cli("-h") == cli("help")
    monkeypatch.setattr(sys, "argv", ["landscape"])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert "Try:" in said.out + said.err
    monkeypatch.setenv("COLUMNS", "150")
    shown = cli("surface -h")[0]
    for choices in ("<pca|random|eigen>", "<frozen|recalibrated|batch>"):
        assert choices in shown
    for panel in ("What is measured", "Which plane", "What error is accepted", "Who measures"):
        assert f"─ {panel}" in shown


LATER = {  # what only torch, the data or the run itself tells
    "record digits/mlp --optimizer adam --option beta1=0.5 -o x.h5": "takes no option beta1; allow",
    "record mnist/mlp -o x.h5": "landscape data fetch mnist`, or set LANDSCAPE_DATA",
    "surface run.h5 --task mymodel:task": "cannot be imported (No module named 'mymodel')",
    "surface run.h5 --device gpu": "torch sees no CUDA device",
    "walk run.h5 --window 400-500": "holds steps 0 to 40",
}


@pytest.mark.parametrize("line", LATER)
def test_a_mistake_that_torch_tells_is_one_line_too(line, folder, monkeypatch, capsys):
    if "gpu" in line and torch.cuda.is_available():
        pytest.skip("there is one")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LANDSCAPE_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["landscape", *line.split()])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert stop.value.code == 2
    assert LATER[line] in said.err
    assert said.err.count("\n") == 1


def test_completion_knows_names_and_results():
    assert "digits/mlp" in names.tasks("dig")
    assert {"adam", "adamw"} <= set(names.optimizers("ada"))


def test_completion_of_results_in_a_file(folder, monkeypatch):
    monkeypatch.chdir(folder)
    held = type("Context", (), {"params": {"file": Path("run.results.h5")}})()
    assert names.surfaces(held, "su") == ["surface/pca"]
    assert names.results(type("Context", (), {"params": {"file": Path("no.h5")}})(), "") == []


def test_names_known_without_torch_are_those_that_are_built():
    assert sorted(names.TASKS) == sorted(task_names())
