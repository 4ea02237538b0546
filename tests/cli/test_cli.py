"""The command line: the whole line on real data, and one-line errors with exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.cli import main
from landscape.results.surface import Surface


@pytest.fixture
def cli(monkeypatch, tmp_path, capsys):
    """Run a command line in an empty folder; returns (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    for module in ("parabola", "stops", "doubled"):  # of another test, in another folder
        monkeypatch.delitem(sys.modules, module, raising=False)

    def run(line: str, expect: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["landscape", *line.split()])
        with pytest.raises(SystemExit) as stop:
            main()
        code = stop.value.code or 0
        out, err = capsys.readouterr()
        assert code == expect, err
        return out if expect == 0 else err

    return run


def test_a_walk_within_a_tolerance(cli):
    cli("record digits/mlp-8 --optimizer sgd --steps 20 --out run.h5")
    said = cli("walk run.h5 --window 0-6 --points 4 --tolerance 50%")
    assert "of 1,498 samples: differences along a segment are within 50 % of its range" in said
    assert "of 6 segments whose error is known" in said
    assert ls.load_results("run.results.h5")["walk/run"].settings["samples"] < 1498


def test_a_tolerance_says_what_it_left(cli):
    cli("record digits/mlp --optimizer adam --steps 6")
    out = cli("surface data/adam.h5 --plane random --resolution 25 --tolerance 5%")
    assert "points were measured" in out
    assert "95 % of the points are within" in out
    found = ls.load_results("data/adam.results.h5")["surface/random"]
    assert found.accuracy["tolerance"] == 0.05
    assert "takes a share" in cli(
        "surface data/adam.h5 --plane random --resolution 5 --tolerance much", expect=2
    )


def test_record_measure_and_describe(cli):
    for name in ("gd", "radam"):
        out = cli(f"record digits/mlp --optimizer {name} --steps 6 --every 2")
        assert f"data/{name}.h5: 6 steps" in out
    cli("surface data/gd.h5 data/radam.h5 --resolution 4x3 --samples 100")
    cli("path data/gd.h5 data/radam.h5")
    cli("surface data/gd.h5 --plane random --resolution 3 --extent -1,2,-1,1 --samples 50")
    cli("line data/gd.h5 --resolution 5")
    assert "4 segments" not in cli("walk data/gd.h5 --window 0-4 --points 3")
    joint = ls.load_results("data/joint.results.h5")
    assert joint["surface/pca"].loss.shape == (3, 4)
    assert joint["projection/pca/radam"].step.tolist() == [0, 2, 4, 6]
    one = ls.load_results("data/gd.results.h5")
    assert set(one) == {
        "plane/random", "surface/random", "projection/random/gd", "line/initial-final", "walk/gd",
    }  # fmt: skip
    assert one["surface/random"].alpha[[0, -1]].tolist() == [-1, 2]
    assert one["walk/gd"].loss.shape == (2, 4)
    described = cli("info data/gd.h5")
    assert "complete" in described
    assert "1.weight" in described
    assert "options none" in described
    assert "surface/pca: Surface" in cli("info data/joint.results.h5")


def test_batch_norm_runs_are_measured_with_their_own_statistics(cli):
    cli("record digits/conv --optimizer sgd --steps 4")
    cli("line data/sgd.h5 --extent 0,1 --resolution 2")
    profile = ls.load_results("data/sgd.results.h5")["line/initial-final"]
    # Twin: the model itself at the run's last state, its buffers as recorded.
    task, run = ls.load_task("digits/conv"), ls.Trajectory("data/sgd.h5")
    model = task.model
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    states = [(run.layout, run.final), (run.buffers_layout, run.buffers(-1))]
    with torch.no_grad():
        for layout, vector in states:
            for entry in layout:
                named[entry.name].copy_(torch.from_numpy(vector[entry.slice]).view(entry.shape))
        expected = task.loss(model.eval(), task.train).double().mean().item()
    # θ0 + 1·(θ1 - θ0) differs from θ1 by rounding of single precision.
    np.testing.assert_allclose(profile.loss[0, -1], expected, rtol=1e-5)


def test_lines_of_every_kind_and_layers(cli):
    for name in ("sgd", "adam"):
        cli(f"record digits/conv --optimizer {name} --steps 6")
    both = "data/sgd.h5 data/adam.h5 --samples 60"
    said = cli(f"line {both} --kind between --extent 0,1 --resolution 5")
    assert "Frankle et al. 2020" in said
    assert "SGD to Adam" in said
    cli("line data/sgd.h5 --kind random --seeds 3 --resolution 5 --samples 60")
    cli("line data/sgd.h5 --kind update --step 2 --extent 0,2 --resolution 5 --samples 60")
    said = cli("walk data/sgd.h5 --window first --window 2-5 --length 2 --samples 60")
    assert "first, 2 segments: barrier" in said
    assert " ± " in said.partition("median height")[2]
    assert "0.weight" in cli("layers data/sgd.h5")
    cli("record digits/mlp --optimizer radam --steps 4 --gradient-histogram")
    assert "median |gradient|" in cli("layers data/radam.h5")
    assert "gradients-radam.png" in cli("plot data/radam.results.h5 --out figures")
    anew = "--batch-norm recalibrated --out data/anew.h5"
    cli(f"walk data/sgd.h5 --window 0-1 --samples 60 {anew}")
    anew = ls.load_results("data/anew.h5")["walk/sgd"].settings
    assert (anew["batch_norm"], anew["buffers"]) == ("recalibrated", "recalibrated at every point")
    one = ls.load_results("data/sgd.results.h5")
    assert set(one) == {"line/random", "line/update", "walk/sgd", "layers/sgd"}
    assert one["line/random"].loss.shape == (3, 5)
    assert one["walk/sgd"].step.tolist() == [0, 1, 2, 3, 4]
    assert one["walk/sgd"].settings["buffers"] == "recorded, interpolated"
    # One unit along an update is the next recorded state, with its recorded statistics.
    np.testing.assert_allclose(
        one["line/update"].loss[0, [0, 2]], one["walk/sgd"].loss[2, [0, -1]], rtol=1e-5
    )
    # Down the gradient of all the data, in steps of the recorded rate: full-batch descent.
    cli(f"line {both} --kind gradient --step 2 --extent 0,1 --resolution 3 --out data/down.h5")
    down = ls.load_results("data/down.h5")["line/gradient"]
    assert [name.partition(",")[0] for name in down.names] == ["SGD", "Adam"]
    assert "step 2, -0.2 · gradient" in down.names[0]
    # The same first point, though the other was measured alone; this subset's own gradient.
    np.testing.assert_allclose(down.loss[0, 0], one["line/update"].loss[0, 0], rtol=1e-5)
    assert down.loss[0, 1] < down.loss[0, 0]
    # Between any two points: of two runs, or of one.
    cli(f"line {both} --kind between --points 2,4 --extent 0,1 --resolution 3 --out data/two.h5")
    cli("line data/sgd.h5 --kind between --points 2,3 --extent 0,1 --resolution 3 --samples 60")
    two = ls.load_results("data/two.h5")["line/between"]
    own = ls.load_results("data/sgd.results.h5")["line/between"]
    assert two.names == ("SGD step 2 to Adam step 4",)
    assert own.names == ("SGD step 2 to SGD step 3",)
    np.testing.assert_allclose(two.loss[0, 0], own.loss[0, 0], rtol=1e-5)
    np.testing.assert_allclose(own.loss[0], one["line/update"].loss[0, :3], rtol=1e-5)
    assert "two steps" in cli("line data/sgd.h5 --kind between --points 2", expect=2)
    assert "first or last" in cli("line data/sgd.h5 --kind between --points a,2", expect=2)
    assert "two runs or more" in cli("line data/sgd.h5 --kind between", expect=2)
    assert "initial-final, between" in cli("line data/sgd.h5 --kind along", expect=2)
    assert "up to step 6" in cli("line data/sgd.h5 --kind update --step 6", expect=2)
    assert "first, middle, last" in cli("walk data/sgd.h5 --window begin", expect=2)


def test_a_run_on_the_plane_of_another(cli):
    for name in ("sgd", "adam"):
        cli(f"record digits/mlp --optimizer {name} --steps 6")
    cli("surface data/sgd.h5 --resolution 3 --samples 50")
    said = cli("project data/adam.h5 --onto data/sgd.results.h5 --samples 50 --every 3")
    found = ls.load_results("data/sgd.results.h5")["projection/pca/adam"]
    assert found.step.tolist() == [0, 3, 6]
    assert found.loss.shape == found.in_plane_loss.shape == (3,)
    assert ("mostly elsewhere" in said) == (found.shown < 0.5)
    error = cli("project data/adam.h5 --onto data/sgd.results.h5 --plane random", expect=2)
    assert "no group 'plane/random'" in error
    out = cli("adaptive-rate --samples 50 --beta2 0.9 --out data/theory.results.h5")
    assert "rectified" in out
    assert ls.load_results("data/theory.results.h5")["adaptive-rate"].step[-1] == 2000


TASK = """
import torch, landscape as ls

def task(seed):
    x = torch.linspace(-1, 1, 32)[:, None]
    return ls.Task(
        model=torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)),
        loss=lambda model, batch: (model(batch[0]) - batch[1]).square().mean(),
        train=(x, x**2),
    )
"""


def test_users_own_task(cli):
    Path("parabola.py").write_text(TASK)
    cli("record parabola:task --optimizer adam --steps 5")
    error = cli("surface data/adam.h5 --resolution 3", expect=2)
    assert "no file decides which code is run: pass --task parabola:task" in error
    cli("surface data/adam.h5 --resolution 3 --task parabola:task")
    assert ls.load_results("data/adam.results.h5")["surface/pca"].loss.shape == (3, 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("record digits/mlp --optimizer sgdm", "Did you mean sgd?"),
        ("record digit/mlp --optimizer sgd", "Did you mean digits/mlp?"),
        ("record digits/vgg99 --optimizer sgd", "Models for digits: mlp, conv"),
        ("record nowhere:task --optimizer sgd", "cannot be imported"),
        ("record nowhere.py:task --optimizer sgd", "without .py: nowhere:task."),
        ("record digits/mlp --optimizer sgd --steps 0", "steps must be at least 1; got 0"),
        ("record digits/mlp --optimizer sgd --lr -1", "lr must be positive"),
        ("record digits/mlp --optimizer sgd --device tpu", "must be one of auto, cpu, cuda"),
        ("surface nothing.h5", "no such file"),
        ("surface text.h5", "not an HDF5 file"),
        ("surface cut.h5", "damaged or cut short"),
        ("surface results.h5", "is a results file, not a recorded run"),
        ("surface run.h5 --resolution 4x", "takes 51 or 41x61"),
        ("surface run.h5 --resolution 1", "at least 2"),
        ("surface run.h5 --extent 1,2", "(4 numbers)"),
        ("surface run.h5 --extent 1,1,0,2", "is empty"),
        ("surface run.h5 --plane best", "must be one of pca, random"),
        ("surface run.h5 --origin best", "must be one of mean, initial, final"),
        ("surface run.h5 --task digits/conv", "was not recorded from digits/conv"),
        ("surface run.h5 --data valid", "--data must be one of train, test"),
        ("surface run.h5 --precision half", "--precision must be one of"),
        ("surface run.h5 --samples 0", "samples must be at least 1"),
        ("surface run.h5 run.h5", "given twice"),
        ("walk run.h5 --window 3", "takes FIRST-LAST"),
        ("walk run.h5 --window 90-99", "holds steps 0 to 40"),
        ("path other.h5 run.h5", "recorded from another model"),
        ("explore text.h5", "not an HDF5 file"),
        ("info text.h5", "not an HDF5 file"),
    ],
)
def test_errors_are_one_line(cli, runs, line, message):
    Path("run.h5").write_bytes(runs["sgd"].read_bytes())
    Path("cut.h5").write_bytes(runs["sgd"].read_bytes()[:9000])
    Path("text.h5").write_text("hello")
    ls.line_between(np.zeros(2), np.ones(2)).save("results.h5", "line")
    if "other" in line:
        model = nn.Linear(2, 1)
        with ls.Recorder("other.h5", model, torch.optim.SGD(model.parameters())):
            pass
    error = cli(line, expect=2)
    assert message in error
    assert error.count("\n") == 1, error


