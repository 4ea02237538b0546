"""Directions: normalization, principal components, Gram matrices, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import random_walk, vector_layout, write_run
from torch import nn

import landscape as ls
from landscape.analysis.planes.pca import random_walk_shares
from landscape.base.layout import Entry

# Directions are stored in float32: relative rounding 6e-8, some of it accumulated in norms.
SINGLE = 1e-6


@pytest.fixture(scope="module")
def network():
    """Convolution, transposed convolution, norm, linear: every kind of filter."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 5, 3),
        nn.BatchNorm2d(5),
        nn.ConvTranspose2d(5, 4, (2, 3)),
        nn.Flatten(),
        nn.Linear(4, 6),
        nn.LayerNorm(6),
    )
    layout = ls.Layout.of(model)
    vector = torch.cat([p.detach().reshape(-1) for p in model.parameters()]).numpy()
    return layout, vector


def filters(layout: ls.Layout, vector: np.ndarray) -> dict[str, np.ndarray]:
    """Every filter as a row, cut out by torch and independently of the package."""
    axis = {"2.weight": 1}  # (in, out, height, width)
    found = {}
    for entry in (e for e in layout if e.kind == "weight"):
        tensor = torch.from_numpy(vector[entry.slice].copy()).reshape(entry.shape)
        found[entry.name] = tensor.movedim(axis.get(entry.name, 0), 0).flatten(1).numpy()
    return found


def test_each_filter_of_a_direction_has_the_norm_of_the_origins_filter(network):
    layout, vector = network
    plane = ls.random_plane(vector, layout, seed=3)
    wanted = filters(layout, vector)
    for direction in plane.directions:
        for name, count in {"0.weight": 5, "2.weight": 4, "4.weight": 6}.items():
            norms = np.linalg.norm(filters(layout, direction)[name], axis=1)
            assert len(norms) == count
            np.testing.assert_allclose(norms, np.linalg.norm(wanted[name], axis=1), rtol=SINGLE)


def test_biases_and_norm_parameters_are_zero_by_default(network):
    layout, vector = network
    plane = ls.random_plane(vector, layout)
    zero = {e.name: not plane.directions[:, e.slice].any() for e in layout}
    assert {name for name, is_zero in zero.items() if is_zero} == {
        "0.bias", "1.weight", "1.bias", "2.bias", "4.bias", "5.weight", "5.bias",
    }  # fmt: skip
    assert plane.settings["ignored"] == ["bias", "norm"]
    assert plane.settings["normalization"] == "filter"
    everything = ls.random_plane(vector, layout, ignore=())
    norm = next(e for e in layout if e.name == "1.weight")
    # One-element filters: the direction is ± the weight itself.
    np.testing.assert_allclose(
        np.abs(everything.directions[:, norm.slice]), np.abs(vector[norm.slice])[None].repeat(2, 0)
    )


def test_layers_are_normalized_as_a_whole_when_asked(network):
    layout, vector = network
    line = ls.random_line(vector, layout, normalization="layer")
    for e in (e for e in layout if e.kind == "weight"):
        ratio = np.linalg.norm(line.directions[0, e.slice]) / np.linalg.norm(vector[e.slice])
        assert ratio == pytest.approx(1, rel=SINGLE)


def test_near_zero_filters_do_not_blow_up():
    layout = ls.Layout((Entry("w", (3, 1000), 0, "weight"),))
    origin = np.ones((3, 1000), np.float32)
    origin[1] *= 1e-30
    origin[2] = 0
    line = ls.random_line(origin.reshape(-1), layout)
    norms = np.linalg.norm(line.directions[0].reshape(3, 1000).astype(np.float64), axis=1)
    np.testing.assert_allclose(norms, [1000**0.5, 1000**0.5 * 1e-30, 0], rtol=SINGLE)


def test_random_directions_are_nearly_orthogonal_and_depend_on_the_seed_only():
    vector = np.ones(10_000, np.float32)
    planes = [ls.random_plane(vector, vector_layout(10_000), seed=s) for s in (0, 0, 1)]
    np.testing.assert_array_equal(planes[0].directions, planes[1].directions)
    assert not np.array_equal(planes[0].directions, planes[2].directions)
    gram = planes[0].gram
    # The cosine of independent directions has standard deviation 1/√D = .01.
    assert abs(gram[0, 1]) / np.sqrt(gram[0, 0] * gram[1, 1]) < 0.05


