"""What objects show of themselves: short texts, small tables, pictures, the page."""

from __future__ import annotations

import logging
import sys
import types
from dataclasses import replace

import explorer_sample as sample
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import landscape as ls
from landscape.base import log, progress
from landscape.base.progress import Progress
from landscape.results.registry import RESULTS

torch.manual_seed(0)
X = torch.randn(64, 20)


def loss(model, batch):
    return F.mse_loss(model(batch[0]), batch[0], reduction="none").mean(dim=1)


@pytest.fixture(scope="module")
def objective():
    return ls.Objective(nn.Sequential(nn.Linear(20, 40), nn.Tanh(), nn.Linear(40, 20)), loss, (X,))


@pytest.fixture(scope="module")
def surface(objective):
    return ls.loss_surface(objective, resolution=5)


@pytest.fixture(scope="module")
def everything(objective, surface, runs, tmp_path_factory):
    """One object of every public class that holds much."""
    folder = tmp_path_factory.mktemp("shown")
    run = ls.Trajectory(runs["sgd"])
    plane = ls.pca_plane(run)
    model = nn.Linear(3, 2)
    task = ls.load_task("digits/mlp-16")
    recorder = ls.Recorder(folder / "x.h5", model, torch.optim.SGD(model.parameters(), lr=0.1))
    walk = ls.walk(
        ls.Objective(task.model, task.loss, task.train, samples=40), _short(task, folder)
    )
    return [
        objective, surface, plane, run, run.layout, run.final, plane.directions, recorder, task,
        ls.random_line(objective), ls.loss_line(objective, ls.random_line(objective), resolution=4),
        walk, ls.walk_statistics(walk), ls.path_metrics(run), ls.recorded_path(run),
        ls.layer_metrics(run), ls.project(run, plane), ls.adaptive_rate_variance(samples=100),
        ls.hessian_spectrum(objective, top=1, bottom=0), objective.at(objective.parameters()),
        ls.Run("digits/mlp", "adam", options={"betas": [0.9, 0.99]}), ls.surface_mesh(surface),
        ls.plot(surface), ls.Processes(("cpu", "cpu")), ls.RayActors(4), ls.load_results,
        ls.WeightAverage("ema", model.parameters()),
    ]  # fmt: skip


