"""Path metrics of a recorded ResNet-20: against float64, the recorder, and the ends of segments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import landscape as ls
from landscape.tasks.resnet import ResNet
from landscape.tasks.task import classification_error, cross_entropy

STEPS = 100


def small_images() -> ls.Task:
    """ResNet-20 as for CIFAR-10, on 64 random images of 8×8 pixels: the weights are the same."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    images = torch.randn(64, 3, 8, 8, generator=generator)
    labels = torch.randint(0, 10, (64,), generator=generator)
    return ls.Task(
        model=ResNet(20),
        loss=cross_entropy,
        train=(images, labels),
        metrics={"error": classification_error},
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ls.Trajectory:
    path: Path = tmp_path_factory.mktemp("resnet") / "resnet.h5"
    settings = ls.Run("resnet", "momentum", lr=0.05, steps=STEPS, batch_size=16)
    return ls.Trajectory(ls.record_run(settings, path, task=small_images()))


@pytest.fixture(scope="module")
def path(run: ls.Trajectory) -> ls.PathMetrics:
    return ls.path_metrics(run)


def test_equal_to_a_direct_computation_in_double_precision(run, path):
    states = np.stack([run.state(i) for i in range(STEPS + 1)]).astype(np.float64)
    updates = np.diff(states, axis=0)
    norms = np.linalg.norm(updates, axis=1)
    cosine = np.einsum("sp,sp->s", updates[1:], updates[:-1]) / norms[1:] / norms[:-1]
    whole = states[-1] - states[0]
    away = np.linalg.norm(states - states[0], axis=1)
    to_final = updates @ whole / norms / np.linalg.norm(whole)
    # The same sums in another order: far below the 1e-6 that is promised.
    np.testing.assert_allclose(path.update_norm[1:], norms, rtol=1e-10)
    np.testing.assert_allclose(path.cosine[2:], cosine, atol=1e-10)
    np.testing.assert_allclose(path.cosine_to_final[1:], to_final, atol=1e-10)
    np.testing.assert_allclose(path.distance, away, rtol=1e-10)
    np.testing.assert_allclose(path.squared_distance, away**2, rtol=1e-10)
    np.testing.assert_allclose(path.path_length[1:], np.cumsum(norms), rtol=1e-10)
    assert path.straightness == pytest.approx(away[-1] / norms.sum(), rel=1e-10)


def test_equal_to_what_the_recorder_measured_online(run, path):
    # The recorder adds products of float32 numbers in pieces, each rounded to 1e-7.
    for name, values in (("update_norm", path.update_norm), ("distance", path.distance)):
        np.testing.assert_allclose(run.scalars[name], values[1:], rtol=1e-6)
    np.testing.assert_allclose(run.scalars["update_cosine"][1:], path.cosine[2:], atol=1e-6)
    for name, values in (
        ("update_norm", path.layer_update_norm),
        ("distance", path.layer_distance),
    ):
        np.testing.assert_allclose(run.layers(name).T, values[:, 1:], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(
        run.layers("update_cosine")[1:].T, path.layer_cosine[:, 2:], atol=1e-6
    )


@pytest.mark.parametrize("policy", ["frozen", "batch", "recalibrated"])
def test_each_segment_ends_where_the_next_begins(run, policy):
    task = small_images()
    objective = ls.Objective(
        task.model, task.loss, task.train, metrics=task.metrics, batch_norm=policy, batch_size=32
    )
    walk = ls.walk(objective, run, windows=["last"], length=3, points=2)
    # θ_{t+1} is reached as θ_t + (θ_{t+1} - θ_t) in single precision: rounding of the weights,
    # which twenty layers of batch norm amplify.
    np.testing.assert_allclose(walk.values[:-1, 0, -1], walk.values[1:, 0, 0], rtol=2e-5)
    np.testing.assert_allclose(walk.values[:-1, 1, -1], walk.values[1:, 1, 0], atol=1 / 64)
