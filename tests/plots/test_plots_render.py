"""Reliefs: every pixel shows the right point, nothing shines through, nothing is above the cut."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import rgb_to_hsv
from matplotlib.figure import Figure
from test_plots import BOWL, artists, make_path, make_surface

from landscape.plots.frame import Footprint, shares
from landscape.plots.ground import ground_colormap
from landscape.plots.relief import Camera, Relief, halved, look, shade, slopes, smoothed
from landscape.plots.render import render_surface
from landscape.plots.triangulated import surface_mesh

X, Y = np.meshgrid(np.linspace(0, 1, 60), np.linspace(0, 0.5, 40))
HILLS = (0.2 * (X + np.sin(9 * X) * Y + 0.5)).astype(np.float32)  # neither square nor symmetric


def relief(heights=HILLS, ceiling: float = 1.0, shear: float = 0.0) -> Relief:
    return Relief(
        np.asarray(heights, np.float32), ground=Footprint(1.0, 0.5, shear), ceiling=ceiling
    )


@pytest.mark.parametrize("azimuth", [-90, -30, 75, 200])
@pytest.mark.parametrize("shear", [0.0, 0.4, -0.7])
def test_a_pixel_shows_the_point_that_projects_on_it(azimuth, shear):
    camera, hills = Camera(40, azimuth), relief(shear=shear)
    sight = look(hills, camera, pixels=120)
    x, y = camera.ground(sight.u[None], sight.near)
    u, v, _ = camera.project(x, y, hills.at(x, y))
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
    assert (bump.ground.width, bump.ground.depth) == (1.0, 0.25)


def test_holes_stay_holes():
    values = np.zeros((6, 8))
    values[2, 3] = np.nan
    holed = smoothed(np.arange(8.0), np.arange(6.0), values, ceiling=1.0)
    assert np.isnan(holed.at(np.array([3 / 7]), np.array([2 / 7])))
    assert np.isfinite(holed.at(np.array([6 / 7]), np.array([4 / 7])))


def test_the_ground_is_transparent_and_the_relief_is_not():
    camera = Camera(40, -60)
    sight = look(relief(), camera, pixels=60)
    rgba = shade(relief(), camera, sight, np.ones((4, 3)), levels=(0.2, 0.5))
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


def test_slopes_of_a_sheared_plane_are_those_of_the_plane():
    """Heights 0.3 x - 0.2 y, on a parallelogram."""
    ground = Footprint(1.0, 0.5, 0.3)
    right, away = np.meshgrid(np.linspace(0, 1, 30), np.linspace(0, 1, 20))
    x, y = ground.place(right, away)
    along_x, along_y = slopes(Relief(0.3 * x - 0.2 * y, ground=ground, ceiling=1.0))
    np.testing.assert_allclose(along_x, 0.3, atol=1e-12)
    np.testing.assert_allclose(along_y, -0.2, atol=1e-12)


def test_light_never_shifts_a_hue():
    camera, colors = Camera(40, -60), ground_colormap()(np.linspace(0, 1, 64))[:, :3]
    sight = look(relief(), camera, pixels=80)
    shaded = rgb_to_hsv(shade(relief(), camera, sight, colors)[..., :3])
    seen = np.isfinite(sight.near)
    x, y = camera.ground(sight.u[None], sight.near)
    entry = (np.where(seen, relief().at(x, y), 0) * 63).round().astype(int)
    hue = rgb_to_hsv(colors)[entry, 0]
    assert np.ptp(shaded[..., 2][seen]) > 0.1  # there is light and shade
    np.testing.assert_allclose(shaded[..., 0][seen], hue[seen], atol=1e-6)


@pytest.mark.parametrize("cosine", [-0.8, 0.3, 0.6])
def test_a_skew_plane_stands_on_its_true_parallelogram(cosine):
    """Lengths on the ground, and of a mesh, are within 1 % those that the Gram matrix gives."""
    gram = np.array([[4.0, cosine * 6], [cosine * 6, 9.0]])
    surface = make_surface(BOWL, gram=gram, beta=np.linspace(-2, 2, 5))
    points = np.random.default_rng(0).uniform((-2, -2), (4, 2), (12, 2))
    true = np.sqrt(np.einsum("ijk,kl,ijl->ij", d := points[:, None] - points, gram, d))
    placed = np.stack(Footprint.of(surface).place(*shares(surface, points)), axis=1)
    corners = surface_mesh(surface).vertices[:, :2]
    at = np.stack(np.meshgrid(surface.alpha, surface.beta), axis=-1).reshape(-1, 2)
    there = np.sqrt(np.einsum("ijk,kl,ijl->ij", e := at[:, None] - at, gram, e))
    for drawn, lengths in ((placed, true), (corners, there)):
        ratio = np.linalg.norm(drawn[:, None] - drawn, axis=-1)[lengths > 0] / lengths[lengths > 0]
        assert ratio.max() / ratio.min() < 1.01


def test_the_ground_has_its_coordinates_and_the_cut_is_stated():
    surface = make_surface(BOWL, beta=np.linspace(-2, 2, 5))
    ax = render_surface(surface, base=True, ceiling=0.5, pixels=80, ax=Figure().add_subplot())
    ticks = [float(text.get_text()) for text in ax.texts if text.get_gid() == "tick"]
    assert {-2, 0, 2, 4} <= set(ticks)
    (lowest,) = artists(ax, "lowest")
    assert lowest.get_text() == f"lowest: {BOWL.min():.3g}"
    said = ax.get_title("left").replace("\n", " ")
    assert f"cut above 0.5, which is {np.mean(BOWL > 0.5):.0%} of the points" in said
    assert "logarithmic height" in said
    whole = render_surface(surface, base=True, ceiling=3.0, pixels=80, ax=Figure().add_subplot())
    assert "cut above" not in whole.get_title("left")


def test_the_pin_stands_on_the_lowest_point():
    values = np.ones((5, 8))
    values[1, 6] = 0.5
    surface = make_surface(values, beta=np.linspace(-2, 2, 5))
    ax = render_surface(surface, base=True, view=(40, -60), pixels=80, ax=Figure().add_subplot())
    ground, camera = Footprint.of(surface), Camera(40, -60)
    point = np.array([[surface.alpha[6], surface.beta[1]]])
    u, v, _ = camera.project(*ground.place(*shares(surface, point)), np.zeros(1))
    (pin,) = artists(ax, "behind")
    np.testing.assert_allclose(pin.get_xydata()[0], [u[0], v[0]], atol=0.01)
