"""Sharpness along runs on the page, against the thresholds of their optimizers."""

from __future__ import annotations

import explorer_sample as sample
import numpy as np
import pytest

import landscape as ls
from landscape.explorer.content import page_content


def curvature(name, *, condition="2 / lr (gradient descent)", threshold=8.0):
    step = np.arange(0, sample.STEPS + 1, 10)
    column = np.full(len(step), 1.0)
    columns = (
        "smallest", "smallest_residual", "learning_rate", "loss", "gradient_norm",
        "gradient_curvature", "update_norm", "update_curvature", "predicted", "measured",
        "batch_sharpness", "batch_sharpness_error", "products",
    )  # fmt: skip
    computed = np.ones(len(step), bool)
    computed[-1] = False
    return ls.CurvaturePath(
        name=name,
        optimizer=sample.RUNS[name],
        condition=condition,
        step=step,
        value=step[:, None] / 5.0,
        residual=column[:, None],
        gradient_share=column[:, None],
        sharpness=step / 6.0 if condition else np.full(len(step), np.nan),
        threshold=np.full(len(step), threshold),
        update_steps=np.ones(len(step), np.int64),
        computed=computed,
        **dict.fromkeys(columns, column),
    )


def results():
    return {
        **sample.results(),
        "curvature/sgd": curvature("SGD"),
        "curvature/adam": curvature("Adam", condition="", threshold=np.nan),
    }


def test_it_belongs_to_its_run():
    sgd, adam = page_content({"": results()})["runs"][:2]
    assert sgd["condition"] == "2 / lr (gradient descent)"
    assert [run["name"] for run in (sgd, adam)] == ["SGD", "Adam"]
    assert sgd["sharpness"]["step"]["shape"] == [6]  # the last state is not computed
    assert "sharpness" in adam


@pytest.mark.browser
def test_a_panel_with_the_threshold(browser_page, tmp_path):
    page = browser_page
    page.open(f"file://{ls.explore(results(), tmp_path / 'page.html')}")
    chart = "explorer.charts.find(c => c.panel.id === 'sharpness').chart"
    assert page.evaluate(f"{chart}.series.map(s => s.name)") == ["SGD: threshold", "SGD", "Adam"]
    assert page.evaluate(f"[...{chart}.series[0].y]") == [8.0] * 6
    assert page.evaluate(f"{chart}.series[2].y[5]") == pytest.approx(10)  # λ1: no threshold known
    assert page.inner_text("#panel-sharpness .note") == "dotted: 2 / lr (gradient descent)"
    assert page.evaluate("document.querySelectorAll('#panel-sharpness .curve.thin').length") == 1
    only = {"curvature/sgd": curvature("SGD")}
    page.open(f"file://{ls.explore(only, tmp_path / 'only.html')}")
    assert page.evaluate("explorer.charts.map(c => c.panel.id)") == ["sharpness"]
