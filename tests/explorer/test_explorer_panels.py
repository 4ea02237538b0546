"""Panels that appear when something was measured: sharpness against its threshold, density."""

from __future__ import annotations

import explorer_sample as sample
import numpy as np
import pytest

import landscape as ls
from landscape.results.curvature_path import CurvaturePath
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
