"""Figures of results: what the artists hold, not how pixels look."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.colors import LogNorm
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from PIL import Image

import landscape as ls
from landscape.analysis.adaptive_rate import adaptive_rate_variance
from landscape.analysis.walk_statistics import walk_statistics
from landscape.optim.registry import OPTIMIZERS
from landscape.plots.levels import contour_levels, labelled
from landscape.plots.results import plot_results
from landscape.plots.style import look, looks
from landscape.plots.surface import plot_surface
from landscape.results.layers import LayerMetrics
from landscape.results.words import stated_error


def make_surface(values: np.ndarray, **changes) -> ls.Surface:
    """A surface on [-2, 4] x [0, 1]: neither square nor symmetric."""
    values = np.asarray(values, float)
    up, across = values.shape
    fields = {
        "alpha": np.linspace(-2, 4, across),
        "beta": np.linspace(0, 1, up),
        "metrics": ("loss",),
        "values": values[None],
        "standard_error": np.zeros((1, up, across)),
        "computed": np.ones((up, across), bool),
        "gram": np.eye(2),
        "labels": ("PC 1", "PC 2"),
        "explained": np.array([0.7, 0.1]),
        "explained_null": np.array([0.608, 0.152]),
        "settings": {"task": "toy", "samples": 10, "population": 40, "batch_norm": "frozen"},
        "provenance": {"plane_hash": "abc", "command": ["train.py"]},
    }
    return ls.Surface(**{**fields, **changes})


def make_path(name: str = "Adam", optimizer: str = "adam", plane: str = "abc") -> ls.Projection:
    return ls.Projection(
        name=name,
        optimizer=optimizer,
        step=np.arange(3),
        coordinates=np.array([[-1.0, 0.1], [0.0, 0.4], [3.0, 0.9]]),
        residual=np.array([0.0, 1.25, 0.5]),
        shown=0.9,
        provenance={"plane_hash": plane},
    )


def test_a_lower_precision_and_its_error_stand_above_the_surface():
    surface = make_surface(np.arange(1, 13).reshape(3, 4))
    settings = {**surface.settings, "precision": "bfloat16"}
    for errors, wanted in (({"loss": 0.0123}, "bfloat16, off by up to 0.01"), (None, "bfloat16")):
        lower = replace(surface, settings=settings, provenance={"observed_error": errors})
        assert wanted in plot_surface(lower).get_title(loc="left").replace("\n", " ")
    single = replace(surface, settings={**settings, "precision": "single"})
    assert "single" not in plot_surface(single).get_title(loc="left")


def make_walk(steps=(0, 1, 2, 7, 8), name: str = "SGD") -> ls.Walk:
    step = np.array(steps)
    alpha = np.linspace(0, 1, 5)
    at = step[:, None] + alpha
    loss = 3 - 0.1 * at + (alpha - 0.4) ** 2  # the minimum lies inside each segment
    loss[:, -1] = 3 - 0.1 * (step + 1) + 0.16  # ends meet the next start
    return ls.Walk(
        name=name,
        optimizer="sgd",
        step=step,
        next_step=step + 1,
        alpha=alpha,
        metrics=("loss",),
        values=loss[:, None],
        standard_error=np.zeros((len(step), 1, 5)),
    )


def make_metrics(name: str = "SGD", optimizer: str = "sgd", every: int = 1) -> ls.PathMetrics:
    values = np.arange(10.0)
    cosine = np.concatenate([[np.nan, np.nan], np.linspace(-1, 1, 8)])
    return ls.PathMetrics(
        name=name, optimizer=optimizer, step=every * np.arange(10), update_norm=values + 1,
        cosine=cosine, cosine_to_final=cosine, distance=values, path_length=values,
        losses=values, learning_rate=values,
    )  # fmt: skip


def make_profile(**changes) -> ls.Profile:
    alpha = np.linspace(-0.5, 1.5, 21)
    fields = {
        "alpha": alpha,
        "metrics": ("loss",),
        "values": np.stack([1 + alpha**2, 2 + alpha])[:, None],
        "standard_error": np.zeros((2, 1, 21)),
        "names": ("Adam", "mine"),
        "label": "α",
        "settings": {"kind": "between two points"},
    }
    return ls.Profile(**{**fields, **changes})


@pytest.fixture(autouse=True)
def _nothing_left_open():
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == before, "a plot changed global settings"


@pytest.fixture
def ax():
    return Figure().add_subplot()


def artists(ax, gid: str) -> list:
    return [a for a in ax.get_children() if a.get_gid() == gid]


BOWL = 0.01 + np.add.outer(np.linspace(0, 1, 5) ** 2, np.linspace(-1, 1, 8) ** 2)


def test_styles_hold_inside_their_block_only():
    with ls.style("paper", columns=2):
        assert mpl.rcParams["font.size"] == 8
        assert plt.figure().get_size_inches()[0] == 7.0
    with pytest.raises(ValueError, match=r"style must be one of paper, neurips, .*; not 'nature'"):
        ls.style("nature")


def test_looks_follow_the_registry_and_repeat_for_unknown_names():
    for name, entry in OPTIMIZERS.items():
        assert (look(name).color, look(name).dash) == (entry.color, entry.dash)
        assert look(entry.title) == look(name)
    assert look("my own") == look("my own") != look("another one")
    three = looks(["sgd", "sgd", "sgd"])
    assert len({one.color for one in three}) == len({one.dash for one in three}) == 3


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1e-2, 1.0, 1e2], [0.01, 0.1, 1, 10]),  # 1000 x minimum: 10
        ([0.03, 4.0, 4.0], [0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 4]),
        ([1.0, np.nan, np.inf, 8.0], [1, 2, 4, 6, 8]),
        ([-1.0, 0.5, 2.0], [-1, 0, 1, 2]),
        ([0.0, 1.0, 3.0], [0, 1, 2, 3]),
    ],
)
def test_levels(values, expected):
    ceiling = 10.0 if values[-1] == 1e2 else None
    lines = 6 if len(expected) == 8 else 4
    np.testing.assert_allclose(
        contour_levels(np.array(values), lines=lines, ceiling=ceiling), expected, rtol=1e-12
    )


@given(
    low=st.floats(1e-6, 1e3), reach=st.floats(1.001, 1e9), shift=st.sampled_from([0.0, 1.0, -0.5])
)
def test_levels_are_round_numbers(low, reach, shift):
    """Labelled levels are 1, 2 or 5 times a power of ten, or multiples of such a step."""
    ends = np.array([low, low * reach]) + shift * low * reach
    inner = contour_levels(ends, ceiling=float(ends[1]))[1:-1]
    shown = labelled(inner)
    if len(shown) < 2:
        return
    step = np.diff(shown)
    even = np.allclose(step, step[0], rtol=1e-6)
    numbers = step[:1] if even else shown
    leading = [float(f"{value:.9e}".split("e")[0]) for value in numbers]
    assert all(min(abs(one - round_one) for round_one in (1, 2, 5, 10)) < 1e-5 for one in leading)
    assert even <= (np.abs(shown / step[0] - np.round(shown / step[0])) < 1e-5).all()


def test_a_huge_corner_does_not_hide_the_bowl():
    values = BOWL.copy()
    values[-1, -1] = 8e35
    assert contour_levels(values)[-1] < 100


def test_a_flat_surface_and_one_without_numbers(ax):
    assert plot_surface(make_surface(np.ones((3, 4))), ax=ax) is ax
    with pytest.raises(ValueError, match="No value of the surface is finite"):
        contour_levels(np.full((3, 4), np.nan))
    empty = plot_surface(make_surface(np.full((3, 4), np.nan)), ax=Figure().add_subplot())
    assert [text.get_text() for text in empty.texts] == ["no finite loss was measured"]


@pytest.mark.parametrize(("low", "high"), [(3.83, 3.93), (1000.0, 1000.001), (-0.5, 3.0)])
def test_labels_of_the_colour_bar_tell_its_levels_apart(ax, low, high):
    plot_surface(make_surface(np.linspace(low, high, 20).reshape(4, 5)), ax=ax)
    labels = [text.get_text() for text in ax.child_axes[0].get_yticklabels()]
    assert len(set(labels)) == len(labels) > 3
    written = [float(label) for label in labels]
    np.testing.assert_allclose([written[0], written[-1]], [low, high], atol=(high - low) / 5)


def test_surface_labels_limits_and_norm(ax):
    plot_surface(make_surface(BOWL), ax=ax)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-2, 4), (0, 1))
    assert ax.get_xlabel() == "PC 1 (70.0% of variation; random walk: 60.8%)"
    assert ax.get_ylabel() == "PC 2 (10.0% of variation;\nrandom walk: 15.2%)"
    told = ax.get_title("left").replace("\n", " ")
    assert told == "toy · 10 of 40 samples · batch norm frozen · drawn 3 times as tall as it is"
    fills, lines = ax.collections[:2]
    assert isinstance(fills.norm, LogNorm)
    np.testing.assert_allclose(labelled(lines.levels), [0.05, 0.1, 0.2, 0.5, 1, 2])


def test_contours_are_not_transposed(ax):
    """Loss that depends on α only has vertical contour lines at known places."""
    alpha = np.linspace(-2, 4, 13)
    plot_surface(make_surface(np.tile(alpha, (4, 1)), gram=np.diag([1.0, 9.0])), lines=4, ax=ax)
    lines = ax.collections[1]
    np.testing.assert_allclose(lines.levels, [-2, 0, 2, 4])  # the ends are round, too
    for level, path in list(zip(lines.levels, lines.get_paths(), strict=True))[1:3]:
        np.testing.assert_allclose(path.vertices[:, 0], level, atol=1e-12)


def test_holes_crosses_and_the_clip(ax):
    values = BOWL.copy()
    values[1, 2], values[3, 5] = np.nan, np.inf
    computed = np.ones(values.shape, bool)
    computed[0] = False
    values[0] = np.nan
    plot_surface(make_surface(values, computed=computed), ceiling=1.0, ax=ax)
    assert artists(ax, "not measured")[0].get_hatch()
    (crosses,) = artists(ax, "not finite")
    surface = make_surface(values)
    np.testing.assert_array_equal(crosses.get_xydata(), [[surface.alpha[2], surface.beta[1]]])
    assert ax.child_axes[0].get_ylabel() == "loss (clipped above 1)"
    assert ax.collections[0].extend == "max"


def test_negative_losses_get_even_levels(ax):
    plot_surface(make_surface(BOWL - 5), ax=ax)
    assert not isinstance(ax.collections[0].norm, LogNorm)
    steps = np.diff(ax.collections[1].levels)
    np.testing.assert_allclose(steps, steps[0])


def test_paths_on_a_surface(ax):
    path = make_path()
    plot_surface(make_surface(BOWL), paths=[path, make_path("mine", "")], ax=ax)
    drawn = artists(ax, "path")
    np.testing.assert_array_equal(drawn[0].get_xydata(), path.coordinates)
    assert drawn[0].get_color() == OPTIMIZERS["adam"].color
    np.testing.assert_array_equal(artists(ax, "start")[0].get_xydata(), path.coordinates[:1])
    np.testing.assert_array_equal(artists(ax, "end")[0].get_xydata(), path.coordinates[-1:])
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["Adam: 1.2", "mine: 1.2"]
    assert "distance from the plane" in ax.get_legend().get_title().get_text()


def test_a_path_of_another_plane_is_refused():
    with pytest.raises(ValueError, match="another plane"):
        plot_surface(make_surface(BOWL), paths=[make_path(plane="other")])


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="metric must be one of loss; not 'accuracy'"):
        plot_surface(make_surface(BOWL), metric="accuracy")
    with pytest.raises(ValueError, match="metric must be one of loss"):
        ls.plot_walk(make_walk(), metric="accuracy")
    with pytest.raises(ValueError, match="metric must be one of loss"):
        ls.plot_profile(make_profile(), metric="accuracy")


def test_the_walk_is_continuous_and_its_floor_is_below(ax):
    walk = make_walk(steps=(0, 1, 2))
    ls.plot_walk(walk, ax=ax)
    ((curve,), (states,), (floor,)) = (artists(ax, gid) for gid in ("walk", "states", "floor"))
    x, y = curve.get_data()
    assert not np.isnan(x).any()
    assert (x.min(), x.max()) == (0, 3)
    np.testing.assert_allclose(y[x == 1], walk.loss[0, -1], rtol=1e-12)
    np.testing.assert_array_equal(np.unique(states.get_xdata()), [0, 1, 2, 3])
    np.testing.assert_array_equal(floor.get_ydata(), walk.loss.min(axis=1))
    at = floor.get_xdata() - walk.step
    np.testing.assert_allclose(at, walk.alpha[walk.loss.argmin(axis=1)])


def test_a_walk_on_a_subset_shows_its_errors(ax):
    certain = make_walk(steps=(0, 1, 2))
    covariance = np.array([(0.04 + 0.01 * np.eye(5))] * 3)  # mostly common to all points
    unsure = replace(certain, covariance=covariance, standard_error=np.full((3, 1, 5), 0.05**0.5))
    ls.plot_walk(unsure, ax=ax)
    (band,) = artists(ax, "error")
    top = band.get_paths()[0].vertices[:, 1].max()
    assert top == pytest.approx(certain.loss.max() + 0.05**0.5)
    (bars,) = (c for c in ax.containers if isinstance(c, ErrorbarContainer))
    segments = bars.lines[2][0].get_segments()
    # The common part cancels; of the rest (1/4 + 1/4 + 1) is left.
    np.testing.assert_allclose(
        [np.ptp(segment[:, 1]) / 2 for segment in segments], 0.015**0.5, rtol=1e-9
    )
    np.testing.assert_allclose([s[:, 1].mean() for s in segments], certain.floor)
    assert "± one standard error" in ax.get_title(loc="left")
    fresh = Figure().add_subplot()
    ls.plot_walk(certain, ax=fresh)
    assert not artists(fresh, "error")
    assert "standard error" not in fresh.get_title(loc="left")


def test_a_walk_with_a_gap_has_a_panel_per_window():
    first = ls.plot_walk([make_walk(), make_walk(name="again")])
    panels = first.figure.axes
    assert [panel.get_xlim() for panel in panels] == [(0, 3), (7, 9)]
    assert [len(artists(panel, "walk")) for panel in panels] == [2, 2]


def test_a_walk_with_a_gap_on_given_axes_breaks_its_line(ax):
    ls.plot_walk(make_walk(), ax=ax)
    x = artists(ax, "walk")[0].get_xdata()
    assert np.isnan(x).sum() == 1


@pytest.mark.parametrize("quantity", ["angle", "cosine", "distance", "update_norm"])
def test_path_quantities(ax, quantity):
    runs = [make_metrics(), make_metrics("Adam", "adam", every=5)]
    ls.plot_path(runs, quantity=quantity, smooth=1, ax=ax)
    lines = artists(ax, "mean")
    for line, run in zip(lines, runs, strict=True):
        np.testing.assert_array_equal(line.get_xdata(), run.step)
        np.testing.assert_array_equal(line.get_ydata(), getattr(run, quantity))
        assert line.get_label() == run.name
    assert ("5 steps apart" in ax.get_ylabel()) == (quantity != "distance")


def test_squared_distance_and_unknown_quantities(ax):
    ls.plot_path(make_metrics(), quantity="distance_squared", ax=ax)
    np.testing.assert_array_equal(artists(ax, "mean")[0].get_ydata(), np.arange(10.0) ** 2)
    with pytest.raises(ValueError, match="quantity must be one of angle"):
        ls.plot_path(make_metrics(), quantity="speed")


def test_profile_lines_ends_and_bands(ax):
    profile = make_profile(standard_error=np.full((2, 1, 21), 0.1))
    ls.plot_profile(profile, ax=ax)
    curves = [line for line in ax.lines if len(line.get_xdata()) == 21]
    for curve, values in zip(curves, profile.loss, strict=True):
        np.testing.assert_array_equal(curve.get_ydata(), values)
    assert curves[0].get_color() == OPTIMIZERS["adam"].color
    assert len(ax.collections) == 2
    assert ax.get_xlim() == (-0.5, 1.5)


def test_many_random_directions_are_a_median_with_a_band(ax):
    values = 1 + np.arange(11.0)[:, None, None] * np.linspace(-1, 1, 21) ** 2
    profile = make_profile(
        values=values,
        standard_error=np.zeros_like(values),
        names=tuple(f"seed {s}" for s in range(11)),
        settings={"kind": "random", "normalization": "filter"},
    )
    ls.plot_profile(profile, ax=ax)
    ((median,), (spread,)) = (artists(ax, gid) for gid in ("median", "spread"))
    np.testing.assert_allclose(median.get_ydata(), values[5, 0])
    # 10 % and 90 % of eleven lines are the second and the last but one.
    edges = spread.get_paths()[0].vertices[:, 1]
    assert (edges.min(), edges.max()) == (1, 1 + 9)
    assert len(artists(ax, "each")) == 11
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["80 % of them", "median of 11 directions"]


def results() -> dict:
    return {
        "surface/pca": make_surface(BOWL),
        "surface/other plane": make_surface(BOWL, provenance={"plane_hash": "else"}),
        "projection/pca/adam": make_path(),
        "walk/sgd": make_walk(),
        "path/sgd": make_metrics(),
        "line/initial-final": make_profile(),
    }


def test_plot_results_draws_everything_and_says_what(tmp_path):
    written = plot_results(results(), tmp_path / "figures", formats=("png", "pdf", "svg"))
    sentences = {file.stem: sentence for file, sentence in written}
    assert list(sentences) == [
        "surface-pca", "surface-other-plane", "walk", "path", "line-initial-final"
    ]  # fmt: skip
    assert len(list((tmp_path / "figures").iterdir())) == 5 * 4  # a LaTeX text beside each PDF
    assert "80% of the variation" in sentences["surface-pca"]
    assert "up to 1.2 away" in sentences["surface-pca"]
    assert "paths" not in sentences["surface-other-plane"]
    assert "of 5 segments 0 rise above both ends and 5 have a minimum inside" in sentences["walk"]


def test_figures_carry_where_they_came_from(tmp_path):
    plot_results(results(), tmp_path, formats=("png", "pdf", "svg"))
    with Image.open(tmp_path / "surface-pca.png") as image:
        origin = json.loads(image.text["Description"])
        assert image.text["Software"] == f"landscape {ls.__version__}"
    assert origin["surface/pca"]["provenance"]["command"] == ["train.py"]
    assert origin["surface/pca"]["settings"]["task"] == "toy"
    assert set(origin) == {"surface/pca", "projection/pca/adam"}
    assert b"train.py" in (tmp_path / "surface-pca.pdf").read_bytes()
    assert "train.py" in (tmp_path / "surface-pca.svg").read_text()


def test_plot_results_refuses_what_it_cannot_draw_or_write(tmp_path):
    with pytest.raises(ValueError, match="Nothing to draw among projection/a"):
        plot_results({"projection/a": make_path()}, tmp_path)
    with pytest.raises(ValueError, match=r"png, pdf, svg; not 'surface-pca\.bmp'"):
        plot_results({"surface/pca": make_surface(BOWL)}, tmp_path, formats=("bmp",))


def test_saved_results_are_drawn_without_torch(tmp_path):
    for name, result in results().items():
        result.save(tmp_path / "saved.h5", name)
    program = f"""
