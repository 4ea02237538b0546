"""Reliefs: every pixel shows the right point, nothing shines through, nothing is above the cut."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from test_plots import BOWL, artists, make_path, make_surface

from landscape.plots.relief import Camera, Relief, halved, look, shade, smoothed
from landscape.plots.render import render_surface

X, Y = np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 0.5, 40))
HILLS = (0.2 * (X + np.sin(9 * X) * Y + 0.5)).astype(np.float32)  # neither square nor symmetric


def relief(heights=HILLS, ceiling: float = 1.0) -> Relief:
    return Relief(np.asarray(heights, np.float32), width=1.0, depth=0.5, ceiling=ceiling)


@pytest.mark.parametrize("azimuth", [-90, -30, 75, 200])
def test_a_pixel_shows_the_point_that_projects_on_it(azimuth):
    camera = Camera(40, azimuth)
    sight = look(relief(), camera, pixels=120)
    x, y = camera.ground(sight.u[None], sight.near)
    u, v, _ = camera.project(x, y, relief().at(x, y))
    size = sight.u[1] - sight.u[0]
    seen = np.isfinite(v)
    assert seen.mean() > 0.3
    # Between two samples the height is taken as straight: an error of second order, far below
    # the size of a pixel; the columns are exact up to single precision.
    rows, columns = np.broadcast_to(sight.v[:, None], v.shape), np.broadcast_to(sight.u, u.shape)
    assert np.abs(v - rows)[seen].max() < size
    assert np.abs(u - columns)[seen].max() < 1e-5


def test_a_wall_hides_what_is_behind_it():
    """From elevation 45° a wall of height 0.2 at y = 0.2 hides 0.2 < y < 0.4 of the ground."""
    heights = np.zeros((501, 5))
    heights[200] = 0.2
    wall = relief(heights)
    camera = Camera(45, -90)  # towards the camera is -y
    sight = look(wall, camera, pixels=40)
    _, y = camera.ground(sight.u[None], sight.near)
    ground = np.isfinite(y) & (wall.at(camera.ground(sight.u[None], sight.near)[0], y) < 1e-3)
    behind = (y > 0.21) & (y < 0.39)  # a pixel is 0.025 wide, 0.01 beside the edges is safe
    assert not (ground & behind).any()
    assert (ground & (y > 0.42)).any()
    assert (ground & (y < 0.19)).any()


def test_nothing_above_the_ceiling_is_seen():
    cut = relief(HILLS, ceiling=0.25)
    camera = Camera(30, -60)
    sight = look(cut, camera, pixels=200)
    heights = cut.at(*camera.ground(sight.u[None], sight.near))
    seen = np.isfinite(sight.near)
    # One step along a column of pixels lies across the cut: heights there rise at most by the
    # steepest slope, 0.2 (1 + 9 / 2), times the step, the size of a pixel (1.12 / 200).
    assert np.nanmax(heights[seen]) < 0.25 + 1.1 * 0.0056
    assert seen.any()


def test_the_bump_is_where_it_was_measured():
    alpha, beta = np.linspace(-3, 5, 17), np.linspace(10, 12, 9)
    heights = np.zeros((9, 17))
    heights[2, 12] = 1.0
    bump = smoothed(alpha, beta, heights, ceiling=2.0)
    row, column = np.unravel_index(bump.heights.argmax(), bump.heights.shape)
    # within one sample of the fine grid, 8 / 700
    assert column / (bump.heights.shape[1] - 1) * 8 - 3 == pytest.approx(alpha[12], abs=0.012)
    assert row / (bump.heights.shape[0] - 1) * 2 + 10 == pytest.approx(beta[2], abs=0.012)
    assert (bump.width, bump.depth) == (1.0, 0.25)


def test_holes_stay_holes():
    values = np.zeros((6, 8))
    values[2, 3] = np.nan
    holed = smoothed(np.arange(8.0), np.arange(6.0), values, ceiling=1.0)
    assert np.isnan(holed.at(np.array([3 / 7]), np.array([2 / 7])))
    assert np.isfinite(holed.at(np.array([6 / 7]), np.array([4 / 7])))


def test_the_ground_is_transparent_and_the_relief_is_not():
    camera = Camera(40, -60)
    sight = look(relief(), camera, pixels=60)
    rgba = shade(relief(), camera, sight, np.ones((4, 3)), lines=5)
    np.testing.assert_array_equal(rgba[..., 3] == 1, np.isfinite(sight.near))
    assert ((rgba >= 0) & (rgba <= 1)).all()


def test_halving_keeps_colours_and_averages_cover():
    rgba = np.zeros((2, 4, 4))
    rgba[:, :2] = (0.2, 0.4, 0.6, 1.0)
    rgba[0, 2] = (0.8, 0.0, 0.0, 1.0)
    half = halved(rgba)
    np.testing.assert_allclose(half, [[[0.2, 0.4, 0.6, 1.0], [0.8, 0, 0, 0.25]]])


def test_render_draws_paths_and_says_no():
    ax = render_surface(
        make_surface(BOWL), paths=[make_path()], pixels=80, bar=True, ax=Figure().add_subplot()
    )
    assert len(ax.images) == 1
    assert len(artists(ax, "path")) == 1
    assert artists(ax, "path")[0].get_label() == "Adam"
    with pytest.raises(ValueError, match="log=True needs positive values"):
        render_surface(make_surface(BOWL - 1), log=True)
    with pytest.raises(ValueError, match="elevation must lie between"):
        render_surface(make_surface(BOWL), view=(95, 0))
    with pytest.raises(ValueError, match="another plane"):
        render_surface(make_surface(BOWL), paths=[make_path(plane="other")])
