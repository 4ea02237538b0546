"""Results as plotly figures: the numbers in them are the stored ones."""

from __future__ import annotations

from dataclasses import replace

import explorer_sample as sample
import numpy as np
import pytest
from typer.testing import CliRunner

import landscape as ls
from landscape.analysis.adaptive_rate import adaptive_rate_variance
from landscape.plots.interactive import write_figures

SURFACE = sample.surface()
PATHS = [sample.projection(name, 0.3 * k) for k, name in enumerate(("Adam", "SGD"))]


def test_a_surface_from_above_has_the_stored_values_on_hover():
    values = np.array(SURFACE.values)
    values[0, 1, 2], values[0, 3, 5] = np.inf, np.nan
    drawn = ls.figure(replace(SURFACE, values=values), paths=PATHS)
    ground, *paths = drawn.data
    expected = np.where(np.isfinite(values[0]), values[0], np.nan)
    np.testing.assert_array_equal(ground.customdata, expected)
    np.testing.assert_allclose(ground.z, np.log10(expected))
    np.testing.assert_array_equal(ground.x, SURFACE.alpha)
    assert [trace.name for trace in paths] == ["Adam", "SGD"]
    np.testing.assert_array_equal(paths[0].x, PATHS[0].coordinates[:, 0])
    np.testing.assert_array_equal(paths[0].customdata[:, 1], PATHS[0].loss)
    assert drawn.layout.xaxis.title.text.startswith("PC 1 (60.0% of variation")


def test_in_three_dimensions_heights_are_measured_losses():
    ground, adam, _ = ls.figure(SURFACE, paths=PATHS, view="3d").data
    assert ground.type == "surface"
    np.testing.assert_array_equal(ground.z, SURFACE.loss)
    np.testing.assert_array_equal(adam.z, PATHS[0].loss)
    error = ls.figure(SURFACE, metric="error").data[0]
    np.testing.assert_array_equal(error.customdata, SURFACE.values[1])


@pytest.mark.parametrize("key", ["path/0", "walk/0", "line/initial-final", "projection/pca/0"])
def test_every_kind_of_result_has_a_figure(key):
    result = sample.results()[key]
    drawn = ls.figure(result)
    assert drawn.data
    assert all(len(trace.x) == len(trace.y) for trace in drawn.data)
    assert drawn.to_json()


def test_columns_of_a_path_are_its_own():
    one, other = sample.path("Adam", 0.0), sample.path("SGD", 0.4)
    drawn = ls.figure([one, other])
    titles = {
        axis.title.text: axis.anchor.replace("x", "y")
        for axis in drawn.select_yaxes()
        if axis.title.text
    }
    assert "cosine of consecutive updates" in titles
    trace = next(
        t for t in drawn.data
        if t.name == "SGD" and t.yaxis == titles["distance from initialization"]
    )  # fmt: skip
    np.testing.assert_array_equal(trace.y, other.distance)
    np.testing.assert_array_equal(trace.x, other.step)


def test_a_walk_is_broken_where_it_was_not_measured():
    walk = sample.walk("Adam", 1.0)
    kept = np.r_[0:5, 20:25]
    gap = replace(
        walk, step=walk.step[kept], next_step=walk.next_step[kept], values=walk.values[kept],
        standard_error=walk.standard_error[kept],
    )  # fmt: skip
    (trace,) = ls.figure(gap).data
    assert np.isnan(trace.y).sum() == 1
    good = ~np.isnan(trace.y)
    np.testing.assert_array_equal(trace.y[good], gap.loss.ravel())


def test_other_results_are_drawn_by_their_dimensions():
    rate = adaptive_rate_variance(steps=[1, 10, 100], samples=100, seed=0)
    drawn = ls.figure(rate)
    assert any(np.array_equal(t.y, rate.closed_form, equal_nan=True) for t in drawn.data)


def test_what_has_no_figure_is_refused():
    with pytest.raises(ValueError, match="view must be 2d or 3d; not 'top'"):
        ls.figure(SURFACE, view="top")
    with pytest.raises(ValueError, match="metric must be one of loss, error; not 'accuracy'"):
        ls.figure(SURFACE, metric="accuracy")
    with pytest.raises(ValueError, match="several of one kind"):
        ls.figure([SURFACE, PATHS[0]])
    with pytest.raises(ValueError, match="another plane"):
        ls.figure(SURFACE, paths=[replace(PATHS[0], provenance={"plane_hash": "c" * 16})])


def test_the_command_writes_pages_that_open_offline(tmp_path):
    file = tmp_path / "a.results.h5"
    SURFACE.save(file, "surface/pca")
    PATHS[0].save(file, "projection/pca/adam")
    sample.path("Adam", 0.0).save(file, "path/adam")
    pages = write_figures(ls.load_results(file), tmp_path / "pages")
    names = ["path-adam.html", "surface-pca-2d.html", "surface-pca-3d.html"]
    assert sorted(page.name for page in pages) == names
    assert (tmp_path / "pages" / "plotly.min.js").exists()
    assert 'src="plotly.min.js"' in pages[0].read_text("utf-8")
    from landscape.cli import app

    found = CliRunner().invoke(
        app, ["plot", str(file), "--out", str(tmp_path / "figures"), "--interactive"]
    )
    assert found.exit_code == 0, found.output
    assert "surface-pca-3d.html: interactive" in found.output.replace("\n", "")
