"""Long measurements survive: killed workers, a killed run, poison, shards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import landscape as ls

FIXED = {"strategy": "sequential", "batch_size": 10}


def classify(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


class Tripwire(nn.Module):
    """A linear model that kills its process, or raises, at some weights.

    Args:
        folder: Where it notes every time it fires.
        how: ``kill``: SIGKILL; ``raise``: an exception.
        times: How often it fires before it lets the point pass.
    """

    def __init__(self, folder: Path, how: str, times: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.folder, self.how, self.times = folder, how, times

    def forward(self, x):
        if abs(self.linear.bias[0].item() - 0.5) < 1e-3:
            fired = len(list(self.folder.glob("fired*")))
            if fired < self.times:
                (self.folder / f"fired-{fired}").touch()
                if self.how == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                raise ArithmeticError("poison")
        return self.linear(x)


def surface(model, **options):
    torch.manual_seed(0)
    data = (torch.randn(20, 2), torch.arange(20) % 3)
    objective = ls.Objective(model, classify, data, **FIXED)
    origin = np.zeros(9, np.float32)
    axis = np.zeros((2, 9), np.float32)
    axis[0, 6], axis[1, 1] = 1.0, 1.0  # the first bias, a weight
    plane = ls.plane_through(origin, axis[0], axis[1])
    # The first bias is 0.5 on one column of the grid only.
    return ls.loss_surface(objective, plane, extent=(0, 1, -1, 1), resolution=(11, 9), **options)


@pytest.fixture
def wanted(tmp_path):
    return surface(Tripwire(tmp_path / "none", "raise", 0))


def test_units_and_shards_give_the_same_surface(wanted, tmp_path):
    model = Tripwire(tmp_path, "raise", 0)
    np.testing.assert_array_equal(surface(model, units=tmp_path / "u").values, wanted.values)
    parts = [surface(model, shard=(k, 3)) for k in range(3)]
    assert [int(p.computed.sum()) for p in parts] == [33, 33, 33]
    assert np.isnan(parts[0].values[:, ~parts[0].computed]).all()
    merged = ls.merge_surfaces(parts)
    assert merged.computed.all()
    np.testing.assert_array_equal(merged.values, wanted.values)
    shared = tmp_path / "shared"
    for k in (2, 0, 1):
        last = surface(model, units=shared, shard=(k, 3))
    np.testing.assert_array_equal(last.values, wanted.values)


def test_a_unit_is_measured_once_and_a_damaged_one_is_told(wanted, tmp_path):
    model = Tripwire(tmp_path, "raise", 1)
    folder = tmp_path / "u"
    with pytest.raises(ArithmeticError):
        surface(model, units=folder)
    done = {p: p.stat().st_mtime_ns for p in folder.glob("unit-*.npz")}
    np.testing.assert_array_equal(surface(model, units=folder).values, wanted.values)
    assert done == {p: p.stat().st_mtime_ns for p in done}
    assert not list(folder.glob("*.partial"))
    (folder / "unit-000001.npz").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"unit-000001\.npz is damaged"):
        surface(model, units=folder)
    with pytest.raises(ValueError, match="another measurement"):
        surface(Tripwire(tmp_path, "raise", 1), units=folder, margin=0.1, resume=wanted)


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
@pytest.mark.parametrize("how", ["kill", "raise"])
def test_a_dying_worker_costs_nothing_but_its_unit(wanted, tmp_path, how):
    model = Tripwire(tmp_path, how, 2)
    np.testing.assert_array_equal(surface(model, engine=ls.Processes()).values, wanted.values)
    assert len(list(tmp_path.glob("fired*"))) == 2


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
def test_poison_is_given_up_after_three_attempts(tmp_path):
    with pytest.raises(RuntimeError, match=r"failed 3 times.*poison"):
        surface(Tripwire(tmp_path, "raise", 99), engine=ls.Processes())
    assert 3 <= len(list(tmp_path.glob("fired*"))) <= 27  # nine units meet the poison


def test_what_cannot_be_pickled_is_told(tmp_path):
    model = nn.Linear(2, 2)
    objective = ls.Objective(model, lambda m, b: m(b).mean(), torch.zeros(3, 2))
    plane = ls.random_plane(objective.parameters(), objective.layout)
    with pytest.raises(ValueError, match="top level of a module"):
        ls.loss_surface(objective, plane, resolution=3, engine=ls.Processes())
    with pytest.raises(ValueError, match="shard"):
        ls.loss_surface(objective, plane, resolution=3, shard=(3, 3))


SCRIPT = """
import sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
import torch
import test_evaluation_units as t

class Slow(t.Tripwire):
    def forward(self, x):
        time.sleep({pause})
        return super().forward(x)

