"""Figures of curvature: what is drawn, and that everything in a file is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from synthetic import Point, bowl, write_run

import landscape as ls

H = np.array([8.0, 3.0, 1.0, -0.5])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("curvature")
    objective, theta = bowl(H), np.array([0.1, 1.0, 1.0, 1.0])
    spectrum = ls.hessian_spectrum(objective, theta, top=2, bottom=1)
    states = np.array([theta * (1 - 0.05 * H) ** n for n in range(7)])
    run = write_run(folder / "run.h5", states, scalars={"lr": [0.2] * 6}, name="GD")
    run.run["optimizer"] = "gd"

    def quartic(model, batch):
        return (model.weight[0] ** 4).sum() + 0 * batch

    curved = ls.Objective(Point(4).double(), quartic, torch.zeros(3), precision="double")
    plane = ls.plane_through(np.zeros(4), *np.eye(4)[:2])
    return {
        "spectrum/run": spectrum,
        "density/run": ls.spectral_density(objective, theta, spectrum=spectrum, runs=2, steps=1),
        "trace/run": ls.hessian_trace(objective, theta, spectrum=spectrum, probes=2),
        "curvature/run": ls.curvature_path(objective, run, every=2, top=2),
        "curvature-map/plane": ls.curvature_map(curved, plane, resolution=3),
    }


def ids(ax):
    return {artist.get_gid() for artist in ax.get_children()} - {None}


def test_a_spectrum(results):
    ax = ls.plot_spectrum(results["spectrum/run"], ax=Figure().add_subplot())
    assert [t.get_text() for t in ax.get_xticklabels()] == ["λ₁", "λ₂", "λmin"]
    drawn = sorted(
        float(y) for line in ax.lines for y in line.get_ydata() if line.get_marker() in "ov"
    )
    np.testing.assert_allclose(drawn, [-0.5, 3, 8], atol=1e-6)


def test_a_density_has_a_stem_for_every_known_pair(results):
    ax = ls.plot_density(results["density/run"], ax=Figure().add_subplot())
    assert {"bulk", "spread", "known", "stems"} <= ids(ax)
    (stems,) = [line for line in ax.lines if line.get_gid() == "stems"]
    np.testing.assert_allclose(sorted(stems.get_xdata()), [-0.5, 3, 8], atol=1e-6)
    assert ax.get_yscale() == "log"


def test_sharpness_against_its_threshold(results):
    path = results["curvature/run"]
    ax = ls.plot_sharpness(path, ax=Figure().add_subplot())
    lines = {line.get_gid(): line.get_ydata() for line in ax.lines}
    np.testing.assert_allclose(lines["sharpness"], 8, rtol=1e-6)
    np.testing.assert_allclose(lines["threshold"], 10)
    ax = ls.plot_sharpness([path], relative=True, ax=Figure().add_subplot())
    lines = {line.get_gid(): line.get_ydata() for line in ax.lines}
    np.testing.assert_allclose(lines["sharpness"], 0.8, rtol=1e-6)
    assert set(lines["threshold"]) == {1}
    ax = ls.plot_gradient_share(path, ax=Figure().add_subplot())
    np.testing.assert_allclose(ax.lines[0].get_ydata(), path.top_share)
    for draw in (ls.plot_sharpness, ls.plot_gradient_share):
        with pytest.raises(ValueError, match="no path"):
            draw([])


def test_predicted_changes_of_a_bowl_lie_on_the_diagonal(results):
    ax = ls.plot_predicted_change(results["curvature/run"], ax=Figure().add_subplot())
    (dots,) = ax.collections
    x, y = np.asarray(dots.get_offsets()).T
    np.testing.assert_allclose(x, y, rtol=1e-9)
    assert len(x) == 3


def test_a_map(results):
    found = results["curvature-map/plane"]
    for quantity in ("ratio", "largest", "smallest"):
        ax = ls.plot_curvature_map(found, quantity=quantity, ax=Figure().add_subplot())
        (mesh,) = ax.collections
        held = np.ma.filled(mesh.get_array(), np.nan).reshape(3, 3)
        np.testing.assert_array_equal(held, getattr(found, quantity))
    with pytest.raises(ValueError, match="quantity must be one of"):
        ls.plot_curvature_map(found, quantity="height")


def test_everything_in_a_file_is_drawn(results, tmp_path):
    drawn = ls.plot_results(results, tmp_path, formats=("png",))
    assert {d.file.name for d in drawn} == {
        "spectrum-run.png",
        "density-run.png",
        "curvature.png",
        "curvature-map-plane.png",
    }
    sentences = " ".join(d.sentence for d in drawn)
    assert "Dinh et al. 2017" in sentences
    assert "Song et al. 2024" in sentences
