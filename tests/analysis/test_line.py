"""Lines: closed forms on quadratic bowls."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic import bowl, vector_layout

import landscape as ls

CURVATURE = np.array([1.0, 2.0, 5.0])


@pytest.fixture
def ends():
    return np.array([1.0, -2.0, 0.5], np.float32), np.array([-1.0, 0.25, 2.0], np.float32)


def test_quadratic_profile_is_its_formula(ends):
    start, end = ends
    profile = ls.loss_line(bowl(CURVATURE), ls.line_between(start, end), resolution=21)
    points = start + profile.alpha[:, None] * (end.astype(np.float64) - start)
    assert profile.alpha[[0, -1]].tolist() == [-0.5, 1.5]
    # All numbers here are short binary fractions, so float32 storage is exact.
    np.testing.assert_allclose(profile.loss[0], 0.5 * (points**2 * CURVATURE).sum(1), rtol=1e-12)
    assert (profile.standard_error == 0).all()


def test_values_at_the_ends_are_those_of_the_points(ends):
    objective = bowl(CURVATURE)
    profile = ls.loss_line(objective, ls.line_between(*ends), extent=(0, 1), resolution=5)
    for index, point in ((0, ends[0]), (-1, ends[1])):
        assert profile.loss[0, index] == pytest.approx(objective.at(point).mean[0, 0], rel=1e-12)


def test_exchanged_ends_give_the_mirrored_profile(ends):
    lines = [ls.line_between(*ends), ls.line_between(*ends[::-1])]
    profile = ls.loss_line(bowl(CURVATURE), lines, extent=(0, 1), names=["there", "back"])
    np.testing.assert_allclose(profile.loss[0], profile.loss[1, ::-1], rtol=1e-12)
    assert profile.names == ("there", "back")


def test_several_lines_keep_their_order(ends):
    layout = vector_layout(3)
    lines = [ls.random_line(ends[0], layout, seed=seed) for seed in range(3)]
    together = ls.loss_line(bowl(CURVATURE), lines, extent=(-1, 1), resolution=4)
    for index, line in enumerate(lines):
        alone = ls.loss_line(bowl(CURVATURE), line, extent=(-1, 1), resolution=4)
        np.testing.assert_array_equal(together.values[index], alone.values[0])


def test_along_an_update_one_unit_is_the_update(ends):
    objective = bowl(CURVATURE)
    line = ls.line_along(ends[0], ends[1] - ends[0], label="updates")
    profile = ls.loss_line(objective, line, extent=(0, 2), resolution=3)
    assert profile.label == "updates"
    assert profile.loss[0, 1] == pytest.approx(objective.at(ends[1]).mean[0, 0], rel=1e-12)


def test_band_over_seeds():
    # On an isotropic bowl about its centre, filter-normalized directions all have the norm of
    # the origin's one filter: every seed gives ½ α² ‖θ‖² + θ·d α + ½ ‖θ‖².
    origin = np.full(400, 0.5, np.float32)
    lines = [ls.random_line(origin, vector_layout(400), seed=s) for s in range(41)]
    profile = ls.loss_line(bowl(np.ones(400)), lines, extent=(-1, 1), resolution=3)
    median, low, high = profile.band(share=0.9)
    np.testing.assert_allclose(median, np.median(profile.loss, axis=0))
    inside = (profile.loss >= low) & (profile.loss <= high)
    assert (inside.mean(axis=0)[[0, 2]] >= 0.85).all()
    # ‖θ‖² = 100: 100 ± 100 cos, with cosines of standard deviation 1/√400 = .05.
    np.testing.assert_allclose(median, [100, 50, 100], atol=5)


class TestBarrier:
    def measure(self, loss, **options):
        profile = {"extent": (0, 1), "resolution": 11, **options}
        return ls.loss_line(loss, ls.line_between(*self.ENDS), **profile)

    ENDS = np.array([-1.0], np.float32), np.array([1.0], np.float32)

    def test_hill_by_both_definitions(self):
        # -½ (θ - c)² between -1 and 1 with c = .2: ends -.72 and -.32, top 0 at θ = .2.
        profile = self.measure(bowl(np.array([-1.0]), centre=np.array([0.2])))
        # Above the chord it rises by ½ (1 - θ²), largest in the middle.
        assert profile.barrier("entezari2022") == pytest.approx(0.5, rel=1e-9)
        assert profile.barrier("frankle2020") == pytest.approx(0.52, rel=1e-9)

    def test_zero_on_convex_quadratics(self):
        tilted = self.measure(bowl(np.array([1.0]), centre=np.array([0.7])))
        assert tilted.barrier("entezari2022") == pytest.approx(0, abs=1e-12)
        level = self.measure(bowl(np.array([1.0])))
        assert level.barrier("frankle2020") == pytest.approx(0, abs=1e-12)

    def test_the_same_from_both_sides(self):
        hill = bowl(np.array([-1.0]), centre=np.array([0.3]))
        lines = [ls.line_between(*self.ENDS), ls.line_between(*self.ENDS[::-1])]
        profile = ls.loss_line(hill, lines, extent=(0, 1), resolution=21)
        for definition in ("frankle2020", "entezari2022"):
            there, back = profile.barrier(definition)
            assert there == pytest.approx(back, rel=1e-9)

    def test_only_between_the_ends(self):
        # The bowl rises beyond the ends; that is no barrier.
        profile = self.measure(bowl(np.array([1.0])), extent=(-1, 2), resolution=31)
        assert profile.barrier("entezari2022") == pytest.approx(0, abs=1e-12)

    def test_ends_that_were_not_measured(self):
        profile = self.measure(bowl(np.array([1.0])), extent=(-0.5, 1.5), resolution=4)
        with pytest.raises(ValueError, match="at 0 and at 1"):
            profile.barrier("frankle2020")

    def test_unknown_definition(self):
        with pytest.raises(ValueError, match="'frankle2020', 'entezari2022'"):
            self.measure(bowl(np.array([1.0]))).barrier("mine")

    def test_monotone_and_largest_increase(self):
        # ½ (θ - c)² from -1 to 1: monotone for c = 1; for c = .5 it rises by ½ · .25 at the end.
        down = self.measure(bowl(np.array([1.0]), centre=np.array([1.0])))
        assert down.monotone.all()
        assert down.largest_increase == pytest.approx(0)
        turned = self.measure(
            bowl(np.array([1.0]), centre=np.array([0.5])), extent=(-1, 2), resolution=61
        )
        assert not turned.monotone.any()
        assert turned.largest_increase == pytest.approx(0.125, rel=1e-9)


def test_recorded_statistics_are_interpolated_and_held_beyond():
    class Holder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1, 1))
            self.register_buffer("held", torch.full((), 9.0))

    objective = ls.Objective(
        Holder(), lambda m, batch: m.held.expand(len(batch[0])), (torch.zeros(2),)
    )
    line = ls.line_between(np.zeros(1, np.float32), np.ones(1, np.float32))
    held = (np.array([1.0], np.float32), np.array([2.0], np.float32))
    profile = ls.loss_line(objective, line, extent=(-0.5, 1.5), resolution=5, buffers=[held])
    assert profile.loss.tolist() == [[1, 1, 1.5, 2, 2]]
    assert profile.settings["buffers"] == "recorded, interpolated"


class TestRefused:
    def test_no_line(self):
        with pytest.raises(ValueError, match="0 lines"):
            ls.loss_line(bowl(CURVATURE), [])

    def test_names_that_do_not_match(self, ends):
        with pytest.raises(ValueError, match="1 lines and 2 names"):
            ls.loss_line(bowl(CURVATURE), ls.line_between(*ends), names=["a", "b"])

    @pytest.mark.parametrize("options", [{"extent": (1, 1)}, {"resolution": 1}])
    def test_an_empty_extent(self, ends, options):
        with pytest.raises(ValueError, match="empty"):
            ls.loss_line(bowl(CURVATURE), ls.line_between(*ends), **options)

    def test_a_line_of_another_model(self, ends):
        with pytest.raises(ValueError, match="another model"):
            ls.loss_line(bowl(np.ones(4)), ls.line_between(*ends))