if __name__ == "__main__":
    torch.set_num_threads(1)
    surface = t.surface(Slow(Path({folder!r}), "raise", 0), units=Path({folder!r}) / "units")
    surface.save(Path({folder!r}) / "out.h5", "surface")
"""


@pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")
def test_a_run_killed_at_any_moment_goes_on_where_it_stopped(wanted, tmp_path):
    def start(pause):
        script = SCRIPT.format(tests=str(Path(__file__).parent), pause=pause, folder=str(tmp_path))
        return subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])

    units = tmp_path / "units"
    run = start(0.02)
    limit = time.monotonic() + 60
    while not list(units.glob("unit-*.npz")) and time.monotonic() < limit:
        time.sleep(0.01)
    run.kill()
    run.wait()
    done = {p: p.stat().st_mtime_ns for p in units.glob("unit-*.npz")}
    assert 0 < len(done) < 33
    assert start(0).wait(timeout=120) == 0
    assert {p: p.stat().st_mtime_ns for p in done} == done  # only what was lost ran again
    found = ls.Surface.load(tmp_path / "out.h5", "surface")
    np.testing.assert_array_equal(found.values, wanted.values)


def test_shards_of_the_command_line_share_a_folder(runs, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from landscape.cli import app

    line = ["surface", str(runs["sgd"]), "--resolution", "9x8", "--units", str(tmp_path / "u")]
    for part in ("2/3", "1/3", "3/3"):
        out = str(tmp_path / f"{part[0]}.h5")
        done = CliRunner().invoke(app, [*line, "--shard", part, "--out", out])
        assert done.exit_code == 0, done.output
    computed = [
        int(ls.Surface.load(tmp_path / f"{k}.h5", f"{where}/pca").computed.sum())
        for k, where in ((2, "unfinished"), (1, "unfinished"), (3, "surface"))
    ]
    assert computed == [24, 48, 72]
    refused = CliRunner().invoke(app, [*line, "--shard", "4/3"])
    assert "--shard must be I/N" in str(refused.exception)


def test_shards_without_a_shared_folder_are_merged(runs, tmp_path):
    from typer.testing import CliRunner

    from landscape.cli import app

    def run(*line):
        done = CliRunner().invoke(app, [str(word) for word in line])
        return done.output if done.exit_code == 0 else f"refused: {done.exception}"

    grid = ["--resolution", "9x8", "--samples", "60"]
    part = {k: tmp_path / f"part{k}.h5" for k in (1, 2, 3)}
    for k, path in part.items():
        said = run("surface", runs["sgd"], *grid, "--shard", f"{k}/3", "--out", path)
        assert "landscape merge" in said
    whole = tmp_path / "whole.h5"
    run("surface", runs["sgd"], *grid, "--out", whole)
    out = tmp_path / "out.h5"
    assert "48 of 72 points" in run("merge", part[1], part[2], "--out", out)
    assert "unfinished/pca" in ls.load_results(out)
    assert "all 72 points" in run("merge", part[3], "--out", out)
    found, wanted = ls.load_results(out), ls.Surface.load(whole, "surface/pca")
    assert set(found) == {"surface/pca", "plane/pca"}
    # Batches of one choice or another: float32 rounding.
    np.testing.assert_allclose(found["surface/pca"].values, wanted.values, rtol=1e-5, atol=1e-6)
    assert "the plane shows" in run("project", runs["sgd"], "--onto", out, "--samples", "60")

    other = tmp_path / "other.h5"
    run("surface", runs["sgd"], "--resolution", "9x8", "--samples", "50", "--out", other)
    said = run("merge", part[1], other, "--out", out)
    assert "other.h5: surface 'pca' is another measurement" in said
    assert "data_hash differs" in said
    assert "is a recorded run" in run("merge", runs["sgd"], "--out", out)
    run("path", runs["sgd"], "--out", tmp_path / "path.h5")
    assert "path.h5 holds no surface" in run("merge", tmp_path / "path.h5", "--out", out)


def test_units_of_another_loss_are_refused(tmp_path):
    model, data = torch.nn.Linear(3, 2), (torch.randn(12, 3), torch.arange(12) % 2)

    def measured(factor):
        def loss(model, batch):
            return factor * torch.nn.functional.cross_entropy(
                model(batch[0]), batch[1], reduction="none"
            )

        objective = ls.Objective(model, loss, data)
        plane = ls.random_plane(objective.parameters(), objective.layout)
        return ls.loss_surface(objective, plane, resolution=8, units=tmp_path)

    whole = measured(1)
    next(iter(sorted(tmp_path.glob("unit-*.npz"))[-1:])).unlink()
    np.testing.assert_allclose(measured(1).values, whole.values, rtol=1e-6)
    with pytest.raises(ValueError, match="another loss or model"):
        measured(100)