@pytest.mark.parametrize("origin", ["mean", "initial", "final"])
@pytest.mark.parametrize("count", [1, 3])
def test_pca_is_numpys_svd_and_is_never_rescaled(tmp_path, origin, count):
    generator = np.random.default_rng(1)
    shape = (30, 200)
    start = generator.normal(size=shape[1])
    states = [
        (start + generator.normal(size=shape).cumsum(0) * np.linspace(1, 3, shape[1])).astype(
            np.float32
        )
        for _ in range(count)
    ]
    runs = [write_run(tmp_path / f"{i}.h5", s) for i, s in enumerate(states)]
    plane = ls.pca_plane(runs, origin=origin)
    together = np.concatenate(states).astype(np.float64)
    centre = {"mean": together.mean(0), "initial": states[0][0], "final": states[0][-1]}[origin]
    _, sigma, axes = np.linalg.svd(together - centre, full_matrices=False)
    np.testing.assert_allclose(plane.origin, centre, rtol=SINGLE, atol=SINGLE)
    cosines = np.einsum("kp,kp->k", plane.directions, axes[:2])
    np.testing.assert_allclose(np.abs(cosines), 1, rtol=SINGLE)
    np.testing.assert_allclose(plane.gram, np.eye(2), atol=SINGLE)
    # The share of the total squared distance from the plotted origin, over all components.
    np.testing.assert_allclose(plane.explained, sigma[:2] ** 2 / (sigma**2).sum(), rtol=SINGLE)
    assert plane.settings["normalization"] == "none"
    # Signs are fixed: the first run ends on the positive side of where it started.
    ends = [plane.coordinates(states[0][i].astype(np.float32))[0] for i in (0, -1)]
    assert (ends[1] >= ends[0]).all()


def test_explained_variance_of_a_random_walk_is_the_stored_null(tmp_path):
    # D = 10⁴ dimensions, T = 100 steps: shares to one percentage point.
    run = write_run(tmp_path / "walk.h5", random_walk(100, 10_000, seed=0))
    for origin in ("mean", "initial", "final"):
        plane = ls.pca_plane(run, origin=origin)
        assert plane.explained_null is not None
        np.testing.assert_allclose(plane.explained, plane.explained_null, atol=0.01)
        if origin == "mean":  # Antognini & Sohl-Dickstein 2018, in the limit
            np.testing.assert_allclose(plane.explained, [0.608, 0.152], atol=0.01)


def test_null_of_joint_runs(tmp_path):
    walks = [random_walk(60, 10_000, seed=s) for s in (1, 2)]
    runs = [write_run(tmp_path / f"{i}.h5", s) for i, s in enumerate(walks)]
    for origin in ("mean", "initial", "final"):
        plane = ls.pca_plane(runs, origin=origin)
        assert plane.explained_null is not None
        np.testing.assert_allclose(plane.explained, plane.explained_null, atol=0.01)


def test_a_longer_run_counts_no_more_when_runs_count_the_same(tmp_path):
    generator = np.random.default_rng(0)
    long, short = (generator.normal(size=(n, 40)).cumsum(0).astype(np.float32) for n in (60, 6))
    runs = [write_run(tmp_path / f"{len(s)}.h5", s) for s in (long, short)]
    plane = ls.pca_plane(runs, weight="runs", origin="mean")
    # Twin: repeat the short run until both have as many states.
    repeated = np.concatenate([long, np.repeat(short, 10, axis=0)]).astype(np.float64)
    centred = repeated - repeated.mean(0)
    _, sigma, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(plane.origin, repeated.mean(0), rtol=SINGLE, atol=SINGLE)
    np.testing.assert_allclose(
        np.abs(np.einsum("kp,kp->k", plane.directions, axes[:2])), 1, rtol=SINGLE
    )
    np.testing.assert_allclose(plane.explained, sigma[:2] ** 2 / (sigma**2).sum(), rtol=1e-5)
    assert plane.settings["weight"] == "runs"


