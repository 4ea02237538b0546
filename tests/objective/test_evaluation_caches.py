"""What the last cache holds is read from the system; it changes no number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.objective.strategies import shared
from landscape.objective.strategies.caches import last_cache
from landscape.objective.strategies.choice import Choice


@pytest.mark.parametrize(
    ("said", "size"), [(["32K", "1024K", "32768K"], 2**25), (["8M"], 2**23), (["x", ""], 2**23)]
)
def test_the_last_cache_is_read_from_the_system(said, size, tmp_path):
    for k, text in enumerate(said):
        (tmp_path / f"index{k}").mkdir()
        (tmp_path / f"index{k}" / "size").write_text(f"{text}\n")
    assert last_cache(str(tmp_path)) == size
    assert last_cache(str(tmp_path / "missing")) == 2**23


@pytest.mark.parametrize("size", [0, 80_000, 2**25])
def test_however_small_it_is_the_numbers_are_the_same(size, monkeypatch):
    monkeypatch.setattr(shared, "last_cache", lambda: size)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 4))
    data = torch.randn(40, 1, 8, 8), torch.arange(40) % 4
    objective = ls.Objective(
        net, lambda m, b: nn.functional.cross_entropy(m(b[0]), b[1], reduction="none"), data
    )
    plane = ls.random_plane(objective.parameters(), objective.layout, seed=0)
    restriction = objective.restrict(plane.origin, plane.directions)
    points = np.random.default_rng(0).uniform(-1, 1, (11, 2))
    wanted = restriction(points).mean
    objective.tuning.use(Choice("shared", 20, 6))
    np.testing.assert_allclose(restriction(points).mean, wanted, rtol=1e-5)
