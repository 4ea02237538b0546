"""Control points: what they know of a sample is taken off, what they do not is kept."""

from __future__ import annotations

import numpy as np
import pytest

from landscape.analysis.sparing.refinement import Refinement
from landscape.analysis.sparing.rounds import Rounds

SIDE, SAMPLES = 33, 20_000
X, Y = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE))
BOWL = 1 + X**2 + Y**2


class Table:
    """Losses of every sample at every point, in an order that is random already."""

    rows, step, size, scouts = 1, 32, SAMPLES, 0

    def __init__(self, losses):
        self.losses = losses  # (points, start, stop) -> (points, samples)

    def __call__(self, points, start, stop):
        part = self.losses(points, start, stop)
        mean = part.mean(axis=1)
        with np.errstate(invalid="ignore"):
            return mean[None], np.square(part - mean[:, None]).sum(axis=1)[None]

    def metrics(self, points, mean, m2, count):
        return mean, np.sqrt(m2 / np.maximum(count - 1, 1))


def smooth(seed):
    """Every sample adds a plane of its own: L_i(x, y) = bowl + a_i x + b_i y + c_i."""
    draws = np.random.default_rng(seed).normal(size=(3, SAMPLES))
    design = np.stack([X.ravel(), Y.ravel(), np.ones(X.size)], axis=1)
    return lambda p, a, b: BOWL.ravel()[p, None] + design[p] @ draws[:, a:b], draws, design


def rough(seed):
    """Every sample adds its own noise at every point: control points know nothing of it."""

    def losses(p, a, b):
        found = np.empty((len(p), b - a))
        for row, point in zip(found, p, strict=True):
            row[:] = np.random.default_rng([seed, point]).normal(size=b)[a:]
        return BOWL.ravel()[p, None] + found

    return losses


def test_what_is_smooth_over_the_plane_costs_few_samples():
    losses, draws, design = smooth(0)
    truth = (BOWL.ravel() + design @ draws.mean(axis=1)).reshape(X.shape)
    rounds = Rounds(Table(losses), X.size)
    found = Refinement(rounds, X.shape, metrics=1).fill(0.01)
    assert rounds.control is not None
    # Planes are interpolated exactly: one round everywhere but at the 25 control points.
    others = np.setdiff1d(np.flatnonzero(rounds.count), rounds.control.points)
    assert (rounds.count[others] == 256).all()
    assert (rounds.count[rounds.control.points] == SAMPLES).all()
    _, error = rounds.known(others)
    assert error.max() < 1e-9
    assert np.abs(found.values[0] - truth).max() <= 0.01 * found.span[0]


@pytest.mark.parametrize("seed", range(3))
def test_what_is_not_smooth_keeps_its_error(seed):
    losses = rough(seed)
    rounds = Rounds(Table(losses), X.size)
    points = np.arange(0, X.size, 7)
    rounds.begin(np.arange(X.size))
    value, plain = rounds.known(points)
    control = Refinement(rounds, X.shape, metrics=1)
    control._control(np.arange(81), 0.01)
    assert rounds.control is not None
    points = np.setdiff1d(points, rounds.control.points)
    value, error = rounds.known(points)
    # The residual spreads by σ √(1 + Σ w²) > σ; few stretches may say less at some points, never
    # by much: 4 of 4 + 3 parts are the mean of all points, times a caution of 1.2.
    plain = 2 / np.sqrt(256)
    assert np.median(error) > 0.85 * plain
    wrong = np.abs(value - BOWL.ravel()[points])
    assert (wrong <= error).mean() > 0.85


def test_numbers_that_are_not_finite_touch_only_their_own_points():
    losses, _, _ = smooth(1)

    def broken(p, a, b):
        found = losses(p, a, b)
        found[p == 0] = np.inf  # a corner, and a control point
        return found

    rounds = Rounds(Table(broken), X.size)
    found = Refinement(rounds, X.shape, metrics=1).fill(0.01)
    assert np.isposinf(found.values[0, 0, 0])
    assert np.isfinite(found.values[0]).sum() >= X.size - 4
    assert rounds.control is not None
    far = rounds.control.points[rounds.control.points > SIDE * SIDE // 2]
    assert (rounds.count[far] == SAMPLES).all()
    others = np.setdiff1d(np.flatnonzero(rounds.count), rounds.control.points)
    assert np.median(rounds.count[others]) == 256  # still corrected away from the corner
