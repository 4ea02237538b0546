"""Panels that appear when something was measured: sharpness against its threshold, density."""

from __future__ import annotations

import explorer_sample as sample
import numpy as np
import pytest

import landscape as ls
from landscape.results.barriers import Barriers
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