def _short(task, folder):
    """A run of three steps of a task's model."""
    optimizer = torch.optim.SGD(task.model.parameters(), lr=0.1)
    with ls.Recorder(folder / "short.h5", task.model, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            task.loss(task.model, task.train).mean().backward()
            optimizer.step()
    return ls.Trajectory(folder / "short.h5")


def test_representations_are_short(everything):
    for shown in everything:
        text = repr(shown)
        assert len(text) <= 200, text
        assert "\n" not in text
        assert " object at 0x" not in text


def test_every_kind_of_result_is_among_them_or_shown_the_same_way(everything):
    measured = {type(shown).schema for shown in everything if hasattr(shown, "schema")}
    assert len(measured) >= 10
    for cls in RESULTS.values():
        assert cls.__repr__.__qualname__ == "Result.__repr__"
        assert cls._repr_html_.__qualname__ == "Result._repr_html_"


def test_tables_are_small_and_quote_what_they_show(everything, monkeypatch):
    monkeypatch.delitem(sys.modules, "matplotlib")
    for shown in everything:
        if hasattr(shown, "_repr_html_") and not hasattr(shown, "png"):
            text = shown._repr_html_()
            assert "<img" not in text
            assert len(text) < 2500
    named = sample.path("<script>", 0.1)._repr_html_()
    assert "&lt;script&gt;" in named
    assert "<script>" not in named


def test_pictures_where_matplotlib_is_loaded(surface, runs):
    assert surface._repr_html_().count("data:image/png;base64,") == 1
    assert ls.Trajectory(runs["sgd"])._repr_html_().count("data:image/png;base64,") == 1
    # Nothing is drawn of two directions alone: a table without a picture.
    assert "<img" not in ls.random_plane(surface_objective())._repr_html_()


def surface_objective():
    return ls.Objective(nn.Linear(20, 20), loss, (X,))


def test_plot_takes_anything(surface, runs, tmp_path):
    run = ls.Trajectory(runs["adam"])
    plane = ls.pca_plane(run)
    surface.save(tmp_path / "a.results.h5", "surface/random")
    for what in (
        (surface,), ([surface],), ({"mine": surface},), (tmp_path / "a.results.h5",),
        (str(tmp_path / "a.results.h5"),), (run,), (runs["adam"],), (run, runs["sgd"]),
        (ls.path_metrics(run), surface), (ls.adaptive_rate_variance(samples=50),),
    ):  # fmt: skip
        pictures = ls.plot(*what)
        assert len(pictures) == len(pictures.sentences) >= 1
        assert pictures[0].axes
        assert pictures.png().startswith(b"\x89PNG")
    both = sample.surface(), sample.projection("Adam", 0.2), sample.projection("SGD", 0.4)
    assert "paths of SGD, Adam" in ls.plot(*both).sentences[0]
    assert ls.plot(surface, lines=5)[0].axes
    with pytest.raises(ValueError, match="Nothing is drawn of Plane alone; measure the loss there"):
        ls.plot(plane)
    with pytest.raises(ValueError, match="one kind"):
        ls.plot(surface, run, lines=5)
    with pytest.raises(ValueError, match=r"Give results.*not a Linear"):
        ls.plot(nn.Linear(1, 1))
    ls.plot(run, surface).savefig(tmp_path / "x.png")
    assert {p.name for p in tmp_path.glob("*.png")} == {"x.png", "x-2.png"}


def test_frames_and_data_sets(surface, runs):
    data = surface.to_xarray()
    assert data["values"].dims == ("metric", "beta", "alpha")
    assert data["values"].sel(metric="loss").shape == surface.loss.shape
    frame = surface.to_frame()
    assert len(frame) == surface.values.size
    point = frame.loc[("loss", surface.beta[1], surface.alpha[3])]
    assert point["values"] == surface.loss[1, 3]
    assert bool(point["computed"])
    run = ls.Trajectory(runs["sgd"])
    path = ls.path_metrics(run)
    assert path.to_frame()["distance"].tolist() == path.distance.tolist()
    recorded = run.to_frame()
    assert recorded.index[0] == 1
    np.testing.assert_array_equal(recorded["loss"], run.scalars["loss"])


def test_the_library_speaks_through_its_logger(monkeypatch, capsys):
    said = []

    class Kept(logging.Handler):
        def emit(self, record):
            said.append(record.getMessage())

    monkeypatch.setattr(log.LOG, "handlers", [Kept()])
    with Progress("surface", 2601) as bar:
        bar.expect(0.031)
    assert said == ["surface: 2,601 points × 31 ms: about 81 s"]
    assert capsys.readouterr().err == ""


def test_a_log_gets_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(progress, "_BETWEEN_LINES", -1.0)
    with Progress("walk", 3, unit="segment") as bar:
        for _ in range(3):
            bar.advance()
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(", about")[0] for line in said] == [
        "walk: 1 of 3 segments", "walk: 2 of 3 segments",
    ]  # fmt: skip


def test_kernels_show_progress(monkeypatch, capsys):
    """A kernel's streams are no terminals; the bar is drawn there all the same."""
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    monkeypatch.setattr(progress, "_WORTH_SAYING", 0.0)
    with Progress("surface", 4) as bar:
        bar.advance(2)
        bar._bar.refresh()
    assert "2/4" in capsys.readouterr().err


def test_bars_can_be_turned_off_as_those_of_tqdm(monkeypatch, capsys):
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setattr(progress, "_WORTH_SAYING", 0.0)
    with Progress("surface", 4) as bar:
        bar.advance(2)
        assert bar._bar.disable
    assert capsys.readouterr().err == ""


def test_no_label_of_a_picture_is_cut_off(surface):
    skewed = replace(surface, gram=surface.gram + 0.1 * surface.gram[0, 0] * np.eye(2)[::-1])
    for shown in (surface, skewed):
        figure = ls.plot(shown)[0]
        figure.draw_without_rendering()
        ax = figure.axes[0]
        for label in (ax.xaxis.label, ax.yaxis.label, ax.child_axes[0].yaxis.label):
            box = label.get_window_extent()
            assert (box.min >= figure.bbox.min).all(), label
            assert (box.max <= figure.bbox.max).all(), label