def test_explained_of_each_run_alone(tmp_path):
    states = [random_walk(n, 30, seed=n) for n in (9, 14)]
    runs = [write_run(tmp_path / f"{i}.h5", s) for i, s in enumerate(states)]
    plane = ls.pca_plane(runs)
    for s, shares in zip(states, plane.settings["explained_per_run"], strict=True):
        inside = (s - plane.origin) @ plane.directions.T
        np.testing.assert_allclose(
            shares, (inside**2).sum(0) / ((s - plane.origin) ** 2).sum(), rtol=1e-4
        )


def test_null_of_runs_that_count_the_same(tmp_path):
    walks = [random_walk(n, 10_000, seed=n) for n in (90, 30)]
    runs = [write_run(tmp_path / f"{i}.h5", s) for i, s in enumerate(walks)]
    plane = ls.pca_plane(runs, weight="runs", origin="mean")
    np.testing.assert_allclose(plane.explained, plane.explained_null, atol=0.01)


def test_null_in_the_limit():
    # Antognini & Sohl-Dickstein 2018, eq. 13, and the half-integer series about an end point.
    for origin, share in (
        ("mean", lambda k: 6 / (np.pi * k) ** 2),
        ("initial", lambda k: 8 / (np.pi * (2 * k - 1)) ** 2),
        ("final", lambda k: 8 / (np.pi * (2 * k - 1)) ** 2),
    ):
        found = random_walk_shares([np.arange(300)], origin=origin)
        assert found.sum() == pytest.approx(1)
        # Corrections are of relative order 1/T.
        np.testing.assert_allclose(found[:3], share(np.arange(1, 4)), rtol=3 / 300)


def test_null_knows_that_states_were_skipped(tmp_path):
    walk = random_walk(200, 10_000, seed=4)
    kept = np.r_[0:20, 20:201:20]
    run = write_run(tmp_path / "skipped.h5", walk[kept], steps=kept.tolist())
    plane = ls.pca_plane(run, origin="mean")
    assert plane.explained_null is not None
    np.testing.assert_allclose(plane.explained, plane.explained_null, atol=0.01)


def test_long_runs_are_thinned_evenly_and_keep_their_ends(tmp_path):
    run = write_run(tmp_path / "long.h5", random_walk(100, 50, seed=0))
    plane = ls.pca_plane(run, max_states=11)
    assert plane.settings["states"] == 11
    np.testing.assert_array_equal(plane.origin, run.final)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    skew=st.floats(-0.98, 0.98),
    lengths=st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)),
)
def test_coordinates_on_skew_axes(seed, skew, lengths):
    generator = np.random.default_rng(seed)
    orthonormal = np.linalg.qr(generator.normal(size=(40, 3)))[0].T
    first = lengths[0] * orthonormal[0]
    second = lengths[1] * (skew * orthonormal[0] + np.sqrt(1 - skew**2) * orthonormal[1])
    origin = generator.normal(size=40)
    plane = ls.plane_through(
        *((origin + d).astype(np.float32) for d in (np.zeros(40), first, second))
    )
    a, b, off = generator.uniform(-2, 2, 3)
    point = origin + a * first + b * second + off * orthonormal[2]
    found, residual = plane.coordinates(point)
    # Float32 origin and directions, amplified by the condition of the axes (≤ 1 / (1 - skew²)
    # times the ratio of lengths to the size of the origin's entries).
    tolerance = 2e-5 / min(lengths) / (1 - skew**2) * (1 + max(lengths))
    np.testing.assert_allclose(found, [a, b], atol=tolerance)
    assert residual == pytest.approx(abs(off), abs=tolerance * max(lengths))


def test_three_points_lie_at_their_corners():
    points = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)
    plane = ls.plane_through(*points)
    for point, corner in zip(points, [(0, 0), (1, 0), (0, 1)], strict=True):
        found, residual = plane.coordinates(point)
        np.testing.assert_allclose(found, corner, atol=SINGLE)
        assert residual < 1e-5
    directions = (points[1:] - points[0]).astype(np.float64)
    np.testing.assert_allclose(plane.gram, directions @ directions.T, rtol=SINGLE)