def test_existing_run_is_not_overwritten_unasked(cli):
    cli("record digits/mlp --optimizer sgd --steps 2")
    before = Path("data/sgd.h5").read_bytes()
    assert "exists" in cli("record digits/mlp --optimizer sgd --steps 2", expect=2)
    assert Path("data/sgd.h5").read_bytes() == before
    cli("record digits/mlp --optimizer sgd --steps 3 --overwrite")
    assert len(ls.Trajectory("data/sgd.h5")) == 4


def test_debug_shows_the_traceback(cli, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["landscape", "--debug", "surface", "nothing.h5"])
    with pytest.raises(FileNotFoundError):
        main()


INTERRUPTED = """
import os, signal, time
start = None

def task(seed):
    import parabola
    plain = parabola.task(seed)
    def loss(model, batch):
        global start
        if "STOP" in os.environ:
            time.sleep(0.005)  # slow enough that it cannot finish before it is stopped
            start = start or time.monotonic()
            if time.monotonic() > start + 3:
                os.kill(os.getpid(), signal.SIGINT)
        return plain.loss(model, batch)
    return type(plain)(model=plain.model, loss=loss, train=plain.train)
"""


def test_ctrl_c_keeps_what_was_measured_and_the_same_command_goes_on(cli, tmp_path):
    Path("parabola.py").write_text(TASK)
    Path("stops.py").write_text(INTERRUPTED)
    cli("record parabola:task --optimizer adam --steps 5")
    line = "surface data/adam.h5 --resolution 200x100 --task stops:task"
    command = [sys.executable, "-m", "landscape", *line.split()]
    environment = {**os.environ, "STOP": "1"}
    stopped = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert stopped.returncode == 130, stopped.stderr
    assert "the same command measures the rest" in stopped.stdout
    partial = Surface.load(tmp_path / "data/adam.results.h5", "unfinished/pca")
    done = int(partial.computed.sum())
    assert 0 < done < 20_000
    assert np.isfinite(partial.loss[partial.computed]).all()
    assert np.isnan(partial.loss[~partial.computed]).all()
    cli(line)
    finished = Surface.load(tmp_path / "data/adam.results.h5", "surface/pca")
    assert finished.computed.all()
    assert Surface.find(tmp_path / "data/adam.results.h5", "unfinished/pca") is None
    kept = partial.computed
    np.testing.assert_array_equal(finished.loss[kept], partial.loss[kept])
    cli(line + " --out fresh.h5")
    fresh = Surface.load(tmp_path / "fresh.h5", "surface/pca")
    # How points are evaluated is chosen by timing; the ways differ by rounding (float32, 32 terms).
    np.testing.assert_allclose(finished.values, fresh.values, rtol=1e-5)


