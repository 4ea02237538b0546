"""Panels that appear when something was measured: sharpness, density, trace, gradients."""

from __future__ import annotations

from dataclasses import replace

import explorer_sample as sample
import numpy as np
import pytest

import landscape as ls
from landscape.results.barriers import Barriers
from landscape.results.curvature_path import CurvaturePath
from landscape.results.gradients import GradientHistogram
from landscape.results.hessian_trace import HessianTrace
from landscape.results.spectral_density import SpectralDensity

pytestmark = pytest.mark.browser
STEP = np.arange(0, 61, 20)


def curvature(name="Adam"):
    nothing = np.full(4, np.nan)
    columns = [
        "smallest",
        "smallest_residual",
        "learning_rate",
        "loss",
        "gradient_norm",
        "gradient_curvature",
        "update_norm",
        "update_curvature",
        "predicted",
        "measured",
        "batch_sharpness",
        "batch_sharpness_error",
        "products",
    ]
    return CurvaturePath(
        name=name, optimizer="adam", condition="λ < 2 / η", step=STEP,
        value=np.array([[1.0], [2.0], [3.0], [4.0]]), residual=np.zeros((4, 1)),
        sharpness=np.array([1.5, 3.0, 6.0, np.nan]), threshold=np.full(4, 5.0),
        gradient_share=np.zeros((4, 1)), update_steps=np.full(4, 20),
        computed=np.array([True, True, True, False]), **dict.fromkeys(columns, nothing),
    )  # fmt: skip


def density():
    return SpectralDensity(
        node=np.array([[-1.0, 0.0, 2.0]]), weight=np.array([[0.2, 0.5, 0.28]]),
        known=np.array([9.0, 8.0]), known_residual=np.zeros(2), size=100,
    )  # fmt: skip


def test_sharpness_and_density_have_panels_when_they_were_measured(browser_page, tmp_path):
    results = {**sample.results(), "curvature/adam": curvature(), "density/end": density()}
    browser_page.open(f"file://{ls.explore(results, tmp_path / 'page.html')}")
    drawn, eigenvalues = browser_page.evaluate(
        """() => ['sharpness', 'density'].map((name) => explorer.charts.more[name].series
        .map((s) => ({ x: [...s.x], y: [...s.y], dots: s.dots ?? [], faint: Boolean(s.faint) })))"""
    )
    threshold, sharpness = drawn
    assert (threshold["faint"], threshold["y"]) == (True, [5.0, 5.0, 5.0])
    assert (sharpness["x"], sharpness["y"]) == ([0, 20, 40], [1.5, 3.0, 6.0])
    bulk, known = eigenvalues
    grid, height = np.array(bulk["x"]), np.array([np.nan if v is None else v for v in bulk["y"]])
    assert np.nansum(height) * (grid[1] - grid[0]) == pytest.approx(0.98, abs=0.01)
    assert [known["x"][i] for i in known["dots"]] == [8.0, 9.0]
    browser_page.evaluate(
        "explorer.setState({hidden: [explorer.runs.findIndex((run) => run.name === 'Adam')]})"
    )
    browser_page.settle()
    assert browser_page.evaluate("explorer.charts.more.sharpness.series") == []
    assert browser_page.problems == []


def test_curvature_alone_makes_a_page(browser_page, tmp_path):
    browser_page.open(f"file://{ls.explore({'density/end': density()}, tmp_path / 'page.html')}")
    assert browser_page.locator("#panel-density path.curve").count() >= 1
    assert browser_page.problems == []


def test_barriers_are_a_matrix_of_what_was_measured(browser_page, tmp_path):
    alpha, peak = np.linspace(0, 1, 5), np.array([0.0, 0.75, 1.0, 0.75, 0.0])
    heights, ends = np.array([0.25, 4.0, np.nan]), np.array([0.5, 0.5, 2.0])
    pair = np.array([[0, 1], [0, 2], [1, 2]])
    chord = ends[pair[:, :1]] * (1 - alpha) + ends[pair[:, 1:]] * alpha
    found = Barriers(
        names=("Adam", "SGD", sample.NASTY), pair=pair, alpha=alpha, metrics=("loss",),
        values=(chord + heights[:, None] * peak)[:, None], covariance=np.zeros((3, 1, 5, 5)),
        settings={"alignment": "weights, each pair by itself", "repair": True},
    )  # fmt: skip
    browser_page.open(f"file://{ls.explore({'barriers': found}, tmp_path / 'page.html')}")
    table = browser_page.locator("#panel-barriers-0")
    shown = {
        (i, j): table.locator(f'[data-pair="{i},{j}"]').inner_text()
        for i in range(3)
        for j in range(3)
        if i != j
    }
    assert all(shown[i, j] == shown[j, i] for i, j in shown)
    assert [shown[0, 1], shown[0, 2]] == ["0.25", "4.0"]
    assert shown[1, 2] == "not finite"
    note = table.inner_text()
    for said in ("Entezari et al. 2022", "aligned by weights, each pair by itself", "repaired"):
        assert said in note
    assert sample.NASTY in note
    assert browser_page.problems == []


