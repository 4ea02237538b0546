"""What a reviewer would send back: tiny text, sheared planes, odd numbers, missing fonts."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from test_plots import BOWL, artists, make_metrics, make_path, make_profile, make_surface, make_walk

import landscape as ls
from landscape.optim.registry import OPTIMIZERS
from landscape.plots.frame import plane_transform, stretched
from landscape.plots.results import plot_results
from landscape.plots.style import looks
from landscape.plots.venues import LEAST, SHEETS

VENUES = ("neurips", "iclr", "icml", "acl", "ieee", "jmlr")


@given(
    norms=st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)), cosine=st.floats(-0.95, 0.95),
    seed=st.integers(0, 99),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_distances_on_paper_are_those_of_parameter_space(norms, cosine, seed):
    """Between any two points, within 1 %, in one unit for the whole picture."""
    a, b = norms
    gram = np.array([[a * a, cosine * a * b], [cosine * a * b, b * b]])
    surface = make_surface(BOWL, gram=gram, beta=np.linspace(-2, 2, 5))
    assume(stretched(surface) == 1)  # else it is said: the next test
    figure = Figure(figsize=(4, 4))
    ax = ls.plot_surface(surface, ax=figure.add_subplot())
    figure.draw_without_rendering()
    points = np.random.default_rng(seed).uniform((-2, -2), (4, 2), (12, 2))
    pixels = plane_transform(surface, ax).transform(points)
    true = np.sqrt(np.einsum("ijk,kl,ijl->ij", d := points[:, None] - points, gram, d))
    drawn = np.linalg.norm(pixels[:, None] - pixels, axis=-1)
    ratio = drawn[true > 0] / true[true > 0]
    assert ratio.max() / ratio.min() < 1.02


@pytest.mark.parametrize("skew", [0.0, 3.0])
def test_a_box_too_slender_for_one_scale_says_so(skew):
    surface = make_surface(BOWL, gram=np.array([[100.0, skew], [skew, 1.0]]))
    ax = ls.plot_surface(surface, ax=Figure().add_subplot())
    assert "drawn" in ax.get_title("left")
    assert "times as tall as it is" in ax.get_title("left").replace("\n", " ")


def test_oblique_axes_carry_their_values():
    surface = make_surface(BOWL, gram=np.array([[1.0, 0.5], [0.5, 1.0]]))
    ax = ls.plot_surface(surface, ax=Figure().add_subplot())
    ticks = artists(ax, "tick")
    place = plane_transform(surface, ax) - ax.transData
    for tick in ticks:
        alpha, beta = place.inverted().transform(tick.xy)
        assert np.isclose(float(tick.get_text()), alpha) or np.isclose(float(tick.get_text()), beta)
    assert "axes at 60°" in ax.get_title("left")


def all_results() -> dict[str, ls.Surface]:
    return {
        "surface/a": make_surface(BOWL),
        "surface/oblique": make_surface(BOWL, gram=np.array([[1.0, 0.6], [0.6, 2.0]])),
        "projection/a": make_path(),
        "projection/b": make_path("mine", ""),
        "walk/a": make_walk(),
        "path/a": make_metrics(),
        "path/b": make_metrics("momentum", "momentum"),
        "line/a": make_profile(),
    }


@pytest.mark.parametrize("venue", VENUES)
def test_no_text_is_smaller_than_six_points_and_no_figure_wider_than_the_text(
    venue, monkeypatch, tmp_path
):
    figures: list[Figure] = []
    monkeypatch.setattr(
        "landscape.plots.results.save_figure", lambda figure, *_, **__: figures.append(figure)
    )
    plot_results(all_results(), tmp_path, formats=("pdf",), style=venue)
    assert len(figures) == 5
    for figure in figures:
        assert figure.get_size_inches()[0] <= SHEETS[venue].widths[1] + 1e-6
        for text in figure.findobj(Text):
            assert not text.get_text().strip() or float(text.get_fontsize()) >= LEAST, text


def test_fonts_are_embedded_as_text(tmp_path):
    (drawn,) = plot_results({"line/a": make_profile()}, tmp_path, formats=("pdf",), style="icml")
    written = drawn.file.read_bytes()
    streams = [part.split(b"endstream")[0] for part in written.split(b"stream\n")[1:]]
    assert b"/FontFile2" in written or b"/FontFile3" in written
    assert b"/Type3" not in written
    assert len([s for s in streams if s[:1] == b"x" and zlib.decompressobj().decompress(s)]) > 1


def test_runs_of_one_figure_never_share_a_colour():
    names = list(OPTIMIZERS)
    for start in range(0, len(names), 5):
        some = [*names[start : start + 8], "mine", "another"]
        assert len({one.color for one in looks(some)}) == len(some)
    assert looks(["adam"])[0].color == OPTIMIZERS["adam"].color


def path_to(end, name: str) -> ls.Projection:
    way = np.linspace((-1.0, 0.2), end, 5)
    return replace(make_path(name), step=np.arange(5), coordinates=way, residual=np.zeros(5))


def test_where_one_run_sets_the_scale_the_others_are_drawn_larger_in_a_free_corner():
    surface = make_surface(BOWL, beta=np.linspace(-2, 2, 5))
    near = [path_to((-0.7, 0.4), "Adam"), path_to((-0.8, 0.0), "SGD")]
    figure = Figure(figsize=(4, 4))
    ax = ls.plot_surface(
        surface, paths=[*near, path_to((3.8, 1.5), "far")], ax=figure.add_subplot()
    )
    (inner,) = [one for one in ax.child_axes if one.get_gid() == "inset"]
    (left, right), (low, high) = inner.get_xlim(), inner.get_ylim()
    for path in near:
        x, y = path.coordinates.T
        assert ((x > left) & (x < right) & (y > low) & (y < high)).all()
    figure.draw_without_rendering()
    box, of_map = inner.get_window_extent(), ax.get_window_extent()
    assert box.width / (right - left) > 1.4 * of_map.width / 6
    walked = ax.transData.transform(path_to((3.8, 1.5), "").coordinates)
    assert not any(box.contains(*point) for point in walked)
    assert {a.get_text() for a in artists(ax, "name")} == {"far"}
    assert {"Adam", "SGD"} <= {a.get_text() for a in artists(inner, "name")}


def test_runs_of_one_scale_have_no_inset():
    surface = make_surface(BOWL, beta=np.linspace(-2, 2, 5))
    alike = [path_to((3, 1), "Adam"), path_to((3, -1.5), "SGD"), path_to((3.8, 1.5), "far")]
    for paths in (alike, alike[:2], []):
        ax = ls.plot_surface(surface, paths=paths, ax=Figure().add_subplot())
        assert not [one for one in ax.child_axes if one.get_gid() == "inset"]


def test_runs_that_differ_in_their_seed_alone_are_a_median_with_a_range():
    def run(seed: int, factor: float, mark: str = "a") -> ls.PathMetrics:
        one = make_metrics()
        return replace(
            one, distance=factor * one.distance, settings={"seed": seed, "repeats": mark}
        )

    ax = Figure().add_subplot()
    runs = [run(0, 1.0), run(1, 5.0), run(2, 2.0), run(0, 9.0, "b")]
    ls.plot_path(runs, quantity="distance", ax=ax)
    (median,), (single,) = artists(ax, "median"), artists(ax, "mean")
    np.testing.assert_allclose(median.get_ydata(), 2 * np.arange(10.0))
    np.testing.assert_allclose(single.get_ydata(), 9 * np.arange(10.0))
    assert median.get_label() == "SGD, 3 seeds"
    assert "median and range" in ax.get_ylabel()
    assert median.get_color() != single.get_color()
    twins = Figure().add_subplot()  # one seed twice is no repeat
    ls.plot_path([run(0, 1.0), run(0, 2.0)], quantity="distance", ax=twins)
    assert len(artists(twins, "mean")) == 2


def test_recorded_runs_know_their_repeats(tmp_path):
    runs = [
        ls.Run("function/rosenbrock", "adam", lr=lr, steps=3, seed=seed)
        for lr, seed in ((0.1, 0), (0.1, 1), (0.2, 2))
    ]
    files = [ls.record_run(run, tmp_path / f"{k}.h5") for k, run in enumerate(runs)]
    a, b, other = (ls.path_metrics(ls.Trajectory(file)).settings for file in files)
    assert (a["seed"], b["seed"]) == (0, 1)
    assert a["repeats"] == b["repeats"] != other["repeats"]


def test_every_share_of_variation_stands_beside_that_of_a_random_walk():
    surface = make_surface(BOWL)
    ax = ls.plot_surface(surface, ax=Figure().add_subplot())
    for label in (ax.get_xlabel(), ax.get_ylabel()):
        assert ("of variation" in label) <= ("random walk" in label)


def test_a_pdf_comes_with_its_latex(tmp_path):
    walk = make_walk(name="run_1 50%")
    (drawn,) = plot_results({"walk/a": walk}, tmp_path, formats=("png", "pdf"), style="icml")
    written = (tmp_path / "walk.tex").read_text()
    assert r"\includegraphics{walk.pdf}" in written
    assert r"run\_1 50\%" in written
    assert "of 5 segments" in drawn.sentence
    assert "of 5 segments" in written


def test_a_caption_has_the_numbers_of_its_figure(tmp_path):
    surface = make_surface(BOWL)
    (drawn,) = plot_results({"surface/a": surface}, tmp_path, formats=("pdf",), style="neurips")
    written = (tmp_path / "surface-a.tex").read_text()
    for number in ("8 × 5 points", "0.0304 to 2.01", "80%", "10 of 40 samples", "frozen"):
        assert number in drawn.sentence
        assert number.replace("×", r"$\times$").replace("%", r"\%") in written


def test_the_command_line_draws_for_a_venue(tmp_path):
    from typer.testing import CliRunner

    from landscape.cli import app

    make_profile().save(tmp_path / "a.results.h5", "line/a")
    line = ["plot", str(tmp_path / "a.results.h5"), "-o", str(tmp_path), "--style", "ICML"]
    assert CliRunner().invoke(app, line).exit_code == 0
    with Image.open(tmp_path / "line-a.png") as drawn:
        assert drawn.width == round(SHEETS["icml"].widths[1] * SHEETS["icml"].dots)
    venue = [*line[:-1], "neurips", "--format", "pdf"]
    said = CliRunner().invoke(app, venue)
    assert said.exit_code == 0
    assert "The loss along straight lines" in said.output  # the caption, as text
    assert (tmp_path / "line-a.pdf").exists()
    assert "The loss along straight lines" in (tmp_path / "line-a.tex").read_text()
    wrong = CliRunner().invoke(app, [*line[:-1], "nature"])
    assert "style must be one of" in str(wrong.exception)