def test_a_run_file_imports_no_code_when_repeated(cli):
    Path("parabola.py").write_text(TASK)
    cli("record parabola:task --optimizer adam --steps 3 --out a.h5")
    Path("parabola.py").write_text("raise SystemExit('imported')")
    sys.modules.pop("parabola", None)
    assert "name it again" in cli("record --from a.h5", expect=2)
    Path("parabola.py").write_text(TASK)
    cli("record parabola:task --from a.h5 --out b.h5")


def test_runs_of_two_tasks_are_not_measured_with_one(cli):
    cli("record digits/mlp-4 --optimizer sgd --steps 3 --out a.h5")
    cli("record digits/mlp-4-relu --optimizer sgd --steps 3 --out b.h5")  # the same layout
    assert "cannot measure both" in cli("walk a.h5 b.h5", expect=2)
    assert not Path("joint.results.h5").exists()


def test_every_of_projections(cli, runs):
    error = cli(f"surface {runs['sgd']} --resolution 2 --every 0 --out a.h5", expect=2)
    assert "every must be at least 1" in error


def test_surface_is_measured_anew_when_the_loss_changed(cli):
    Path("parabola.py").write_text(TASK)
    cli("record parabola:task --optimizer adam --steps 3")
    line = "surface data/adam.h5 --task parabola:task --resolution 3"
    cli(line)
    Path("doubled.py").write_text(TASK.replace(".square().mean()", ".square().mean() * 2"))
    before = Surface.load("data/adam.results.h5", "surface/pca")
    cli(line.replace("parabola", "doubled"))
    after = Surface.load("data/adam.results.h5", "surface/pca")
    np.testing.assert_allclose(after.loss, 2 * before.loss, rtol=1e-5)


