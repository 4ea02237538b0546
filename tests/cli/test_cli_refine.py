"""`landscape refine`: a region, a slice and a point of a plane, by its command and in words."""

from __future__ import annotations

import numpy as np
from test_cli import cli

import landscape as ls

__all__ = ["cli"]


def objective(path):
    run = ls.Trajectory(path)
    task = ls.load_task("digits/mlp-8", seed=0)
    ls.restore(task.model, run, -1)
    return ls.Objective(task.model, task.loss, task.train)


def test_a_region_a_slice_and_a_point_of_the_plane_that_was_measured(cli):
    cli("record digits/mlp-8 --optimizer sgd --steps 6 --out run.h5")
    cli("surface run.h5 --resolution 3")
    plane = ls.load_results("run.results.h5")["plane/pca"]
    said = cli("refine run.h5 --region -0.1,0.2,0,0.1 --resolution 9").splitlines()
    assert said[:3] == [f"run.results.h5: surface/region-1, {n} points" for n in ("9", "25", "81")]
    found = ls.Surface.load("run.results.h5", "surface/region-1")
    whole = ls.loss_surface(objective("run.h5"), plane, extent=(-0.1, 0.2, 0, 0.1), resolution=9)
    np.testing.assert_allclose(found.loss, whole.loss, rtol=1e-6)
    assert found.provenance["plane_hash"] == plane.digest
    cli("refine run.h5 --on surface/region-1 --slice 0,0,0.2,0.1 --resolution 5")
    sliced = ls.load_results("run.results.h5")["line/slice-2"]
    assert sliced.loss.shape == (1, 5)
    said = cli("refine run.h5 --point 0.2,0.1")
    assert said.startswith("loss at (0.2, 0.1) of surface/pca: ")
    np.testing.assert_allclose(
        [float(said.split()[-1]), sliced.loss[0, -1]], whole.loss[-1, -1], rtol=1e-5
    )
    assert set(ls.load_results("run.results.h5")) == {
        "plane/pca", "surface/pca", "projection/pca/run", "surface/region-1", "line/slice-2",
    }  # fmt: skip
    for line, why in (
        ("refine run.h5", "Give one of --region X0,X1,Y0,Y1, --slice"),
        ("refine run.h5 --point 0,0 --slice 0,0,1,1", "Give one of --region X0,X1,Y0,Y1, --slice"),
        ("refine run.h5 --point 0", "--point takes 2 numbers"),
        ("refine run.h5 --region 1,0,0,1", "is empty"),
        ("refine run.h5 --point 0,0 --on surface/random", "it holds surface/pca, surface/region-1"),
        ("refine run.h5 --point 0,0 --out other.h5", "holds no surface; measure one first"),
        ("refine gone.h5 --point 0,0", "gone.h5: no such file"),
    ):
        assert why in cli(line, expect=2)


def test_a_surface_coarse_first_is_the_surface(cli):
    cli("record digits/mlp-8 --optimizer sgd --steps 6 --out run.h5")
    cli("surface run.h5 --resolution 9")
    whole = ls.load_results("run.results.h5")
    said = cli("surface run.h5 --resolution 9 --coarse-first --out again.results.h5").splitlines()
    assert [line.split(", ")[1] for line in said if line.endswith(" points")] == [
        "3x3 points", "5x5 points", "9x9 points"
    ]  # fmt: skip
    found = ls.load_results("again.results.h5")
    assert set(found) == set(whole)
    np.testing.assert_allclose(found["surface/pca"].loss, whole["surface/pca"].loss, rtol=1e-6)
    assert not found["surface/pca"].differences(whole["surface/pca"])
    assert "goes without --tolerance" in cli(
        "surface run.h5 --coarse-first --tolerance 1%", expect=2
    )
    assert "as many points along both axes" in cli(
        "surface run.h5 --coarse-first --resolution 5x9", expect=2
    )


def test_what_lies_on_a_plane_that_is_gone_cannot_be_refined(cli):
    cli("record function/quadratic --optimizer gd --steps 6 --out run.h5")
    cli("surface run.h5 --resolution 3")
    old = ls.Surface.load("run.results.h5", "surface/pca")
    old.save("run.results.h5", "surface/old")
    cli("surface run.h5 --resolution 3 --origin initial")
    why = cli("refine run.h5 --on surface/old --point 0,0", expect=2)
    assert "no longer holds the plane of surface/old" in why
    assert cli("refine run.h5 --on surface/pca --point 0,0").startswith("loss at (0, 0)")
