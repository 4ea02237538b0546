"""Barriers and curves between five networks on digits, against numbers measured elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import landscape as ls


@pytest.fixture(scope="module")
def digits() -> tuple[ls.Objective, list[np.ndarray]]:
    """Two hidden layers of 32 ReLU units, 500 steps of Adam, from five seeds."""
    ends = []
    for seed in range(5):
        task = ls.load_task("digits/mlp-32-32-relu", seed=seed)
        train = tuple(part[:1437] for part in task.train)
        optimizer = torch.optim.Adam(task.model.parameters(), lr=5e-4)
        draw = torch.Generator().manual_seed(seed)
        for _ in range(500):
            index = torch.randint(1437, (128,), generator=draw)
            optimizer.zero_grad()
            task.loss(task.model, tuple(part[index] for part in train)).mean().backward()
            optimizer.step()
        objective = ls.Objective(task.model, task.loss, train, metrics=task.metrics)
        ends.append(objective.parameters().copy())
    return objective, ends


WAYS = {
    "as trained": ({}, 1.039),
    "repaired": ({"repair": True}, 0.465),
    "weights": ({"align": "weights"}, 0.171),
    "weights, repaired": ({"align": "weights", "repair": True}, 0.097),
    "activations": ({"align": "activations"}, 0.235),
    "activations, repaired": ({"align": "activations", "repair": True}, 0.148),
}


def test_barriers_are_those_measured_before_and_fall_by_matching_and_again_by_repair(digits):
    objective, ends = digits
    height = {}
    for name, (how, wanted) in WAYS.items():
        height[name] = ls.barriers(objective, ends, resolution=13, **how).height("entezari2022")
        assert wanted / 1.5 < height[name].mean() < wanted * 1.5, name
    assert (height["as trained"] > height["weights"]).all()
    assert (height["weights"] > height["weights, repaired"]).all()


def test_a_bezier_curve_removes_the_barrier(digits):
    objective, ends = digits
    for k in range(5):
        curve = ls.find_curve(objective, ends[k], ends[k - 1], steps=400, seed=k)
        assert np.array_equal(curve.at(0), ends[k])
        assert np.array_equal(curve.at(1), ends[k - 1])
        profile = ls.curve_profile(objective, curve)
        for definition in ("frankle2020", "entezari2022"):
            on_curve, on_line = profile.barrier(definition)
            assert on_curve <= 0.05 * on_line
