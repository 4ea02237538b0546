"""The walk within a tolerance: as few samples as differences along its segments ask for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic import Point, write_run
from torch import nn
from torch.nn import functional as F

import landscape as ls

POPULATION = 20_000
STEPS = 24


def samples(population: int = POPULATION) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Inputs, noisy targets of a linear regression with the solution (1, 0), token counts."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(population, 2, generator=generator, dtype=torch.float64)
    y = x[:, 0] + torch.randn(population, generator=generator, dtype=torch.float64)
    return x, y, torch.randint(1, 9, (population,), generator=generator)


def squared(model, batch):
    (weight,) = model.parameters()
    return (F.linear(batch[0], weight)[:, 0] - batch[1]).square()


def weighted(model, batch):
    return squared(model, batch) * batch[2], batch[2]


def regression(loss=squared, population=POPULATION, **options) -> ls.Objective:
    data = samples(population)
    return ls.Objective(Point(2), loss, data, precision="double", batch_size=512, **options)


@pytest.fixture
def run(tmp_path):
    """Steps across the solution, from side to side, ever shorter."""
    turn = np.pi * np.linspace(0, 1.2 * STEPS, STEPS + 1)
    radius = np.linspace(4, 1.5, STEPS + 1)
    states = np.stack([1 + radius * np.cos(turn), radius * np.sin(turn)], axis=1)
    return write_run(tmp_path / "run.h5", states.astype(np.float32))


def worst(part: ls.Walk, whole: ls.Walk) -> np.ndarray:
    """Largest error of a difference along each segment, relative to its range."""
    wrong = part.loss - whole.loss
    return np.ptp(wrong, axis=1) / np.ptp(whole.loss, axis=1)


@pytest.mark.parametrize("loss", [squared, weighted])
def test_differences_keep_the_tolerance_on_a_part_of_the_samples(run, loss):
    whole = ls.walk(regression(loss), run)
    wrong, used = [], []
    for seed in range(12):
        part = ls.walk(regression(loss), run, tolerance=0.1, seed=seed)
        assert part.settings["tolerance"] == 0.1
        assert part.settings["population"] == POPULATION
        used.append(part.settings["samples"])
        np.testing.assert_allclose(part.loss[1:, 0], part.loss[:-1, -1], rtol=1e-12)
        assert (part.uncertainty <= 0.15).all()  # the few tell what the others need
        assert (part.uncertainty <= 0.1).mean() > 0.7
        wrong.append(worst(part, whole) / (part.uncertainty / 2))
    assert max(used) < POPULATION / 2
    # In standard errors; known from 12 subsets to 1/√24 = 20 %.
    assert 0.5 < np.sqrt(np.mean(np.square(wrong))) < 1.5


def test_subsets_are_nested_and_told(run):
    objective = regression()
    few, more = objective.subset(100, seed=3), objective.subset(300, seed=3)
    held = [set(map(tuple, part.data.batches(300)[0][0][0].tolist())) for part in (few, more)]
    assert held[0] < held[1]
    assert few.settings["samples"] == 100
    assert few.settings["population"] == POPULATION
    hashes = {part.settings["data_hash"] for part in (few, more, objective)}
    assert len(hashes) == 3


def test_the_covariance_of_a_weighted_mean_is_that_of_its_residuals(run):
    objective = regression(weighted, population=400, samples=100)
    walk = ls.walk(objective, run, windows=[(0, 2)])
    order = np.sort(np.random.default_rng(0).permutation(400)[:100])
    x, y, w = (t.numpy()[order] for t in samples(400))
    ends = np.stack([run.state(0), run.state(1)]).astype(np.float64)
    points = ends[0] + walk.alpha[:, None] * (ends[1] - ends[0])
    each = (points @ x.T - y) ** 2
    ratio = (each * w).sum(axis=1, keepdims=True) / w.sum()
    residual = (each - ratio) * w / w.mean()
    expected = residual @ residual.T / 99 / 100 * (1 - 100 / 400)
    np.testing.assert_allclose(walk.loss[0], ratio[:, 0], rtol=1e-12)
    np.testing.assert_allclose(walk.covariance[0], expected, rtol=1e-9)
    np.testing.assert_allclose(walk.standard_error[0, 0], np.sqrt(np.diag(expected)), rtol=1e-9)


def test_what_does_not_tell_samples_apart_is_measured_on_all(run):
    def mean(model, batch):
        return squared(model, batch).mean()

    walk = ls.walk(regression(mean), run, tolerance=0.1)
    assert walk.settings["samples"] == POPULATION
    np.testing.assert_array_equal(walk.values, ls.walk(regression(mean), run).values)


@pytest.mark.parametrize(
    "pair",
    [
        lambda each: (each.sum().item(), float(len(each))),
        lambda each: (each, len(each)),
        lambda each: (each.repeat_interleave(3), torch.ones(3 * len(each))),
        lambda each: (each[:, None].expand(-1, 3), torch.ones(len(each), 3)),
    ],
    ids=["numbers", "a count", "tokens", "tokens by sample"],
)
def test_pairs_that_do_not_tell_samples_apart_leave_errors_unknown(run, pair):
    def loss(model, batch):
        return pair(squared(model, batch))

    part = ls.walk(regression(loss, samples=1000), run, windows=[(0, 2)])
    assert np.isfinite(part.loss).all()
    assert np.isnan(part.standard_error).all()
    assert np.isnan(part.uncertainty).all()
    with np.errstate(all="raise"):
        whole = ls.walk(regression(loss), run, windows=[(0, 2)], tolerance=0.1)
    assert whole.settings["samples"] == POPULATION


def test_few_segments_all_keep_the_tolerance(tmp_path):
    easy_and_hard = np.array([[5, 0], [1, 3], [1.02, 2.999]], np.float32)
    walk = ls.walk(regression(), write_run(tmp_path / "two.h5", easy_and_hard), tolerance=0.1)
    assert (walk.uncertainty <= 0.1).all()


def test_segments_that_diverged_do_not_count(tmp_path):
    states = np.full((17, 2), np.nan, np.float32)
    states[:3] = [[1, 3], [1.5, 2.4], [2.2, 1.8]]
    walk = ls.walk(regression(), write_run(tmp_path / "diverged.h5", states), tolerance=0.1)
    assert (walk.uncertainty[:2] <= 0.1).all()
    assert walk.settings["samples"] > 512


def test_small_data_is_measured_whole(run):
    walk = ls.walk(regression(population=600), run, tolerance=0.1)
    assert walk.settings["samples"] == 600
    assert (walk.uncertainty == 0).all()


def test_a_state_that_is_not_finite_asks_for_nothing(tmp_path, run):
    states = np.stack([run.state(s) for s in range(len(run))])
    states[5] = np.inf
    broken = write_run(tmp_path / "broken.h5", states)
    walk = ls.walk(regression(), broken, tolerance=0.1)
    assert walk.settings["samples"] < POPULATION / 2
    assert np.isnan(walk.uncertainty).sum() == 2


def test_a_run_that_stands_still_asks_for_nothing(tmp_path):
    still = write_run(tmp_path / "still.h5", np.ones((4, 2), np.float32))
    walk = ls.walk(regression(), still, tolerance=0.1)
    assert walk.settings["samples"] == 512
    assert (walk.uncertainty == 0).all()


def test_whole_batches_where_their_statistics_are_used(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    data = torch.randn(4000, 3), torch.randint(0, 2, (4000,))
    vectors = torch.randn(2, sum(p.numel() for p in model.parameters())).numpy()
    run = write_run(tmp_path / "bn.h5", vectors, layout=ls.Layout.of(model))
    objective = ls.Objective(
        model,
        lambda m, batch: F.cross_entropy(m(batch[0]), batch[1], reduction="none"),
        data,
        batch_norm="batch",
        batch_size=100,
    )
    used = ls.walk(objective, run, tolerance=0.2).settings["samples"]
    assert used % 100 == 0
    assert used < 4000


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -0.1, float("nan")])
def test_a_tolerance_is_a_share(run, tolerance):
    with pytest.raises(ValueError, match="between 0 and 1"):
        ls.walk(regression(), run, tolerance=tolerance)
