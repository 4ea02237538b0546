"""Results that nobody foresaw: what a picture and its caption say of them is so."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from test_plots import BOWL, artists, make_metrics, make_path, make_profile, make_surface, make_walk

import landscape as ls
from landscape.plots.ground import ground_colormap
from landscape.plots.names import plain
from landscape.plots.results import drawings
from landscape.plots.room import outline, shown_texts
from landscape.plots.surface import plane_transform
from landscape.results.barriers import Barriers
from landscape.results.curvature_map import CurvatureMap

NAMES = ("cost $a$", r"$\frac{1}$", "_hidden", r"$\nothing$ {x}", "50% & $")


def make_map(size: int = 5) -> CurvatureMap:
    axis, ones = np.linspace(-1, 1, size), np.ones((size, size))
    return CurvatureMap(
        alpha=axis, beta=axis, largest=5 * ones, smallest=ones, largest_residual=0 * ones,
        smallest_residual=0 * ones, in_plane=np.ones((3, size, size)), loss=ones, products=ones,
        computed=np.ones((size, size), bool), gram=np.eye(2), labels=("u", "v"),
    )  # fmt: skip


def sentence(results) -> str:
    (one,) = drawings(results)
    return one.sentence


def caption(surface: ls.Surface, *paths: ls.Projection) -> str:
    return sentence({"surface/a": surface, **{f"projection/{k}": p for k, p in enumerate(paths)}})


# Names


def shown(figure: Figure) -> list[str]:
    """What is read on a figure: matplotlib takes what stands between dollars for mathematics."""
    figure.draw_without_rendering()
    texts = [text for text in shown_texts(figure) if text.get_gid() != "level"]
    read = [Text._preprocess_math(text, text.get_text()) for text in texts]
    return [text for text, mathematics in read if mathematics is False]


def test_names_are_read_letter_by_letter_and_none_is_missing_in_a_legend():
    kinds = [
        {f"path/{k}": make_metrics(name, "") for k, name in enumerate(NAMES)},
        {f"walk/{k}": make_walk(name=name) for k, name in enumerate(NAMES)},
        {"line/a": make_profile(values=np.ones((5, 1, 21)), names=NAMES,
                                standard_error=np.zeros((5, 1, 21)))},
        {"surface/a": make_surface(BOWL), **{f"p/{k}": make_path(n) for k, n in enumerate(NAMES)}},
    ]  # fmt: skip
    for results in kinds:
        (drawn,) = drawings(results)
        read = shown(drawn.figure)
        for name in NAMES:
            assert any(text.strip().startswith(name) for text in read), (name, read)


def test_no_metric_axis_or_task_is_mathematics():
    surface = make_surface(
        BOWL, metrics=("$a$ of $b$",), labels=("$x$ 1", "$y$ 2"), settings={"task": r"$\frac{1}$"}
    )
    read = " ".join(shown(next(drawings({"surface/a": surface})).figure))
    for said in ("$a$ of $b$", "$x$ 1", "$y$ 2", r"$\frac{1}$"):
        assert said in read
    assert plain("_a\nb") == " _a b"


# Surfaces


def test_a_caption_counts_the_points_that_were_measured():
    computed = np.ones(BOWL.shape, bool)
    computed[:, :3] = False
    part = make_surface(np.where(computed, BOWL, np.nan), computed=computed)
    assert "25 of 8 × 5 points were measured" in caption(part)
    lost = BOWL.copy()
    lost[0, :3] = np.nan, np.inf, -np.inf
    assert "8 × 5 points, " in caption(make_surface(lost))
    assert ", 3 more not finite" in caption(make_surface(lost))
    assert "8 × 5 points, no value is finite" in caption(make_surface(np.nan * BOWL))


def test_two_ends_that_differ_are_told_apart():
    assert "2.3 to 2.3;" not in caption(make_surface(2.3 + 1e-9 * BOWL))
    assert "2.3 to 2.3;" in caption(make_surface(0 * BOWL + 2.3))


def test_an_abyss_has_the_lowest_colour_and_is_told():
    axis = np.linspace(-1, 1, 25)
    values = 0.05 + np.add.outer(4 * axis**2, axis**2)
    values[11:14, 11:14] = -1e9
    surface = make_surface(values, alpha=axis, beta=axis)
    assert "9 of them below the smallest level" in caption(surface)
    figure = Figure(figsize=(3, 3), dpi=100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = ls.plot_surface(surface, ax=figure.add_subplot())
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    across, up = plane_transform(surface, ax).transform((0.0, 0.0)).astype(int)
    assert np.allclose(pixels[-up, across, :3] / 255, ground_colormap()(0.0)[:3], atol=0.03)


def test_what_is_good_where_it_is_high_is_never_cut():
    peak = np.full((9, 9), 1e-3) * np.arange(1, 10)
    peak[4, 4] = 0.98
    for metric, cut in (("val_accuracy", False), ("loss", True)):
        surface = make_surface(np.where(peak < 0.002, 0, peak), metrics=(metric,))
        ax = ls.plot_surface(surface, ax=Figure().add_subplot())
        assert ("clipped" in ax.child_axes[0].get_ylabel()) is cut
        assert ("above the largest level" in caption(surface)) is cut


def test_a_tiny_constant_keeps_its_size():
    ax = ls.plot_surface(make_surface(0 * BOWL + 1e-8), ax=Figure().add_subplot())
    assert ax.child_axes[0].get_ylim()[1] < 1.1e-8


def test_an_error_in_a_caption_is_that_of_its_metric():
    check = {"points": 5, "median": [0.001, 0.02], "largest": [0.002, 0.04], "beyond": None}
    said = {"stated": [0.003, 0.05], "check": check, "passes": 3.0, "full": 9, "tolerance": None}
    both = make_surface(BOWL)
    both = replace(
        both, metrics=("loss", "error"), values=np.stack([BOWL, BOWL]), accuracy=said,
        standard_error=np.zeros((2, *BOWL.shape)), measured=np.eye(5, 8, dtype=bool),
    )  # fmt: skip
    loss, error = (one.sentence for one in drawings({"surface/a": both}))
    assert "5 of 40 points were measured" in loss
    assert "within 0.3 % of the range" in loss
    assert "within 5 % of the range" in error
    assert "4 % (largest)" in error


def test_states_that_cannot_be_seen_are_counted_at_the_path():
    way = np.array([[0.0, 0.5], [99.0, 0.5], [np.nan, np.nan]])
    path = replace(make_path(), coordinates=way, residual=np.array([1.0, 120.0, np.nan]))
    said = caption(make_surface(BOWL), path)
    assert "up to 120 away" in said
    assert "of Adam 1 of 3 states outside, 1 of 3 states not finite" in said
    ax = ls.plot_surface(make_surface(BOWL), paths=[path], ax=Figure().add_subplot())
    (label,) = [text.get_text() for text in ax.get_legend().get_texts()]
    assert label == "Adam: 120, 1 of 3 states outside, 1 of 3 states not finite"
    assert "outside" not in caption(make_surface(BOWL), make_path())


@pytest.mark.parametrize("cosine", [-0.9, 0.0, 0.6])
def test_a_curvature_map_lies_on_paper_as_in_parameter_space(cosine):
    gram = np.array([[1.0, 1.5 * cosine], [1.5 * cosine, 2.25]])
    found = replace(make_map(), gram=gram)
    figure = Figure(figsize=(4, 4))
    ax = ls.plot_curvature_map(found, ax=figure.add_subplot())
    for _ in range(2):
        figure.draw_without_rendering()
    (mesh,) = artists(ax, "ratio")
    corners = (mesh.get_transform() - ax.transData + ax.transData).transform(
        np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
    )
    first, second = corners[1] - corners[0], corners[2] - corners[0]
    angle = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert abs(angle - cosine) < 0.01
    assert abs(np.linalg.norm(second) / np.linalg.norm(first) - 1.5) < 0.02
    assert ("axes at" in ax.get_title("left")) is (cosine != 0)


def test_points_whose_curvature_is_not_known_are_not_called_convex_or_not():
    found = make_map()
    smallest = np.where(
        np.arange(found.smallest.size).reshape(found.smallest.shape) == 0, np.nan, 1
    )
    said = sentence({"map/a": replace(found, smallest=smallest)})
    size = found.smallest.size
    assert f"convex at {size - 1} of {size - 1} points" in said
    assert "not known" in said


# Walks, lines, runs


def test_segments_that_are_not_finite_are_not_counted_as_smooth():
    walk = make_walk()
    values = walk.values.copy()
    values[3], values[4] = np.nan, np.inf
    broken = replace(walk, values=values)
    said = sentence({"walk/a": broken})
    assert "of 3 segments 0 rise above both ends and 3 have a minimum inside" in said
    assert "2 more are not finite" in said
    ax = ls.plot_walk(broken, ax=Figure().add_subplot())
    assert "2 of 5 segments not finite" in ax.get_title("left").replace("\n", " ")


def test_no_floor_is_drawn_where_none_was_measured():
    walk = make_walk()  # steps 0 to 3 and 7 to 9
    ax = ls.plot_walk(walk, ax=Figure().add_subplot())
    (floor,) = artists(ax, "floor")
    steps, heights = floor.get_data()
    assert np.isnan(heights[3])
    assert not ((steps > 3) & (steps < 7)).any()
    (shaded,) = artists(ax, "height")
    assert min(p.vertices[:, 0].min() for p in shaded.get_paths()) >= steps[0]


def test_a_line_that_is_not_known_is_not_said_never_to_rise():
    alpha = np.linspace(-0.5, 1.5, 21)
    for lost in (np.nan, np.inf):
        values = np.stack([alpha, np.where(alpha > 0.5, lost, 1.0)])[:, None]
        said = sentence({"line/a": make_profile(values=values)})
        assert "never rises by more than 1;" in said
        assert "on 1 of 2 it is not finite everywhere" in said
    beside = make_profile(alpha=alpha + 2)
    assert "rises" not in sentence({"line/a": beside})
    uneven = np.linspace(-0.1, 1.3, 15)  # its 0 is -1.4e-17
    first = make_profile(
        alpha=uneven, values=np.where(np.arange(15) == 1, 0.0, 3.0)[None, None], names=("a",),
        standard_error=np.zeros((1, 1, 15)),
    )  # fmt: skip
    assert abs(uneven[1]) < 1e-12
    assert "never rises by more than 3." in sentence({"line/a": first})


def test_captions_of_lines_and_walks_say_how_they_were_measured():
    how = {"samples": 30, "population": 5000}
    line = make_profile(settings={"kind": "between two points", **how})
    assert sentence({"line/a": line}).endswith("; 30 of 5,000 samples.")
    assert "30 of 5,000 samples" in sentence({"walk/a": replace(make_walk(), settings=how)})


def test_many_directions_of_which_some_diverge_keep_the_axis_of_the_others():
    values = 1 + np.random.default_rng(0).uniform(size=(7, 1, 21))
    values[2, 0, 5:], values[3, 0, 9], values[4, 0, 3] = np.inf, 1e200, np.nan
    line = make_profile(
        values=values, standard_error=np.zeros((7, 1, 21)), settings={"kind": "random"},
        names=tuple("abcdefg"),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = ls.plot_profile(line, ax=Figure().add_subplot())
    assert ax.get_ylim()[1] < 10
    assert "17 beyond the axis" in ax.get_ylabel()
    assert "1 of 147 values not a number" in ax.get_title("left").replace("\n", " ")


def test_a_run_without_angles_has_none_and_a_hundred_degrees_are_no_power():
    still = replace(make_metrics(), cosine=np.full(10, np.nan))
    assert "median" not in sentence({"path/a": still})
    turned = replace(make_metrics(), cosine=np.full(10, np.cos(np.radians(103.0))))
    assert "SGD 103°" in sentence({"path/a": turned})


def test_a_seed_that_diverged_is_told_beside_the_median_of_the_others():
    runs = [replace(make_metrics(), settings={"seed": seed, "repeats": "a"}) for seed in range(3)]
    distance = np.where(np.arange(10) > 5, np.nan, runs[0].distance)
    runs[1] = replace(runs[1], distance=distance)
    ax = ls.plot_path(runs, quantity="distance", ax=Figure().add_subplot())
    assert artists(ax, "median")[0].get_label() == "SGD, 3 seeds (1 not finite somewhere)"
    ax = ls.plot_path(runs[::2], quantity="distance", ax=Figure().add_subplot())
    assert artists(ax, "median")[0].get_label() == "SGD, 2 seeds"


def test_steps_of_an_optimizer_are_whole():
    for draw, result in ((ls.plot_path, make_metrics()), (ls.plot_walk, make_walk((0, 1, 2)))):
        figure = Figure(figsize=(7, 3))
        ax = draw(result, ax=figure.add_subplot())
        figure.draw_without_rendering()
        assert all(tick == round(tick) for tick in ax.get_xticks())


# Room


LONG = [f"a run with everything that was chosen: lr=0.001 wd=0.1 bs=512 #{k}" for k in range(5)]
MANY = [f"run {k}" for k in range(20)]


@pytest.mark.parametrize("names", [LONG, MANY, ["Adam", "Adam", "", "_a", "SGD"]])
def test_every_run_stands_in_a_legend_that_is_wholly_on_the_figure(names):
    kinds = [
        {f"path/{k}": make_metrics(name, "") for k, name in enumerate(names)},
        {
            f"walk/{k}": make_walk((0, 1) if k % 2 else (100, 101), name=name)
            for k, name in enumerate(names)
        },  # each in one window of two
        {"surface/a": make_surface(BOWL), **{f"p/{k}": make_path(n) for k, n in enumerate(names)}},
    ]
    with ls.style("neurips", columns=2):
        for results in kinds:
            (drawn,) = drawings(results)
            figure = drawn.figure
            for _ in range(2):
                figure.draw_without_rendering()
            (legend,) = figure.legends or [figure.axes[0].get_legend()]
            assert len(legend.get_texts()) == len(names)
            box, page = legend.get_window_extent(), figure.bbox
            assert box.x0 >= -1, names
            assert box.y0 >= -1, names
            assert box.x1 <= page.x1 + 1, names


@pytest.mark.parametrize(("venue", "stretch"), [("neurips", 0.3), ("neurips", 1), ("slides", 9)])
def test_a_map_in_one_column_has_room_for_all_that_it_says(venue, stretch):
    surface = make_surface(BOWL, gram=np.diag([1.0, 36 * stretch**2]))
    with ls.style(venue):
        ax = ls.plot_surface(surface, paths=[make_path(), make_path("SGD + momentum", "momentum")])
        figure = ax.figure
        for _ in range(2):
            figure.draw_without_rendering()
        for text in shown_texts(figure):
            box, page = outline(text).get_extents(), figure.bbox
            assert box.x0 >= -2, text
            assert box.y0 >= -2, text
            assert box.x1 <= page.x1 + 2, text
            assert box.y1 <= page.y1 + 2, text


def test_numbers_in_a_matrix_are_no_smaller_than_six_points():
    pair = np.array([[0, 1]])
    found = Barriers(
        names=("a", "b"), pair=pair, alpha=np.linspace(0, 1, 5), metrics=("loss", "accuracy"),
        values=np.ones((1, 2, 5)), covariance=np.zeros((1, 2, 5, 5)),
    )  # fmt: skip
    with ls.style("neurips", columns=2):
        (drawn,) = drawings({"barriers/a": found})
        texts = [text for text in drawn.figure.findobj(Text) if text.get_text().strip()]
        assert min(float(text.get_fontsize()) for text in texts) >= 6
    said = [ax.get_ylabel() for one in drawn.figure.axes for ax in one.child_axes]
    assert sum("no barrier: higher is better" in label for label in said) == 2


# Files


def test_what_plot_saves_has_its_fonts_embedded_as_text(tmp_path):
    """A venue refuses Type 3 fonts, which matplotlib writes outside the style."""
    ls.plot(make_profile()).savefig(tmp_path / "a.pdf")
    written = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in written
    assert b"/Type3" not in written


def test_plot_keeps_to_the_style_it_is_called_in():
    with ls.style("neurips", columns=2):
        (figure,) = ls.plot(make_profile())
    assert figure.get_size_inches()[0] == 5.5
    (figure,) = ls.plot(make_profile())
    assert figure.get_size_inches()[0] == 10


def test_a_plane_that_shows_nearly_all_is_not_said_to_show_all():
    surface = make_surface(np.arange(12).reshape(3, 4), explained=np.array([0.989, 0.007]))
    assert "holds 99.6% of the variation" in sentence({"surface/pca": surface})