import sys
sys.modules["torch"] = None  # any import of torch fails from here on
from pathlib import Path
from landscape.results.registry import load_results
from landscape.plots.results import plot_results
folder = Path({str(tmp_path)!r})
print(len(plot_results(load_results(folder / "saved.h5"), folder, formats=("svg",))))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "5", done.stderr


def test_a_recorded_run_on_its_plane(runs):
    """A projection without losses is enough."""
    trajectory = ls.Trajectory(runs["sgd"])
    plane = ls.pca_plane(trajectory)
    task = ls.load_task("digits/mlp")
    objective = ls.Objective(task.model, task.loss, task.train, samples=64)
    surface = ls.loss_surface(objective, plane, extent="trajectory", resolution=(4, 3))
    ax = ls.plot_surface(surface, paths=[ls.project(trajectory, plane)])
    assert len(artists(ax, "path")) == 1


# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB.
SIGHTS = {
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
    "greyscale": [[0.2126, 0.7152, 0.0722]] * 3,
}


def seen(color, sight: str) -> np.ndarray:
    """Linear RGB of a colour as somebody with this sight sees it."""
    rgb = np.array(mpl.colors.to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return (np.array(SIGHTS[sight]) @ linear).clip(0, 1)


def luminance(color, sight: str) -> float:
    return float(seen(color, sight) @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("sight", SIGHTS)
def test_optimizers_can_be_told_apart_without_colour(sight):
    """Where two colours look alike, dash or marker differ."""
    for k, a in enumerate(OPTIMIZERS):
        for b in list(OPTIMIZERS)[:k]:
            one, other = look(a), look(b)
            apart = seen(one.color, sight) ** (1 / 2.2) - seen(other.color, sight) ** (1 / 2.2)
            if np.abs(apart).max() < 0.1:
                assert (one.dash, one.marker) != (other.dash, other.marker), (a, b)


@pytest.mark.parametrize("sight", SIGHTS)
def test_every_optimizer_stands_out_from_paper_and_halo(sight):
    """Contrast with white, (1 + 0.05) / (Y + 0.05) as of WCAG 2, is at least two."""
    for name in OPTIMIZERS:
        assert 1.05 / (luminance(look(name).color, sight) + 0.05) > 2, name


@pytest.mark.parametrize("sight", ["protanopia", "deuteranopia", "greyscale"])
@pytest.mark.parametrize("paths", [(), (make_path(),)])
def test_fills_grow_lighter_with_the_loss(ax, paths, sight):
    """Lighter is higher for every eye: also for the pale colours under paths."""
    plot_surface(make_surface(BOWL), paths=paths, ax=ax)
    colors = ax.collections[0].cmap(np.linspace(0, 1, 32))[:, :3]
    assert (np.diff([luminance(color, sight) for color in colors]) > 0).all()


@pytest.mark.parametrize("sight", SIGHTS)
def test_runs_of_one_optimizer_differ_in_lightness_and_dash(sight):
    shades = [luminance(one.color, sight) for one in looks(["sgd"] * 4)]
    assert (np.diff(shades) > 0.02).all()


def test_paths_stand_out_from_every_colour_of_the_surface(ax):
    """A white halo lies under each path, wider than the path."""
    plot_surface(make_surface(BOWL), paths=[make_path()], ax=ax)
    ((halo,), (path,)) = (artists(ax, gid) for gid in ("halo", "path"))
    assert halo.get_color() == "white"
    assert halo.get_linewidth() > 1.5 * path.get_linewidth()
    assert halo.get_zorder() < path.get_zorder()


def make_layers() -> LayerMetrics:
    return LayerMetrics(
        name="LAMB", optimizer="lamb", step=np.arange(3), layers=("a.weight", "a.bias"),
        weight_norm=np.array([[2.0, 2, 2], [1, 1, 1]]),
        update_norm=np.array([[np.nan, 0.2, 0.4], [np.nan, 0.1, 0.1]]),
        learning_rate=np.full(3, 0.1),
    )  # fmt: skip


def test_layers_draw_what_was_measured_and_are_chosen_by_name(ax):
    ls.plot_layers(make_layers(), only="weight", ax=ax)
    (line,) = ax.lines
    np.testing.assert_allclose(line.get_ydata(), [np.nan, 0.1, 0.2])
    assert (line.get_label(), ax.get_yscale()) == ("a.weight", "log")
    with pytest.raises(ValueError, match="quantity must be one of update_to_weight"):
        ls.plot_layers(make_layers(), quantity="speed")
    with pytest.raises(ValueError, match="No tensor has 'conv' in its name"):
        ls.plot_layers(make_layers(), only="conv")


def test_statistics_are_bars_with_their_intervals(ax):
    statistics = walk_statistics(make_walk())
    ls.plot_walk_statistics(statistics, ax=ax)
    for k, bars in enumerate(b for b in ax.containers if hasattr(b, "patches")):
        heights = [bar.get_height() for bar in bars.patches]
        np.testing.assert_array_equal(heights, statistics.fraction[:, k])
    assert f"({statistics.segments[0]} segments)" in ax.get_xticklabels()[0].get_text()


def test_the_adaptive_rate_shows_simulation_and_closed_form(ax):
    rate = adaptive_rate_variance(steps=[6, 20, 60], samples=50)
    ls.plot_adaptive_rate(rate, ax=ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), rate.closed_form)
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {
        "closed form", "Adam, simulated", "RAdam, simulated"
    }  # fmt: skip


def test_plot_results_draws_the_other_kinds_too(tmp_path):
    others = {
        "layers/lamb": make_layers(),
        "walk-statistics/sgd": walk_statistics(make_walk()),
        "rate": adaptive_rate_variance(steps=[6, 20], samples=20),
    }
    drawn = plot_results(others, tmp_path, formats=("svg",))
    assert [entry.file.stem for entry in drawn] == ["layers-lamb", "walk-statistics-sgd", "rate"]


def test_a_surface_with_a_tolerance_says_so(ax):
    values = np.arange(1.0, 13).reshape(3, 4)
    measured = np.zeros((3, 4), bool)
    measured[::2, ::3] = True
    trusted = np.ones((3, 4), bool)
    trusted[1, 2] = False
    surface = make_surface(
        values, measured=measured, trusted=trusted, samples=50 * measured,
        error=0.01 * values[None],
        accuracy={"stated": [0.0042], "tolerance": 0.01},
    )  # fmt: skip
    plot_surface(surface, ax=ax)
    assert ax.child_axes[0].get_ylabel() == "loss; 95 % within ±0.42 % of its range"
    surface.accuracy["check"] = {"beyond": 0.095, "largest": [0.0061]}
    assert stated_error(surface, "loss").endswith("\nchecked: over 90 % within ±0.61 %")
    (dots,) = artists(ax, "measured")  # the others are interpolated
    assert len(dots.get_xdata()) == measured.sum()
    (hatched,) = artists(ax, "untrusted")
    box = hatched.get_path().get_extents()
    # Half way to the neighbours of (alpha, beta) = (2, 0.5).
    np.testing.assert_allclose([box.x0, box.x1, box.y0, box.y1], [1, 3, 0.25, 0.75])


def test_measured_points_are_dotted(ax):
    measured = np.eye(3, 4, dtype=bool)
    surface = make_surface(np.arange(1.0, 13).reshape(3, 4), measured=measured)
    plot_surface(surface, ax=ax)
    (dots,) = artists(ax, "measured")
    np.testing.assert_allclose(dots.get_xydata(), [[-2, 0], [0, 0.5], [2, 1]])
    bare = plot_surface(surface, show_points=False, ax=Figure().add_subplot())
    assert not artists(bare, "measured")
