"""Analyses of a whole run hold a few vectors at a time, however many states it has."""

import tracemalloc

import numpy as np
import pytest
import torch

import landscape as ls

SIZE = 300_000


def loss(model, batch):
    return model(batch).square().mean()


def recorded(path, states):
    layer = torch.nn.Linear(SIZE // 1000, 1000, bias=False)
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
    return {states: recorded(folder / f"{states}.h5", states) for states in (6, 30)}


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks that are as small beside these vectors as they are beside those of a large model."""
    monkeypatch.setattr("landscape.base.blocks.BLOCK", 2**13, raising=False)
    monkeypatch.setattr("landscape.analysis.planes.pca._LEAST", 2**18, raising=False)
    monkeypatch.setattr("landscape.analysis.motion.moments._BLOCK_BYTES", 2**19)


def held(function, run):
    """The most that numpy held during a call beyond what it held before, in vectors."""
    tracemalloc.start()
    try:
        function(run)
        return tracemalloc.get_traced_memory()[1] / (4 * SIZE)
    finally:
        tracemalloc.stop()


def through(run, **options):
    return ls.plane_through(run.state(0), run.state(3), run.state(-1), **options)


def objective():
    return ls.Objective(
        torch.nn.Linear(SIZE // 1000, 1000, bias=False), loss, torch.ones(2, SIZE // 1000)
    )


def along(run):
    steps = run.steps[[0, -1]].tolist() if len(run) < 7 else run.steps[::10].tolist()
    return ls.surfaces_along(objective(), run, steps=steps, plane=through(run), resolution=2)


ANALYSES = {  # vectors: what is given back, what is read, and blocks
    "PCA about the end": (lambda run: ls.pca_plane(run), 4.5),
    "PCA about the mean": (lambda run: ls.pca_plane(run, origin="mean"), 4.5),
    "PCA of two runs": (lambda run: ls.pca_plane([run, run]), 4.5),
    "projection": (lambda run: ls.project(run, run.plane), 2),
    "losses on and off a plane": (lambda run: ls.project(run, run.plane, objective=objective()), 4),
    "path": (ls.path_metrics, 5.5),
    "layers": (ls.layer_metrics, 5.5),
    "line": (lambda run: ls.line_between(run.initial, run.final), 4.2),
    "plane": (through, 6.2),
    "orthonormal plane": (lambda run: through(run, axes="orthonormal"), 6.2),
    "walk": (lambda run: ls.walk(objective(), run, windows=[(0, 5)], points=2), 4.2),
    "surfaces along a run": (along, 7.2),
}


@pytest.mark.parametrize("name", ANALYSES)
def test_no_more_is_held_of_a_longer_run(runs, name):
    analysis, most = ANALYSES[name]
    for run in runs.values():
        run.plane = through(run)
    analysis(runs[6])  # loads what is loaded once
    few, many = (held(analysis, run) for run in runs.values())
    assert many < most
    assert many < few + 0.6


def test_blocks_change_no_number_but_by_rounding(runs, monkeypatch):
    run = runs[6]
    plane, path = ls.pca_plane(run), ls.project(run, through(run))
    monkeypatch.setattr("landscape.base.blocks.BLOCK", 2**30)
    monkeypatch.setattr("landscape.analysis.planes.pca._LEAST", 2**30)
    whole, other = ls.pca_plane(run), ls.project(run, through(run))
    np.testing.assert_allclose(plane.directions, whole.directions, atol=1e-9)
    np.testing.assert_allclose(plane.gram, whole.gram, atol=1e-9)
    np.testing.assert_allclose(path.coordinates, other.coordinates, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(path.residual, other.residual, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("types", [(np.float32,) * 3, (np.float32, np.float64, np.float64)])
def test_differences_are_those_in_double_precision_rounded_once(types):
    generator = np.random.default_rng(0)
    a, b, c = (generator.normal(size=30_000).astype(kind) for kind in types)
    wide = [end.astype(np.float64) - a for end in (b, c)]
    plane = ls.plane_through(a, b, c)
    assert np.array_equal(plane.directions, np.stack(wide).astype(np.float32))
    assert np.array_equal(ls.line_between(a, b).directions[0], wide[0].astype(np.float32))
    across = ls.plane_through(a, b, c, axes="orthonormal")
    expected = np.linalg.qr(np.stack(wide).T)[0].T
    expected *= np.sign(np.einsum("kp,kp->k", expected, np.stack(wide)))[:, None]
    np.testing.assert_allclose(across.directions, expected, atol=1e-8)
