"""`landscape barriers | curve`, and the figures and the page of what they measure."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from test_cli import cli

import landscape as ls
from landscape.explorer.content import page_content
from landscape.explorer.packing import packed_content, unpacked_content

__all__ = ["cli"]


@pytest.fixture
def run(cli):
    for seed in (0, 1, 2):
        cli(f"record digits/mlp-8 --optimizer adam --steps 20 --seed {seed} --out s{seed}.h5")
    return cli


def test_barriers_of_three_runs_are_measured_drawn_and_shown(run, tmp_path):
    said = run("barriers s0.h5 s1.h5 s2.h5 --resolution 7 --samples 300 --align weights --repair")
    assert "3 line(s), 18 points" in said
    assert "Adam (s0) to Adam (s1): loss barrier" in said
    assert "±" in said
    found = ls.load_results("joint.results.h5")
    (name,) = found
    assert name == "barriers-weights-repaired"
    assert found[name].settings["repair"] is True
    ax = ls.plot_barriers(found[name], metric="error", ax=Figure().add_subplot())
    assert len([text for text in ax.texts if text.get_gid() == "barrier"]) == 6
    assert "aligned by weights" in ax.get_title(loc="left")
    assert "highest" in run("plot joint.results.h5 --out figures")
    shown = unpacked_content(packed_content(page_content({"": found})))["barriers"]
    assert [panel["metric"] for panel in shown] == ["loss", "error"]
    np.testing.assert_allclose(
        shown[1]["values"], found[name].matrix("entezari2022", metric="error"), rtol=1e-6
    )


def test_a_curve_is_found_measured_and_seen_on_its_plane(run):
    said = run("curve s0.h5 s1.h5 --steps 10 --resolution 5 --record bend.h5")
    assert "on the straight line up to" in said
    found = ls.load_results("joint.results.h5")
    assert {"curve/bezier", "line/bezier", "surface/bezier", "projection/bezier"} <= set(found)
    assert len(ls.Trajectory("bend.h5")) == 11
    marks = found["surface/bezier"].settings["points"]
    assert marks["names"] == ["Adam (s0)", "Adam (s1)", "bend"]
    ax = ls.plot_surface(found["surface/bezier"], ax=Figure().add_subplot())
    assert len([line for line in ax.lines if line.get_gid() == "point"]) == 3


def test_mistakes_are_one_line(run):
    assert "two runs or more; got 1" in run("barriers s0.h5", expect=2)
    assert "weights, activations" in run("barriers s0.h5 s1.h5 --align units", expect=2)
    assert "bezier, chain" in run("curve s0.h5 s1.h5 --kind line", expect=2)
