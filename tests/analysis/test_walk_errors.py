"""The walk on a subset: errors of differences, which common samples make small."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from synthetic import Point, write_run
from torch import nn
from torch.nn import functional as F

import landscape as ls
from landscape.objective.covariance import covariance_of_means

POPULATION, SUBSET = 400, 100
STATES = np.array([[0.0, 2.0], [2.2, -0.5], [-0.4, 0.3]], np.float32)


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run.h5", STATES)


def samples() -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and noisy targets of a linear regression with the solution (1, 0)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(POPULATION, 2, generator=generator, dtype=torch.float64)
    return x, x[:, 0] + torch.randn(POPULATION, generator=generator, dtype=torch.float64)


def squared(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    (weight,) = model.parameters()
    return (F.linear(batch[0], weight)[:, 0] - batch[1]).square()


def regression(**options) -> ls.Objective:
    return ls.Objective(Point(2), squared, samples(), precision="double", **options)


def test_errors_are_those_of_paired_differences(run):
    walk = ls.walk(regression(samples=SUBSET, batch_size=32), run)
    order = np.random.default_rng(0).permutation(POPULATION)[:SUBSET]
    x, y = (t.numpy()[np.sort(order)] for t in samples())
    finite = np.sqrt((1 - SUBSET / POPULATION) / SUBSET)
    for s in range(2):
        ends = STATES[s : s + 2].astype(np.float64)
        points = ends[0] + walk.alpha[:, None] * (ends[1] - ends[0])
        each = (points @ x.T - y) ** 2  # (alpha, sample)
        np.testing.assert_allclose(walk.loss[s], each.mean(axis=1), rtol=1e-12)
        lowest = each.mean(axis=1).argmin()
        heights = (each[0] + each[-1]) / 2 - each[lowest]
        error = heights.std(ddof=1) * finite
        assert walk.height_error[s] == pytest.approx(error, rel=1e-9)
        inner = 1 + each.mean(axis=1)[1:-1].argmax()
        end = 0 if walk.loss[s, 0] >= walk.loss[s, -1] else -1
        error = (each[inner] - each[end]).std(ddof=1) * finite
        assert walk.barrier_height_error[s] == pytest.approx(error, rel=1e-9)
        assert walk.floor_error[s] == pytest.approx(each[lowest].std(ddof=1) * finite, rel=1e-9)
        np.testing.assert_allclose(
            np.sqrt(np.diagonal(walk.covariance[s])), walk.standard_error[s, 0], rtol=1e-9
        )


def test_errors_are_what_other_subsets_scatter_by(run):
    walks = [ls.walk(regression(samples=SUBSET, seed=seed), run) for seed in range(60)]
    for name in ("height", "minimum_at"):
        found = np.stack([getattr(walk, name) for walk in walks])
        errors = np.stack([getattr(walk, f"{name}_error") for walk in walks])
        # The scatter of 60 subsets is known to 1/√120 = 9 %; three times that, and the
        # change of the lowest point from subset to subset, which the error leaves out.
        np.testing.assert_allclose(found.std(axis=0), np.sqrt((errors**2).mean(axis=0)), rtol=0.3)


def test_common_samples_make_differences_more_certain_than_losses(tmp_path):
    # A short segment: its points differ by little, sample by sample.
    states = np.array([[1.5, 0.1], [1.45, 0.05]], np.float32)
    walk = ls.walk(regression(samples=SUBSET), write_run(tmp_path / "short.h5", states))
    independent = np.sqrt(
        walk.standard_error[0, 0, 0] ** 2 / 4 + walk.standard_error[0, 0, -1] ** 2
    )
    assert walk.height_error[0] < independent / 10


def test_everything_measured_is_certain(run):
    walk = ls.walk(regression(), run)
    for name in ("height_error", "floor_error", "barrier_height_error"):
        assert (getattr(walk, name) == 0).all()
    assert (walk.minimum_at_error[np.isfinite(walk.minimum_at_error)] == 0).all()


def test_a_mean_over_the_batch_leaves_errors_unknown(run):
    def mean(model, batch):
        return squared(model, batch).mean()

    objective = ls.Objective(Point(2), mean, samples(), precision="double", samples=SUBSET)
    walk = ls.walk(objective, run)
    assert np.isfinite(walk.loss).all()
    assert np.isnan(walk.height_error).all()
    assert np.isnan(walk.standard_error).all()


def test_statistics_carry_the_median_error(run):
    walk = ls.walk(regression(samples=SUBSET), run, windows=[(0, 2), (1, 2)])
    found = ls.walk_statistics(walk)
    expected = [np.median(walk.height_error), walk.height_error[1]]
    np.testing.assert_allclose(found.height_error, expected)


def test_metrics_and_weight_decay_pass_through(run):
    plain = regression(metrics={"double": lambda m, b: 2 * squared(m, b)}, weight_decay=0.1)
    subset = regression(
        metrics={"double": lambda m, b: 2 * squared(m, b)}, weight_decay=0.1, samples=SUBSET
    )
    whole, part = ls.walk(plain, run), ls.walk(subset, run)
    assert (
        part.metrics == whole.metrics == ("loss", "double", "weight decay", "loss + weight decay")
    )
    np.testing.assert_allclose(part.values[:, 1], 2 * part.loss, rtol=1e-12)
    np.testing.assert_allclose(part.values[:, 2], whole.values[:, 2], rtol=1e-12)
    np.testing.assert_array_equal(part.standard_error[:, 3], part.standard_error[:, 0])


def test_recalibrated_statistics_belong_to_every_point(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    x, y = torch.randn(60, 3), torch.randint(0, 2, (60,))
    vectors = torch.randn(2, sum(p.numel() for p in model.parameters()))
    run = write_run(
        tmp_path / "bn.h5",
        vectors.numpy(),
        layout=ls.Layout.of(model),
        buffers_layout=ls.Layout.of_buffers(model),
        buffers=np.ones((2, ls.Layout.of_buffers(model).size), np.float32),
    )
    objective = ls.Objective(
        model,
        lambda m, batch: F.cross_entropy(m(batch[0]), batch[1], reduction="none"),
        (x, y),
        batch_norm="recalibrated",
        batch_size=20,
    )
    walk = ls.walk(objective, run, points=4)
    assert walk.settings["buffers"] == "recalibrated at every point"
    twin = copy.deepcopy(model)
    for alpha, measured in zip(walk.alpha, walk.loss[0], strict=True):
        point = (1 - alpha) * vectors[0] + alpha * vectors[1]
        nn.utils.vector_to_parameters(point.float(), twin.parameters())
        torch.optim.swa_utils.update_bn(x.split(20), twin)
        with torch.no_grad():
            expected = F.cross_entropy(twin.eval()(x), y)
        # Single precision, one batch norm: a few units in the sixth digit.
        assert measured == pytest.approx(float(expected), rel=2e-5)


@pytest.mark.parametrize("samples", [2, 3, 64, 511, 4096])
def test_points_with_the_same_losses_differ_by_exactly_nothing(samples):
    """Equal rows have equal covariances, whatever kernels a machine multiplies matrices with."""
    values = np.repeat(np.random.default_rng(samples).normal(size=(1, samples)), 11, axis=0)
    covariance = covariance_of_means(values, population=2 * samples)
    assert (covariance == covariance[0, 0]).all()
    assert covariance[0, 0] == pytest.approx(values[0].var(ddof=1) / samples / 2, rel=1e-12)
