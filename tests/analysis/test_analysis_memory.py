"""Analyses of a whole run hold a few vectors at a time."""

import tracemalloc

import numpy as np
import pytest
import torch

import landscape as ls


def recorded(path, states, size=400_000):
    layer = torch.nn.Linear(size // 1000, 1000, bias=False)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    torch.manual_seed(0)
    with ls.Recorder(path, layer, optimizer, motion=False) as recorder:
        for _ in range(states - 1):
            layer.weight.grad = torch.randn_like(layer.weight)
            optimizer.step()
            recorder.log(loss=0.0)
    return ls.Trajectory(path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return {states: recorded(folder / f"{states}.h5", states) for states in (5, 40)}


def peak(function):
    """The most that numpy held during a call beyond what it held before, in bytes."""
    tracemalloc.start()
    try:
        found = function()
        return tracemalloc.get_traced_memory()[1], found
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("origin", ["final", "mean", "initial"])
def test_a_pca_plane_holds_its_three_vectors_and_little_more(runs, origin, monkeypatch):
    monkeypatch.setattr("landscape.analysis.planes.pca.BLOCK_BYTES", 2**20)
    monkeypatch.setattr("landscape.results.affine.BLOCK_BYTES", 2**20)
    vector = 4 * runs[5].layout.size
    ls.pca_plane(runs[5], origin=origin)  # loads what is loaded once
    most, plane = peak(lambda: ls.pca_plane(runs[5], origin=origin))
    assert plane.directions.dtype == np.float32
    assert most < 5.5 * vector


def test_a_projection_holds_no_more_of_a_longer_run(runs):
    plane, vector = ls.pca_plane(runs[5]), 4 * runs[5].layout.size
    ls.project(runs[5], plane)
    few, many = (peak(lambda run=run: ls.project(run, plane))[0] for run in runs.values())
    assert many - few < 2 * vector