def test_results_are_not_written_into_a_run(cli, runs):
    Path("run.h5").write_bytes(runs["sgd"].read_bytes())
    assert "is a recorded run" in cli("path run.h5 --out run.h5", expect=2)
    assert Path("run.h5").read_bytes() == runs["sgd"].read_bytes()


def test_version(cli):
    assert cli("--version").startswith("landscape ")


def test_shards_within_a_tolerance_are_merged_and_finished(cli):
    cli("record digits/mlp-8 --optimizer sgd --steps 20 --out run.h5")
    line = "surface run.h5 --plane random --resolution 15 --tolerance 5%"
    for k in (1, 2):
        said = cli(f"{line} --shard {k}/2 --out {k}.h5")
        assert "landscape merge puts them together and the same command without" in said
    assert "or finish it" in cli("merge 1.h5 2.h5 --out run.results.h5")
    assert "95 % of the points are within" in cli(line)
    assert ls.load_results("run.results.h5")["surface/random"].accuracy["reached"]
    other = line.replace("5%", "9%")  # another measurement: nothing of the first is lost
    cli("merge 1.h5 2.h5 --out kept.h5")
    assert "stays, it is of another measurement (tolerance differs (0.05; 0.09))" in cli(
        f"{other} --out kept.h5"
    )
    assert set(ls.load_results("kept.h5")) >= {"surface/random", "unfinished/random"}
    cli(f"{other} --shard 1/2 --out other.h5")
    assert "holds an unfinished surface 'random' of another" in cli(
        "merge other.h5 --out kept.h5", expect=2
    )
    cli("merge run.results.h5 --out again.h5")  # finished ones stay so
    assert "surface/random" in ls.load_results("again.h5")
    assert "A budget is for the whole" in cli(
        "surface run.h5 --plane random --budget 100 --shard 1/2", expect=2
    )


def test_shards_share_their_units(cli):
    Path("parabola.py").write_text(TASK)
    cli("record parabola:task --optimizer adam --steps 3")
    line = "surface data/adam.h5 --task parabola:task --resolution 9x8 --units points"
    assert "of 72 points, part 1/2" in cli(line + " --shard 1/2 --out a.h5")
    assert set(ls.load_results("a.h5")) == {"plane/pca", "unfinished/pca"}
    cli(line + " --shard 2/2 --out b.h5")
    cli(line + " --out whole.h5")
    whole = ls.load_results("whole.h5")["surface/pca"]
    part = ls.load_results("a.h5")["unfinished/pca"]
    assert whole.computed.all()
    np.testing.assert_array_equal(whole.loss[part.computed], part.loss[part.computed])
