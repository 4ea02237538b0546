"""No text of a figure lies on another: names move apart, contour lines are named where they can."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from test_plots import make_path, make_surface

import landscape as ls
from landscape.plots.frame import plane_transform
from landscape.plots.room import Name, outline, shown_texts, touching


def drawn(figure: Figure) -> Figure:
    for _ in range(2):  # the layout is solved before equal axes shrink
        figure.draw_without_rendering()
    return figure


def pit(floor: float, narrow: float, seed: int, **changes) -> ls.Surface:
    """A pit of several decades, as narrow as one likes, with bumps around it."""
    axis = np.linspace(-1, 1, 25)
    x, y = np.meshgrid(axis, axis)
    bumps = np.random.default_rng(seed).uniform(0.5, 2, x.shape)
    values = floor + np.minimum((x**2 + y**2) / narrow**2, 5) * bumps
    return make_surface(values, alpha=axis, beta=axis, **changes)


def path_to(end, name: str) -> ls.Projection:
    way = np.linspace((0.0, 0.0), end, 5)
    return replace(make_path(name), step=np.arange(5), coordinates=way, residual=np.zeros(5))


@given(
    floor=st.sampled_from([1e-4, 0.1, 3.0]), narrow=st.floats(0.1, 1.5), seed=st.integers(0, 99),
    skew=st.sampled_from([0.0, 0.6]), side=st.floats(2.4, 3.2),
    ends=st.lists(st.tuples(st.floats(-0.9, 0.9), st.floats(-0.9, 0.9)), max_size=3),
)  # fmt: skip
@settings(max_examples=12, deadline=None, derandomize=True)  # more names may find no room
def test_no_two_texts_of_a_surface_touch(floor, narrow, seed, skew, side, ends):
    surface = pit(floor, narrow, seed, gram=np.array([[1.0, skew], [skew, 1.0]]))
    paths = [path_to(end, f"run {k}") for k, end in enumerate(ends)]
    with ls.style("neurips"):
        figure = Figure(figsize=(side, side + 1.0))
        ax = ls.plot_surface(surface, paths=paths, inset=False, ax=figure.add_subplot())
        drawn(figure)
        texts = [text for text in shown_texts(figure) if text.get_gid() in ("level", "name")]
        outlines = [outline(text) for text in texts]
        assert not any(
            one.intersects_path(other) for k, one in enumerate(outlines) for other in outlines[:k]
        )
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)])
        land = plane_transform(surface, ax).transform(corners)
        for text, box in zip(texts, outlines, strict=True):
            if text.get_gid() == "level":
                assert inside(box.vertices, land), text


def inside(points: np.ndarray, corners: np.ndarray) -> bool:
    edges = np.roll(corners, -1, axis=0) - corners
    across = points[:, None] - corners
    return bool((edges[:, 0] * across[..., 1] - edges[:, 1] * across[..., 0] >= 0).all())


def test_a_line_that_is_long_and_free_carries_its_value_and_a_crowded_one_none():
    def values(surface: ls.Surface) -> set[str]:
        figure = Figure(figsize=(3, 3))
        ls.plot_surface(surface, ax=figure.add_subplot())
        return {text.get_text() for text in shown_texts(drawn(figure)) if text.get_gid() == "level"}

    axis = np.linspace(-1, 1, 25)
    ramp = np.tile(10.0 ** (1.5 * axis), (25, 1))
    wide = make_surface(ramp, alpha=axis, beta=axis)
    assert {"0.1", "1", "10"} <= values(wide)
    steep = np.tile(10.0 ** (1.5 * np.tanh(40 * axis)), (25, 1))
    assert not {"0.2", "0.5", "2", "5"} & values(make_surface(steep, alpha=axis, beta=axis))


def test_values_lie_on_no_run():
    surface = pit(0.1, 0.5, 0)
    figure = Figure(figsize=(3, 3))
    ax = ls.plot_surface(
        surface, paths=[path_to((0.9, 0.5), "a"), path_to((-0.9, 0.6), "b")],
        ax=figure.add_subplot(),
    )  # fmt: skip
    drawn(figure)
    texts = [text for text in shown_texts(figure) if text.get_gid() == "level"]
    assert texts
    for line in ax.lines:
        way = line.get_transform().transform(line.get_xydata())
        fine = np.concatenate([way, *(np.linspace(a, b, 50) for a, b in pairwise(way))])
        assert not any(outline(text).contains_points(fine).any() for text in texts)


@pytest.mark.parametrize("beside", [False, True])
def test_names_of_one_point_stand_apart(beside):
    figure = Figure(figsize=(3, 2), layout="constrained")
    ax = figure.add_subplot()
    ax.set(xlim=(0, 1), ylim=(0, 1))
    for k in range(4):
        ax.add_artist(Name(f"name {k}", (0.95, 0.5), beside=beside))
    assert not touching(drawn(figure))
    ends = [name.get_window_extent().x0 for name in ax.texts]
    assert all(x > ax.transData.transform((0.95, 0.5))[0] for x in ends) == beside


def test_texts_that_are_not_seen_touch_nothing():
    figure = Figure(figsize=(3, 2))
    ax, other = figure.subplots(1, 2)
    ax.set_axis_off()
    ax.text(0, 0, "0.0", ha="center", va="top")  # over the value of a hidden axis
    hidden = ax.text(0, 0, "hidden", va="top")
    hidden.set_visible(False)
    other.set_xticks([0, 1, 1.001])
    other.set_xlim(0, 1)  # the last tick is beyond the end
    assert not touching(drawn(figure))
    ax.text(0, 0, "seen", ha="center", va="center", rotation=45)
    assert touching(drawn(figure)) == [("0.0", "seen")]


@pytest.mark.parametrize("side", [1.3, 2.0, 4.0])
@pytest.mark.parametrize("flat", [0.1, 0.3, 1.0])
def test_the_values_of_a_short_colour_bar_stand_apart(side, flat):
    axis = np.linspace(-1, 1, 25)
    gram = np.array([[1.0, 0.5 * flat], [0.5 * flat, flat**2]])
    for values in (1.5 * np.tile(axis, (25, 1)), 10.0 ** (1.5 * np.tile(axis, (25, 1)))):
        surface = make_surface(values, alpha=axis, beta=axis, gram=gram)
        figure = Figure(figsize=(side, 4.0))
        ax = ls.plot_surface(surface, ax=figure.add_subplot())
        drawn(figure)
        bar = ax.child_axes[0]
        texts = [text for text in shown_texts(figure) if text in bar.get_yticklabels()]
        boxes = [text.get_window_extent() for text in texts]
        assert all(low.y1 < high.y0 for low, high in pairwise(boxes))
        assert len(texts) >= (5 if side == 4.0 and flat == 1.0 else 1)


def test_a_long_name_of_an_axis_fits_a_narrow_figure():
    surface = replace(pit(0.1, 0.5, 0), explained=(0.9, 0.05), explained_null=(0.6, 0.15))
    with ls.style("neurips"):
        figure = Figure(figsize=(2.0, 2.0))
        ax = ls.plot_surface(surface, ax=figure.add_subplot())
        drawn(figure)
        name = ax.xaxis.label.get_window_extent()
    assert name.x0 >= 0
    assert name.x1 <= figure.bbox.width


def test_no_value_lies_on_a_marker():
    axis = np.linspace(-1, 1, 25)
    ramp = np.tile(1.5 * axis, (25, 1))
    figure = Figure(figsize=(3, 3))
    ax = ls.plot_surface(
        make_surface(ramp, alpha=axis, beta=axis), colormap="viridis", ax=figure.add_subplot()
    )
    ax.plot(axis, 0 * axis, "o", markersize=9)
    drawn(figure)
    texts = [text for text in shown_texts(figure) if text.get_gid() == "level"]
    assert texts
    radius = 0.5 * 9 * figure.dpi / 72
    line = ax.transData.transform((0, 0))[1]
    for text in texts:
        box = text.get_window_extent()
        assert box.y0 > line + radius - 2 or box.y1 < line - radius + 2