def test_line_between_points():
    start, end = np.random.default_rng(0).normal(size=(2, 20)).astype(np.float32)
    line = ls.line_between(start, end)
    found, residual = line.coordinates(start + 0.25 * (end - start))
    assert found == pytest.approx([0.25], abs=SINGLE)
    assert residual < 1e-5


class TestRefused:
    def test_parallel_directions(self):
        a = np.zeros(5, np.float32)
        with pytest.raises(ValueError, match="parallel"):
            ls.plane_through(a, a + 1, a + 2)

    def test_equal_points(self):
        with pytest.raises(ValueError, match="zero or parallel"):
            ls.line_between(np.ones(5, np.float32), np.ones(5, np.float32))

    def test_points_of_different_models(self):
        with pytest.raises(ValueError, match="shapes"):
            ls.line_between(np.ones(5, np.float32), np.ones(6, np.float32))

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    @pytest.mark.parametrize("origin", ["mean", "final"])
    def test_a_run_that_diverged(self, tmp_path, bad, origin):
        states = random_walk(5, 8, seed=0)
        states[3:, 2] = bad
        with pytest.raises(ValueError, match=r"non-finite.*diverged"):
            ls.pca_plane(write_run(tmp_path / "bad.h5", states), origin=origin)

    def test_runs_of_different_models(self, tmp_path):
        runs = [write_run(tmp_path / f"{size}.h5", random_walk(5, size, seed=0)) for size in (8, 9)]
        with pytest.raises(ValueError, match=r"another model.*shape"):
            ls.pca_plane(runs)

    def test_too_few_states(self, tmp_path):
        with pytest.raises(ValueError, match="three states"):
            ls.pca_plane(write_run(tmp_path / "short.h5", random_walk(1, 8, seed=0)))

    def test_a_run_on_one_line(self, tmp_path):
        states = np.outer(np.arange(5), np.ones(8)).astype(np.float32)
        with pytest.raises(ValueError, match="one line"):
            ls.pca_plane(write_run(tmp_path / "line.h5", states))

    def test_no_run(self):
        with pytest.raises(ValueError, match="No run"):
            ls.pca_plane([])

    def test_unknown_options(self, tmp_path):
        vector, layout = np.ones(4, np.float32), vector_layout(4)
        with pytest.raises(ValueError, match="'filter', 'layer', 'gaussian', 'none'"):
            ls.random_plane(vector, layout, normalization="per tensor")
        with pytest.raises(ValueError, match="'mean', 'initial', 'final'"):
            ls.pca_plane(
                write_run(tmp_path / "w.h5", random_walk(5, 8, seed=0)),
                origin="median",
            )
        with pytest.raises(ValueError, match="'states', 'runs'"):
            ls.pca_plane(write_run(tmp_path / "v.h5", random_walk(5, 8, seed=0)), weight="steps")

    def test_origin_that_does_not_fit_the_layout(self):
        with pytest.raises(ValueError, match="layout asks"):
            ls.random_plane(np.ones(5, np.float32), vector_layout(4))


def test_an_objective_or_a_state_is_centre_enough(runs):
    model = nn.Linear(3, 2)
    objective = ls.Objective(model, lambda m, b: m(b[0]).square().mean(1), (torch.ones(4, 3),))
    short, long = (
        ls.random_plane(objective),
        ls.random_plane(objective.parameters(), objective.layout),
    )
    np.testing.assert_array_equal(short.directions, long.directions)
    np.testing.assert_array_equal(short.origin, long.origin)
    run = ls.Trajectory(runs["sgd"])
    np.testing.assert_array_equal(ls.random_line(run.final).origin, run.final)
    default = ls.loss_surface(objective, resolution=3, seed=4)
    given_ = ls.loss_surface(objective, ls.random_plane(objective, seed=4), resolution=3)
    np.testing.assert_array_equal(default.values, given_.values)
    assert default.settings["normalization"] == "filter"
    with pytest.raises(ValueError, match=r"plain array.*random_plane\(objective\)"):
        ls.random_plane(np.ones(3))
    with pytest.raises(ValueError, match=r"not around a Linear.*ls\.Objective"):
        ls.random_plane(model)
