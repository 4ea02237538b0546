"""A tolerance with batch norm, other metrics, processes, and after a kill."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from fast_killable import measure
from torch import nn

import landscape as ls
from landscape.objective.workers.engine import packed, unpacked

SAMPLES = 6000
X = torch.randn(SAMPLES, 2, generator=torch.Generator().manual_seed(0))
LABELS = (X[:, 0] + 0.5 * X[:, 1] > 0).long()


def entropy(model, batch):
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def wrong(model, batch):
    return (model(batch[0]).argmax(1) != batch[1]).double()


def objective(*, norm=True, **options):
    torch.manual_seed(0)
    middle = nn.BatchNorm1d(8) if norm else nn.Identity()
    model = nn.Sequential(nn.Linear(2, 8), middle, nn.Tanh(), nn.Linear(8, 2))
    model(X[:1000])  # running statistics
    return ls.Objective(model, entropy, (X, LABELS), strategy="sequential", **options)


def plane_of(objective):
    return ls.random_plane(objective.parameters(), objective.layout)


def compared(found, full, metric=0):
    """The error at every point and the one that was stated, relative to the range."""
    span = found.accuracy["span"][metric]
    return np.abs(found.values[metric] - full.values[metric]) / span, found.accuracy["stated"]


@pytest.mark.parametrize("policy", ["frozen", "batch", "recalibrated"])
def test_every_batch_norm_policy(policy):
    ask = {"resolution": 21}
    options = {"batch_norm": policy, "batch_size": 50 if policy == "batch" else 1000}
    full = ls.loss_surface(objective(**options), plane_of(objective()), **ask)
    found = ls.loss_surface(objective(**options), plane_of(objective()), tolerance=0.05, **ask)
    error, stated = compared(found, full)
    assert np.quantile(error, 0.95) <= 0.05
    if policy == "recalibrated":  # statistics are those of all samples: points alone are saved
        assert found.accuracy["scouts"] == 0
        assert set(np.unique(found.samples)) <= {0, SAMPLES}
    else:
        assert found.accuracy["scouts"] == (50 if policy == "batch" else 32)
        assert found.accuracy["passes"] < 21 * 21 / 2
        assert stated[0] <= 0.05


def test_other_metrics_are_stated_too():
    other = {"metrics": {"error": wrong}, "weight_decay": 0.01, "norm": False}
    ask = {"resolution": 21, "extent": 2.0}
    full = ls.loss_surface(objective(**other), plane_of(objective(norm=False)), **ask)
    found = ls.loss_surface(
        objective(**other), plane_of(objective(norm=False)), tolerance=0.05, **ask
    )
    assert found.metrics == ("loss", "error", "weight decay", "loss + weight decay")
    for m in range(4):
        error, stated = compared(found, full, m)
        assert np.quantile(error, 0.95) <= stated[m]
    # An error rate from n of N samples: p (1 - p) / n · (1 - n/N), which is what its deviation is.
    some = found.measured & (found.samples < SAMPLES)
    assert some.any()
    assert (found.error[1][some] > 0).any()


def test_an_error_rate_may_be_what_is_measured():
    model = objective(norm=False).model
    rate = ls.Objective(model, wrong, (X, LABELS), strategy="sequential")
    plane = plane_of(rate)
    full = ls.loss_surface(rate, plane, resolution=21)
    found = ls.loss_surface(rate, plane, resolution=21, tolerance=0.05)
    error, stated = compared(found, full)
    assert np.quantile(error, 0.95) <= stated[0] <= 0.05


class Threads:
    """An engine of two threads, each with a copy of what it measures."""

    starts = 0

    @contextlib.contextmanager
    def start(self, restriction):
        self.starts += 1
        data = packed(restriction)
        with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
            yield [Copy(pool, data) for pool in (one, two)]


class Copy:
    def __init__(self, pool, data):
        self.pool, self.restriction = pool, unpacked(data, "cpu")

    def submit(self, coordinates, samples):
        return self.pool.submit(self.restriction, coordinates, samples, checks=0)


def test_an_engine_gives_the_same():
    ask = {"resolution": 13, "tolerance": 0.05}
    plain = ls.loss_surface(objective(norm=False), plane_of(objective(norm=False)), **ask)
    engine = Threads()
    shared = ls.loss_surface(
        objective(norm=False), plane_of(objective(norm=False)), engine=engine, **ask
    )
    assert engine.starts == 1  # for all rounds together
    np.testing.assert_allclose(shared.values, plain.values, rtol=1e-5)
    assert np.array_equal(shared.samples, plain.samples)


def test_a_line_with_moving_batch_norm_statistics():
    one = objective()
    buffers = one.buffers_layout.size
    ends = (np.full(buffers, 0.5, np.float32), np.full(buffers, 1.5, np.float32))
    start = one.parameters()
    line = ls.line_between(start, start + 0.3 * np.sin(np.arange(start.size)).astype(np.float32))
    ask = {"resolution": 11, "buffers": [ends]}
    full = ls.loss_line(objective(), line, **ask)
    found = ls.loss_line(objective(), line, tolerance=0.05, **ask)
    span = np.ptp(np.quantile(full.loss, (0.05, 0.95)))
    assert (found.standard_error > 0).any()
    assert np.quantile(np.abs(found.loss - full.loss), 0.95) <= 0.05 * span


def test_a_killed_surface_goes_on_from_its_units(tmp_path):
    whole = measure(tmp_path / "whole", kill_at=None)
    script = Path(__file__).with_name("fast_killable.py")
    ended = subprocess.run([sys.executable, str(script), str(tmp_path / "killed"), "300"])
    assert ended.returncode == -signal.SIGKILL
    again = measure(tmp_path / "killed", kill_at=None)
    np.testing.assert_array_equal(again.surface.values, whole.surface.values)
    assert again.calls < whole.calls - 100  # of 300, what was in unfinished units was lost


class Point(nn.Module):
    """A model whose parameters are the place itself."""

    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(2))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_loss_that_few_samples_carry_is_found_or_not_trusted(seed):
    """One sample in a thousand carries everything: the others agree about nothing."""
    carried = torch.zeros(4000, 1)
    carried[torch.randperm(4000, generator=torch.Generator().manual_seed(0))[:4]] = 1000.0

    def loss(model, batch):
        return batch[0][:, 0] * (0.01 + model.theta.square().sum())

    axes = np.float32([[2, 0], [0, 2]])
    plane = ls.plane_through(np.zeros(2, np.float32), *axes)
    objective = ls.Objective(Point(), loss, (carried,))
    full = ls.loss_surface(objective, plane, resolution=21)
    found = ls.loss_surface(objective, plane, resolution=21, tolerance=0.01, seed=seed)
    wrong = np.abs(found.loss - full.loss) > found.error[0] + 1e-5 * full.loss.max()
    assert (wrong & found.trusted).mean() <= 0.05
    assert np.quantile(np.abs(found.loss - full.loss), 0.95) <= max(
        found.accuracy["stated"][0] * found.accuracy["span"][0], 1e-5 * full.loss.max()
    )


def test_a_falling_line_within_a_tolerance_does_not_rise():
    draws = torch.randn(12_000, 1, generator=torch.Generator().manual_seed(0))
    draws -= draws.mean()

    def loss(model, batch):
        return torch.exp(-4 * model.theta[0]) + 0.3 * batch[0][:, 0] * model.theta[0]

    line = ls.line_between(np.zeros(2, np.float32), np.float32([2, 0]))
    found = ls.loss_line(
        ls.Objective(Point(), loss, (draws,)), line, resolution=41, extent=(0, 1), tolerance=0.03
    )
    assert found.largest_increase[0] > 0  # samples of their own make a plateau uneven
    assert found.monotone.all()
