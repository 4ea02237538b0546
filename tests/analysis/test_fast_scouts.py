"""Scouts: a few samples at every point find what lies between the measured points."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.analysis.sparing.grids import nested_levels
from landscape.analysis.sparing.refinement import Filled, Refinement
from landscape.analysis.sparing.rounds import Rounds

SIDE, SAMPLES, SCOUTS = 51, 20_000, 32
X, Y = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE))
BOWL = X**2 + 2 * Y**2
BETWEEN = next(i for i in range(20, SIDE) if i not in nested_levels((SIDE, SIDE))[1].rows)


class Tilted:
    """A surface to which every sample adds a plane of its own, with mean zero.

    Args:
        values: The surface.
        carried: Added at the samples from number `since` on.
        since: First sample that carries it.
        scouts: Samples to look with.
    """

    rows, step, size = 1, 32, SAMPLES

    def __init__(self, values, carried=None, *, since=0, scouts=SCOUTS, seed=0):
        self.values = values.ravel()
        self.carried = 0 * self.values if carried is None else carried.ravel()
        self.since, self.scouts = since, scouts
        draws = np.random.default_rng(seed).normal(size=(3, SAMPLES))
        self.draws = 0.3 * (draws - draws.mean(axis=1, keepdims=True))
        self.design = np.stack([X.ravel(), Y.ravel(), np.ones(X.size)], axis=1)

    @property
    def truth(self):
        return (self.values + self.carried * (1 - self.since / self.size)).reshape(X.shape)

    def __call__(self, points, start, stop):
        own = self.design[points] @ self.draws[:, start:stop]
        carry = np.arange(start, stop) >= self.since
        with np.errstate(invalid="ignore"):
            part = self.values[points, None] + own + np.outer(self.carried[points], carry)
            mean = part.mean(axis=1)
            return mean[None], np.square(part - mean[:, None]).sum(axis=1)[None]

    def metrics(self, points, mean, m2, count):
        return mean, np.sqrt(m2 / np.maximum(count - 1, 1))


def filled(table: Tilted) -> tuple[Filled, Rounds]:
    rounds = Rounds(table, X.size)
    return Refinement(rounds, X.shape, metrics=1).fill(0.01), rounds


def needle(height=5.0):
    found = BOWL.copy()
    found[BETWEEN, BETWEEN] += height
    return found


FOOLERS = {
    "needle": needle(),
    "pit": needle(-3.0),
    "step": np.where(X + 0.3 * Y > 0.1, BOWL + 3, BOWL),
    "narrow ridge": BOWL + 2 * np.exp(-0.5 * ((X - Y + 0.1) / 0.01) ** 2),
    "corners": np.where(np.maximum(abs(X), abs(Y)) > 0.8, 1e30 * BOWL, BOWL),
    "chaos": np.random.default_rng(0).normal(size=X.shape),
}


@pytest.mark.parametrize("name", FOOLERS)
def test_what_fools_the_interpolation_is_measured(name):
    table = Tilted(FOOLERS[name])
    found, _ = filled(table)
    wrong = np.abs(found.values[0] - table.truth) / found.scale[0]
    # 0.01 is asked of 95 % of the points, and interpolation may leave it anywhere; tilts of 0.3
    # on 256 samples or more are interpolated exactly and add nothing.
    assert wrong.max() <= 0.015
    assert (wrong > 0.01).mean() < 0.01


def test_a_needle_costs_only_its_neighbourhood():
    _, plain = filled(Tilted(BOWL))
    _, seen = filled(Tilted(needle()))
    # Three by three on the level that holds it, five by five between them on the next.
    assert seen.measured.sum() <= plain.measured.sum() + 25


def test_a_disc_of_nan_between_the_coarse_points_is_found():
    # Three points wide: every coarse grid steps over it.
    inside = np.zeros(X.shape, bool)
    inside[BETWEEN - 1 : BETWEEN + 1, BETWEEN - 1 : BETWEEN + 1] = True
    coarse = nested_levels(X.shape)[0]
    inside[coarse.at] = False
    table = Tilted(np.where(inside, np.nan, BOWL))
    found, _ = filled(table)
    assert np.array_equal(np.isnan(found.values[0]), inside)


def test_without_scouts_the_needle_is_missed():
    """The control: what the test above would not see if scouts did nothing."""
    table = Tilted(needle(), scouts=0)
    found, _ = filled(table)
    assert abs(found.values[0] - table.truth)[BETWEEN, BETWEEN] > 1


def test_a_needle_of_samples_beyond_the_scouts_is_missed():
    """The limit: scouts find what the first samples of the order carry."""
    bump = needle(6.0) - BOWL
    table = Tilted(BOWL, bump, since=SCOUTS)
    found, _ = filled(table)
    assert abs(found.values[0] - table.truth)[BETWEEN, BETWEEN] > 1
    table = Tilted(BOWL, bump, since=SCOUTS // 2)  # carried by half of them: seen
    found, _ = filled(table)
    assert abs(found.values[0] - table.truth)[BETWEEN, BETWEEN] < 0.05


def test_scouted_samples_are_not_measured_twice():
    table = Tilted(BOWL)
    calls = []

    def spy(points, start, stop, inner=table.__call__):
        calls.extend((p, s) for p in points for s in range(start, stop, 16))
        return inner(points, start, stop)

    class Spied(Tilted):
        def __call__(self, points, start, stop):
            return spy(points, start, stop)

    rounds = Rounds(Spied(BOWL), X.size)
    Refinement(rounds, X.shape, metrics=1).fill(0.01)
    assert len(calls) == len(set(calls))
    assert rounds.count.min() == SCOUTS
    assert rounds.spent == rounds.count.sum()


class Point(nn.Module):
    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(2))
        self.at = torch.tensor([float(X[0, BETWEEN]), float(X[0, BETWEEN])])


def spiked(model, batch):
    """A bowl whose every sample sits somewhere else, and a needle that all share."""
    far = (model.theta - model.at).square().sum()
    return (model.theta - batch).square().sum(1) + 9 * torch.exp(-far / 2e-4)


PLANE = ls.plane_through(
    np.zeros(2, np.float32), np.array([1, 0], np.float32), np.array([0, 1], np.float32)
)
DATA = 0.3 * torch.randn(12_000, 2, generator=torch.Generator().manual_seed(0))


def mean_of_batch(model, batch):
    return spiked(model, batch).mean()


@pytest.mark.parametrize("loss", [spiked, mean_of_batch])
def test_a_real_objective_with_a_needle(loss):
    ask = {"resolution": SIDE, "extent": 1.0}
    full = ls.loss_surface(ls.Objective(Point(), loss, DATA), PLANE, **ask)
    found = ls.loss_surface(ls.Objective(Point(), loss, DATA), PLANE, tolerance=0.01, **ask)
    accuracy, measured, samples = found.accuracy, found.measured, found.samples
    assert accuracy is not None
    assert measured is not None
    assert samples is not None
    assert full.loss[BETWEEN, BETWEEN] > 5
    assert np.abs(found.loss - full.loss).max() <= 0.015 * accuracy["span"][0] * 9
    assert abs(found.loss - full.loss)[BETWEEN, BETWEEN] <= 0.02 * full.loss[BETWEEN, BETWEEN]
    assert accuracy["scouts"] == SCOUTS
    risk = 0.05 / 2 ** accuracy["attempts"]
    assert accuracy["check"]["beyond"] == pytest.approx(1 - risk ** (1 / 30))
    assert (samples[~measured] == 0).all()
    assert measured.sum() < measured.size / 4


def test_small_data_has_no_scouts():
    objective = ls.Objective(Point(), spiked, DATA[:500])
    found = ls.loss_surface(objective, PLANE, resolution=21, tolerance=0.05)
    assert found.accuracy is not None
    assert found.accuracy["scouts"] == 0
