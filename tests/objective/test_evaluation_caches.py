"""Points at once are as many as the last cache holds."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import landscape as ls
from landscape.objective.strategies import caches


@pytest.mark.parametrize(
    ("said", "bytes_"), [(["32K", "1024K", "32768K"], 2**25), (["8M"], 2**23), (["x", ""], None)]
)
def test_the_last_cache_is_read_from_the_system(said, bytes_, tmp_path):
    for k, size in enumerate(said):
        (tmp_path / f"index{k}").mkdir()
        (tmp_path / f"index{k}" / "size").write_text(f"{size}\n")
    assert caches.last_cache(tmp_path) == bytes_
    assert caches.last_cache(tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("room", "batch", "threads", "points"),
    [
        (2**25, 899, 2, 16),
        (2**25, 899, 1, 32),
        (2**22, 899, 1, 4),
        (1, 899, 1, 1),
        (None, 9, 1, 64),
    ],
)
def test_points_whose_widest_layer_fits(room, batch, threads, points, monkeypatch):
    monkeypatch.setattr(caches, "last_cache", lambda: room)
    net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    data = torch.randn(20, 64), torch.arange(20) % 10
    objective = ls.Objective(net, lambda m, b: nn.functional.cross_entropy(m(b[0]), b[1]), data)
    restriction = objective.restrict(objective.parameters(), objective.parameters()[None])
    with restriction.lent(whole=True) as work:
        work = replace(work, threads=threads)
        assert caches.points_in_cache(work, batch, 64) == points
