"""`landscape curvature` and the surfaces along eigenvectors, from the command line."""

from __future__ import annotations

import numpy as np
import pytest
from test_cli import cli

import landscape as ls

__all__ = ["cli"]


@pytest.fixture
def run(cli):
    cli("record digits/mlp-8 --optimizer gd --steps 6 --out run.h5")
    return cli


def test_eigenvalues_trace_and_density_of_a_state(run):
    said = run(
        "curvature run.h5 --at 3 --top 2 --bottom 1 --zero 0.1% --trace --density --samples 200"
    )
    assert "spectrum/run, step 3" in said
    assert "λ1 = " in said
    assert "biases λ1 upward" in said
    found = ls.load_results("run.results.h5")
    assert set(found) == {"spectrum/run", "trace/run", "density/run"}
    assert found["spectrum/run"].value.shape == (3,)
    assert found["spectrum/run"].settings["at"] == 3
    assert found["spectrum/run"].settings["zero"] == pytest.approx(1e-3)
    np.testing.assert_array_equal(found["spectrum/run"].origin, ls.Trajectory("run.h5").state(3))
    np.testing.assert_array_equal(found["density/run"].known, found["spectrum/run"].value)


def test_sharpness_along_a_run(run):
    said = run("curvature run.h5 --every 3 --top 1 --batch-size 500 --units kept")
    assert "3 states" in said
    assert "next: landscape explore run.results.h5" in said
    assert "2 / lr (gradient descent)" in said
    found = ls.load_results("run.results.h5")["curvature/run"]
    assert found.step.tolist() == [0, 3, 6]
    assert (found.batch_sharpness > 0).all()
    np.testing.assert_allclose(found.threshold, 10)


def test_preconditioned_sharpness_along_a_recorded_run(cli):
    cli("record digits/mlp-8 --optimizer adam --steps 4 --every 2 --optimizer-state --out run.h5")
    said = cli("curvature run.h5 --every 2 --top 1 --samples 100")
    assert "of 38 / lr (Adam, preconditioned)" in said
    found = ls.load_results("run.results.h5")["curvature/run"]
    assert np.isfinite(found.relative_sharpness[1:]).all()


def test_a_surface_along_eigenvectors_and_a_map_of_curvature(run):
    said = run("surface run.h5 --plane eigen --resolution 3 --samples 100")
    assert "second differences of the loss at the centre" in said
    surface = ls.load_results("run.results.h5")["surface/eigen"]
    assert surface.labels[0].startswith("u₁ (λ1 = ")
    assert surface.gram == pytest.approx(np.eye(2), abs=1e-5)
    said = run("surface run.h5 --plane random --curvature --resolution 2 --samples 100")
    assert "|λmin/λmax| is at most" in said
    found = ls.load_results("run.results.h5")["curvature-map/random"]
    assert found.computed.all()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--every 2 --tensors x", "--every measures all tensors"),
        ("--every 2 --at first", "the state for --trace or --density"),
        ("--every 2 --zero 1%", "--zero goes without --every"),
        ("--zero 2", "--zero is a share"),
        ("--batch-size 3", "go with --every"),
        ("--at nowhere", "--at takes"),
        ("--processes 2", "go with --every"),
        ("--tensors nothing", "names none"),
        ("--batch-norm recalibrated", "recalibrated"),
    ],
)
def test_wrong_options(run, line, said):
    assert said in run(f"curvature run.h5 {line}", expect=2)
