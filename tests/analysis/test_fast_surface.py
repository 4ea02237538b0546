"""Surfaces at a fraction of the cost, on closed forms: most of them made to fool it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.analysis.sparing.grids import nested_levels, predict
from landscape.analysis.sparing.observed_error import check
from landscape.analysis.sparing.refinement import Filled, Refinement
from landscape.analysis.sparing.rounds import Rounds

SIZE = 51
X, Y = np.meshgrid(np.linspace(-1, 1, SIZE), np.linspace(-1, 1, SIZE))
BOWL = X**2 + 2 * Y**2


class Table:
    """Known losses as something to measure; `spread` (samples,) is added, with mean zero."""

    rows, scouts = 1, 0

    def __init__(self, values: np.ndarray, spread: np.ndarray | None = None) -> None:
        self.values = values.ravel()
        self.step = 0 if spread is None else 32
        self.spread = np.zeros(1) if spread is None else spread
        self.size = len(self.spread)

    def __call__(self, points, start, stop):
        part = self.spread[start:stop]
        mean = self.values[points] + part.mean()
        return mean[None], np.full((1, len(points)), np.square(part - part.mean()).sum())

    def metrics(self, points, mean, m2, count):
        return mean, np.sqrt(m2 / np.maximum(count - 1, 1))


def filled(values: np.ndarray, tolerance: float = 0.01) -> tuple[Filled, Rounds]:
    rounds = Rounds(Table(values), values.size)
    return Refinement(rounds, values.shape, metrics=1).fill(tolerance), rounds


def errors(found: Filled, truth: np.ndarray) -> np.ndarray:
    """Distance from the truth relative to what errors count against."""
    return np.abs(found.values[0] - truth) / found.scale[0]


@pytest.mark.parametrize("shape", [(51, 51), (101, 41), (2, 2), (10, 3)])
def test_levels_are_nested_and_end_with_every_point(shape):
    levels = nested_levels(shape)
    assert [len(levels[-1].rows), len(levels[-1].columns)] == list(shape)
    for coarse, fine in pairwise(levels):
        assert set(coarse.rows) <= set(fine.rows)
        assert set(coarse.columns) <= set(fine.columns)
    assert sum(int(level.new.sum()) for level in levels) == shape[0] * shape[1]


def test_a_cubic_is_predicted_exactly_where_the_scale_is_linear():
    coarse, fine = nested_levels((33, 33))[:2]
    cubic = 1e-4 * (X**3 - 2 * X**2 * Y + Y**3 + X)[:33, :33]
    # asinh(t) = t - t³/6 + ...; values of 1e-4 against a bend of 0.3 leave 1e-11 of curvature.
    found, torn = predict(cubic[coarse.at], fine, low=0.0, span=1.0)
    np.testing.assert_allclose(found, cubic[fine.at], atol=1e-10)
    assert not torn.any()


def test_a_smooth_surface_needs_a_ninth_of_its_points():
    found, rounds = filled(np.log1p(BOWL))
    assert rounds.spent == 17 * 17
    assert errors(found, np.log1p(BOWL)).max() < 0.01


FOOLERS = {
    "step": np.where(X + 0.3 * Y > 0.1, BOWL + 3, BOWL),
    "ridge": BOWL + 2 * np.exp(-0.5 * ((X - Y + 0.1) / 0.04) ** 2),
    "wide needle": BOWL + 2 * np.exp(-0.5 * ((X - 0.33) ** 2 + (Y + 0.41) ** 2) / 0.08**2),
    "valley": np.abs(X + 0.5 * Y) ** 0.5,
    "chaos": np.random.default_rng(0).normal(size=X.shape),
    "cliffs": np.where(np.maximum(abs(X), abs(Y)) > 0.8, 1e30 * BOWL, BOWL),
}


@pytest.mark.parametrize("name", FOOLERS)
def test_what_is_not_smooth_is_measured(name):
    truth = FOOLERS[name]
    found, _ = filled(truth)
    wrong = errors(found, truth)
    assert np.quantile(wrong, 0.95) <= 0.01
    # Where it is wrong by more, there are few such points, and none far beyond.
    assert (wrong > 0.01).mean() < 0.01
    assert wrong.max() < 0.1


def test_where_numbers_end_every_point_of_the_border_is_measured():
    inside = (X - 0.2) ** 2 + (Y + 0.1) ** 2 < 0.35**2
    truth = np.where(inside, np.nan, BOWL)
    found, rounds = filled(truth)
    assert np.array_equal(np.isnan(found.values[0]), inside)
    assert rounds.spent < 0.6 * truth.size
    assert not found.measured[inside].all()  # its inside is not paid for ...
    finite = ~inside
    assert errors(found, truth)[finite].max() < 0.01


def test_infinity_stays_infinity():
    truth = np.where(X > 0.55, np.inf, BOWL)
    found, _ = filled(truth)
    assert np.array_equal(np.isposinf(found.values[0]), X > 0.55)


def test_a_needle_between_the_coarse_points_is_missed_and_the_largest_error_says_nothing_else():
    """The limit of the method: what lies between points that agree is not seen."""
    truth = BOWL.copy()
    coarse = nested_levels(truth.shape)[1]
    j = next(i for i in range(SIZE) if i not in coarse.rows)
    truth[j, j] += 5
    found, _ = filled(truth)
    assert errors(found, truth)[j, j] > 0.5
    truth[coarse.rows[5], coarse.columns[7]] += 5  # one that is seen is surrounded
    found, _ = filled(truth)
    assert errors(found, truth)[coarse.rows[5], coarse.columns[7]] == 0


def test_the_error_shrinks_with_the_tolerance_and_the_estimate_holds():
    truth = np.sin(5 * X) * np.cos(4 * Y) + 0.2 * np.abs(X - 0.123)
    spent = []
    for tolerance in (0.1, 0.01, 0.001):
        found, rounds = filled(truth, tolerance)
        wrong = np.abs(found.values - truth)
        assert (wrong <= found.error + 1e-12).mean() >= 0.95
        assert np.quantile(found.error / found.span, 0.95) <= tolerance
        spent.append(rounds.spent)
    assert spent == sorted(spent)


def test_more_samples_are_taken_only_where_the_spread_asks_for_them():
    spread = np.random.default_rng(0).normal(size=20_000)
    spread -= spread.mean()
    table = Table(BOWL, 0.2 * spread)
    rounds = Rounds(table, SIZE * SIZE)
    found = Refinement(rounds, X.shape, metrics=1).fill(0.02)
    # (2 σ / (0.8 · 0.02 · 1.6))² = 244 samples at σ = 0.2: the first round; all have it.
    span = np.quantile(BOWL, 0.95) - np.quantile(BOWL, 0.05)
    wanted = (2 * 0.2 / (0.8 * 0.02 * span)) ** 2
    count = rounds.count[rounds.count > 0]
    assert count.min() >= min(256, 0.9 * wanted)
    assert np.median(count) <= 1.5 * max(wanted, 256) * 1.2
    assert (np.abs(found.values[0] - BOWL) <= found.error[0]).mean() > 0.9


def test_one_sample_in_a_thousand_that_carries_all_is_caught_by_the_check():
    spread = np.zeros(20_000)
    spread[5000::1000] = 1000.0  # none among the first samples: their spread says zero
    truth = BOWL + spread.mean()
    rounds = Rounds(Table(BOWL, spread), truth.size)
    refinement = Refinement(rounds, truth.shape, metrics=1)
    found = refinement.fill(0.01)
    assert errors(found, truth).min() > 0.1
    seen = check(found, rounds, tolerance=0.01, rng=np.random.default_rng(0))
    assert not seen.passed
    assert seen.quantiles()[0] > 0.1


class Point(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(2))


def bumpy(model, batch):
    """A bowl whose every sample sits somewhere else."""
    return (model.theta - batch).square().sum(1)


def by_tokens(model, batch):
    """Sums over texts of different lengths, and the lengths."""
    weight = 1 + (batch[:, 0] > 0).float() * 9
    return weight * bumpy(model, batch), weight


PLANE = ls.plane_through(
    np.zeros(2, np.float32), np.array([2, 0], np.float32), np.array([0, 2], np.float32)
)
DATA = 0.7 * torch.randn(12_000, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("loss", [bumpy, by_tokens])
def test_a_real_objective_within_its_tolerance(loss, tmp_path):
    full = ls.loss_surface(ls.Objective(Point(), loss, DATA), PLANE, resolution=41)
    objective = ls.Objective(Point(), loss, DATA)
    found = ls.loss_surface(objective, PLANE, resolution=41, tolerance=0.02, seed=1)
    accuracy = found.accuracy
    assert accuracy["reached"]
    assert accuracy["check"]["points"] == 30
    assert accuracy["passes"] < full.values.size / 4
    wrong = np.abs(found.loss - full.loss) / accuracy["span"][0]
    assert np.quantile(wrong, 0.95) <= accuracy["stated"][0] <= 0.02
    assert found.samples.max() <= 12_000
    assert (found.samples[~found.measured] == 0).all()
    assert found.trusted.all()
    again = ls.loss_surface(objective, PLANE, resolution=41, tolerance=0.02, seed=1)
    np.testing.assert_allclose(again.values, found.values, rtol=1e-5)
    found.save(tmp_path / "fast.h5", "surface/fast")
    read = ls.Surface.load(tmp_path / "fast.h5", "surface/fast")
    assert read.accuracy == accuracy
    assert np.array_equal(read.samples, found.samples)


def test_a_surface_without_a_tolerance_is_as_before():
    found = ls.loss_surface(ls.Objective(Point(), bumpy, DATA[:50]), PLANE, resolution=5)
    assert found.measured is found.samples is found.error is found.accuracy is None


def test_batch_means_save_points_and_no_samples():
    def mean(model, batch):
        return bumpy(model, batch).mean()

    found = ls.loss_surface(ls.Objective(Point(), mean, DATA), PLANE, resolution=41, tolerance=0.02)
    assert set(np.unique(found.samples)) == {0, 12_000}
    assert found.accuracy["passes"] < 41 * 41 / 3


def test_a_small_surface_is_measured_whole():
    found = ls.loss_surface(
        ls.Objective(Point(), bumpy, DATA[:100]), PLANE, resolution=9, tolerance=0.01
    )
    full = ls.loss_surface(ls.Objective(Point(), bumpy, DATA[:100]), PLANE, resolution=9)
    np.testing.assert_allclose(found.values, full.values, rtol=1e-5)
    assert found.accuracy["passes"] == 81
    assert found.accuracy["stated"] == [0.0]


def test_a_budget_is_kept():
    objective = ls.Objective(Point(), bumpy, DATA)
    errors = []
    for budget in (60, 100, 200):
        found = ls.loss_surface(objective, PLANE, resolution=41, budget=budget)
        assert found.accuracy["passes"] <= budget
        errors.append(found.accuracy["stated"][0])
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("calls", [700, 2500])  # among the scouts, and after them
def test_it_goes_on_where_it_was_interrupted(calls):
    class Stopped(Point):
        calls = 0

    def interrupted(model, batch):
        Stopped.calls += 1
        if Stopped.calls == calls:
            raise KeyboardInterrupt
        return bumpy(model, batch)

    objective = ls.Objective(Stopped(), interrupted, DATA, strategy="sequential", batch_size=256)
    ask = {"resolution": 41, "tolerance": 0.02}
    with pytest.raises(ls.Interrupted) as stop:
        ls.loss_surface(objective, PLANE, **ask)
    partial = stop.value.partial
    assert partial.samples.any()
    assert partial.computed.any() == (calls > 41 * 41)
    before = Stopped.calls
    found = ls.loss_surface(objective, PLANE, resume=partial, **ask)
    resumed = Stopped.calls - before
    Stopped.calls = before = 10_000
    straight = ls.loss_surface(objective, PLANE, **ask)
    np.testing.assert_allclose(found.values, straight.values, rtol=1e-6)
    assert resumed < Stopped.calls - before - 200  # of 256 points at once, at least one group


def test_a_line_with_a_tolerance_is_the_line_within_it():
    line = ls.line_between(np.zeros(2, np.float32), np.array([2, 0], np.float32))
    full = ls.loss_line(ls.Objective(Point(), bumpy, DATA), line, resolution=21)
    found = ls.loss_line(
        ls.Objective(Point(), bumpy, DATA), line, resolution=21, tolerance=0.03, seed=1
    )
    span = np.ptp(np.quantile(full.loss, (0.05, 0.95)))
    assert (found.standard_error > 0).any()
    assert 2 * found.standard_error.max() <= 0.03 * span * 1.05  # the range is estimated too
    assert np.quantile(np.abs(found.loss - full.loss), 0.95) <= 0.03 * span


def test_what_makes_no_sense_is_refused():
    objective = ls.Objective(Point(), bumpy, DATA[:50])
    for wrong in ({"tolerance": 0.0}, {"tolerance": 2.0}, {"budget": 10}):
        with pytest.raises(ValueError, match="must be"):
            ls.loss_surface(objective, PLANE, **wrong)
    with pytest.raises(ValueError, match="not both"):
        ls.loss_surface(objective, PLANE, tolerance=0.1, budget=100)
    with pytest.raises(ValueError, match="shard"):
        ls.loss_surface(objective, PLANE, budget=100, shard=(0, 2))


@pytest.mark.parametrize(("samples", "count"), [(len(DATA), 3), (700, 2)])
def test_shards_share_the_work(tmp_path, samples, count):
    """Scouts, of 12,000 samples, tell the points; of 700 there are none: the coarsest are taken."""
    objective = ls.Objective(Point(), bumpy, DATA[:samples])
    ask = {"resolution": 25, "tolerance": 0.05, "seed": 2}
    whole = ls.loss_surface(objective, PLANE, **ask)
    parts = [ls.loss_surface(objective, PLANE, shard=(k, count), **ask) for k in range(count)]
    for k, part in enumerate(parts):  # through files, as jobs do
        assert part.accuracy is None
        part.save(tmp_path / f"{k}.h5", "unfinished")
    parts = [ls.Surface.load(tmp_path / f"{k}.h5", "unfinished") for k in range(count)]
    assert not (parts[0].computed & parts[1].computed).any()
    most = max(int(p.computed.sum()) for p in parts)
    assert most - min(int(p.computed.sum()) for p in parts) <= 1
    merged = ls.merge_surfaces(parts[::-1])
    assert int(merged.computed.sum()) == sum(int(p.computed.sum()) for p in parts)
    before = merged.samples.sum()

    measured = []

    def counting(model, batch):
        measured.append(len(batch))
        return bumpy(model, batch)

    rest = ls.Objective(Point(), counting, DATA[:samples])
    final = ls.loss_surface(rest, PLANE, resume=merged, **ask)
    assert final.accuracy["reached"]
    assert final.computed.all()
    checks = 30 * samples
    by_one = whole.accuracy["passes"] * samples - checks
    assert before > 0.1 * by_one
    # What is left: finer points, checks, a look at the way to evaluate. Shards have no control
    # points, so they take more samples.
    assert before + sum(measured) < 1.5 * by_one + 2 * checks
    truth = ls.loss_surface(objective, PLANE, resolution=25)
    span = np.ptp(np.quantile(truth.loss, (0.05, 0.95)))
    wrong = np.abs(final.loss - truth.loss) / span
    assert np.quantile(wrong, 0.95) <= final.accuracy["stated"][0] <= 0.05
    again = ls.loss_surface(objective, PLANE, resume=final, **ask)  # finished ones are no start
    assert again.accuracy["passes"] == whole.accuracy["passes"]


def test_a_first_round_that_was_stopped_is_finished():
    """Ctrl-C between its stretches leaves points with less than a round: they are gone on with."""
    objective = ls.Objective(Point(), bumpy, DATA)
    ask = {"resolution": 25, "tolerance": 0.05, "seed": 2, "shard": (0, 2)}
    whole = ls.loss_surface(objective, PLANE, **ask)
    rounds = 0

    def stopping(model, batch):
        nonlocal rounds
        rounds += len(batch) == 64  # a stretch of the first round at a point
        if rounds == 60:
            raise KeyboardInterrupt
        return bumpy(model, batch)

    with pytest.raises(ls.Interrupted) as stop:
        ls.loss_surface(ls.Objective(Point(), stopping, DATA), PLANE, **ask)
    part = stop.value.partial
    few = part.samples[part.computed].min()
    assert 32 < few < whole.samples[whole.computed].min()
    again = ls.loss_surface(objective, PLANE, resume=part, **ask)
    np.testing.assert_array_equal(again.samples, whole.samples)
    np.testing.assert_allclose(again.loss, whole.loss, rtol=1e-5)


def test_a_shard_that_is_finished_wins():
    objective = ls.Objective(Point(), bumpy, DATA)
    ask = {"resolution": 9, "tolerance": 0.05}
    part, whole = (ls.loss_surface(objective, PLANE, shard=s, **ask) for s in ((0, 2), (0, 1)))
    for merged in (ls.merge_surfaces([part, whole]), ls.merge_surfaces([whole, part])):
        assert merged.accuracy == whole.accuracy
        np.testing.assert_array_equal(merged.values, whole.values)


def test_units_give_the_same(tmp_path):
    objective = ls.Objective(Point(), bumpy, DATA)
    ask = {"resolution": 21, "tolerance": 0.05}
    plain = ls.loss_surface(objective, PLANE, **ask)
    for _ in range(2):  # the second time nothing is measured
        kept = ls.loss_surface(objective, PLANE, units=tmp_path / "units", **ask)
        np.testing.assert_allclose(kept.values, plain.values, rtol=1e-5)