def test_traces_are_bars_by_tensor(browser_page, tmp_path):
    trace = HessianTrace(
        value=30.0, standard_error=0.5, tensors=("a.weight", sample.NASTY),
        tensor_value=np.array([40.0, -10.0]), tensor_error=np.array([0.4, 0.25]), known=0, probes=8,
    )  # fmt: skip
    browser_page.open(f"file://{ls.explore({'trace/end': trace}, tmp_path / 'page.html')}")
    panel = browser_page.locator("#panel-trace")
    assert panel.locator("p").inner_text() == "end 30.0 ± 0.50 8 probes"
    assert panel.locator(".number").all_inner_texts() == ["40.0 ± 0.40", "−10.0 ± 0.25"]
    bars = panel.locator(".bar-cell i")
    widths = [bars.nth(k).bounding_box()["width"] for k in (0, 1)]
    assert widths[1] == pytest.approx(widths[0] / 4, abs=0.5)
    assert [bars.nth(k).get_attribute("class") for k in (0, 1)] == [None, "negative"]
    assert browser_page.problems == []


def histogram(steps=60):
    """All entries are zero at first, then between 1/2 and 1; a tenth is between 1/8 and 1/4."""
    count = np.zeros((steps, 7))
    count[0, 0] = 100
    count[1:, 5], count[1:, 3] = 90, 10
    return GradientHistogram(
        name="Adam", optimizer="adam", step=np.arange(1, steps + 1),
        edge=2.0 ** np.arange(-5, 1), count=count,
    )  # fmt: skip


def test_sizes_of_gradient_entries_are_rows_over_steps(browser_page, tmp_path):
    results = {**sample.results(), "gradients/adam": histogram()}
    browser_page.open(f"file://{ls.explore(results, tmp_path / 'page.html')}")
    found = browser_page.evaluate(
        """() => { const { rows } = explorer.charts.more.gradients;
        return [rows.names, [...rows.step], rows.names.map((_, row) => rows.told(row, 29)),
          rows.names.map((_, row) => rows.share(row, 29)), rows.note]; }"""
    )
    names, step, told, share, note = found
    assert names == ["2⁻¹", "2⁻²", "2⁻³"]  # from above; the middle one is empty
    assert step == list(range(1, 61))
    assert [row[1][1] for row in told] == ["90 %", "0 %", "10 %"]
    assert told[0][0] == ["size", "0.500 to 1.00"]
    assert share == pytest.approx([1, np.nan, 1 / 9], nan_ok=True)
    assert "up to 100 % are zero" in note
    browser_page.evaluate(
        "explorer.setState({hidden: [explorer.runs.findIndex((run) => run.name === 'Adam')]})"
    )
    browser_page.settle()
    assert not browser_page.locator("#panel-gradients").is_visible()
    assert browser_page.problems == []


def test_long_histograms_are_thinned_and_say_so(browser_page, tmp_path):
    out = ls.explore({"gradients/adam": histogram(2500)}, tmp_path / "page.html")
    browser_page.open(f"file://{out}")
    rows = "explorer.charts.more.gradients.rows"
    assert browser_page.evaluate(f"[{rows}.step[1], {rows}.step.length]") == [4, 834]
    assert "1 step in 3" in browser_page.evaluate(f"{rows}.note")
    assert browser_page.problems == []


def test_gradients_have_curves_when_they_were_recorded(browser_page, tmp_path):
    path = sample.path("Adam", 0.0)
    cosine = np.linspace(1, -1, len(path.step))
    cosine[0] = np.nan
    noisy = replace(path, gradient_norm=np.exp(-path.distance), gradient_cosine=cosine)
    results = {"path/a": noisy, "path/b": sample.path("SGD", 0.4)}
    browser_page.open(f"file://{ls.explore(results, tmp_path / 'page.html')}")
    drawn = browser_page.evaluate(
        """() => explorer.charts.filter(({ panel }) => ['gradient', 'noise'].includes(panel.id))
        .map(({ chart }) => chart.series.map((s) => [s.name, s.y[30], s.y[60]]))"""
    )
    ((_, middle, end),), ((name, right, back),) = drawn
    assert name == "Adam"  # nothing was recorded of SGD
    assert [middle, end] == pytest.approx([noisy.gradient_norm[30], noisy.gradient_norm[60]], 1e-6)
    assert [right, back] == pytest.approx([90, 180])
    assert browser_page.problems == []
