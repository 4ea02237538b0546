"""Barriers of pairs: closed forms, the profile as a twin, counts of evaluations, paired errors."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import Point, bowl, write_run
from torch import nn

import landscape as ls

CENTRES = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0], [2.0, 3.0]])


def wells() -> ls.Objective:
    """Wells of depth 0 at ±1 along x, 1 high between them, and a quadratic along y."""

    def loss(model, batch):
        x, y = model.weight[0]
        return ((x**2 - 1) ** 2 + y**2).expand(len(batch[0]))

    return ls.Objective(Point(2), loss, (torch.ones(3),), precision="double")


def test_a_double_well_has_its_barrier_and_convex_lines_have_none():
    found = ls.barriers(wells(), [np.array([-1.0, 0]), np.array([1.0, 0])], resolution=5)
    for definition in ("frankle2020", "entezari2022"):
        np.testing.assert_allclose(found.height(definition), [1.0], rtol=1e-12)
        np.testing.assert_array_equal(found.place(definition), [0.5])
        np.testing.assert_array_equal(found.error(definition), [0.0])
    quadratic = ls.barriers(bowl(np.array([1.0, 2.0])), list(CENTRES), resolution=6)
    assert np.abs(quadratic.matrix("entezari2022")).max() < 1e-12
    # ½·4 at (2, 0) and 0 at the centre: the larger end lies 1 above the mean of both.
    assert quadratic.matrix("frankle2020")[0, 1] == pytest.approx(1.0, rel=1e-12)


def test_a_concave_line_is_refined_to_its_top_between_the_grid():
    top = bowl(np.array([-2.0]), centre=np.array([0.4]))  # -(θ - .4)²: chord from -.16 to -.36
    found = ls.barriers(top, [np.array([0.0]), np.array([1.0])], resolution=4)
    # Above the chord: α - α², at its largest at ½, which lies between two places of four.
    np.testing.assert_allclose(found.refined("entezari2022"), [0.25], rtol=1e-9)
    np.testing.assert_allclose(found.place("entezari2022"), [0.5], rtol=1e-9)
    assert found.height("entezari2022")[0] == pytest.approx(2 / 9)
    np.testing.assert_allclose(found.refined("frankle2020"), [0.26], rtol=1e-9)


def test_every_line_is_what_a_profile_measures_and_the_matrix_is_symmetric(small):
    objective, vectors = small
    found = ls.barriers(objective, vectors, resolution=9)
    lines = [ls.line_between(vectors[i], vectors[j]) for i, j in found.pair]
    twin = ls.loss_line(objective, lines, extent=(0, 1), resolution=9)
    np.testing.assert_allclose(found.values, twin.values, rtol=2e-6)
    for definition in ("frankle2020", "entezari2022"):
        np.testing.assert_allclose(
            found.height(definition), twin.barrier(definition), rtol=1e-5, atol=1e-6
        )
        square = found.matrix(definition, metric="error", refined=False)
        np.testing.assert_array_equal(square, square.T)
        assert not np.diag(square).any()
    np.testing.assert_allclose(
        found.ends(), [objective.at(v).mean[0, 0] for v in vectors], rtol=1e-6
    )


def test_networks_are_measured_once_and_lines_at_their_inner_places():
    calls = []

    def loss(model, batch):
        calls.append(1)
        return model.weight.square().sum().expand(len(batch[0]))

    objective = ls.Objective(Point(2), loss, (torch.ones(2),), strategy="sequential", batch_size=2)
    points = [row.astype(np.float32) for row in CENTRES]
    ls.barriers(objective, points, resolution=9)  # looks at the loss first
    counted = {}
    for resolution in (4, 9):
        calls.clear()
        found = ls.barriers(objective, points, resolution=resolution)
        counted[resolution] = len(calls)
        assert found.provenance["evaluations"] == 4 + 6 * (resolution - 2)
    assert counted == {r: 4 + 6 * (r - 2) for r in (4, 9)}


@pytest.fixture(scope="module")
def small():
    """A net on 60 samples that tells them apart, and three weights."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, generator=generator)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

    def loss(model, batch):
        return (model(batch[0])[:, 0] - batch[1]).square()

    def error(model, batch):
        return ((model(batch[0])[:, 0] > 0) != (batch[1] > 0)).float()

    data = (x, x.sum(1))
    objective = ls.Objective(model, loss, data, metrics={"error": error})
    draw = np.random.default_rng(0)
    vectors = [draw.standard_normal(21).astype(np.float32) for _ in range(3)]
    return objective, vectors


def test_errors_on_a_subset_are_those_of_differences(small):
    objective, vectors = small
    part = objective.subset(20, seed=1)
    found = ls.barriers(part, vectors[:2], resolution=5)
    for metric in (0, 1):
        name = part.names[metric]
        # The same from the values of single samples, written out.
        line = ls.line_between(*vectors[:2])
        at = part.restrict(line.origin, line.directions)
        each = at.paired(found.alpha[:, None]).each[metric]
        highest = int(np.argmax(each.mean(1) - (each[0] + each[-1]).mean() / 2))
        differences = each[highest] - (each[0] + each[-1]) / 2
        wanted = differences.std(ddof=1) / 20**0.5 * (1 - 20 / 60) ** 0.5
        np.testing.assert_allclose(found.error("frankle2020", metric=name), [wanted], rtol=1e-6)


def test_recorded_statistics_of_batch_norms_are_interpolated():
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(1))
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    objective = ls.Objective(model, lambda m, b: m(b[0]).square().mean(1), (x,))
    draw = np.random.default_rng(2)
    vectors = [draw.standard_normal(objective.layout.size).astype(np.float32) for _ in "ab"]
    size = objective.buffers_layout.size
    buffers = [np.full(size, 0.5, np.float32), np.full(size, 2.0, np.float32)]
    found = ls.barriers(objective, vectors, buffers=buffers, resolution=7)
    twin = ls.loss_line(
        objective, ls.line_between(*vectors), extent=(0, 1), resolution=7, buffers=[tuple(buffers)]
    )
    np.testing.assert_allclose(found.values, twin.values, rtol=1e-5)
    assert found.settings["buffers"] == "recorded, interpolated"


@pytest.mark.parametrize("samples", [None, 30])
def test_pairs_kept_in_a_folder_go_on_where_they_stopped(small, tmp_path, samples):
    """Pair by pair, on the whole data and on a subset, whose covariances are kept as well."""
    objective, vectors = small
    objective = objective if samples is None else objective.subset(samples)
    options = {"resolution": 5, "names": ["a", "b", "c"]}
    wanted = ls.barriers(objective, vectors, **options)
    passes, own = [], objective.problem.metrics["loss"].metric

    def stopping(model, batch):
        passes.append(1)
        if len(passes) == stop:
            raise KeyboardInterrupt
        return own(model, batch)

    metrics = {"loss": replace(objective.problem.metrics["loss"], metric=stopping)}
    measured = copy.copy(objective)
    measured.problem = replace(objective.problem, metrics={**objective.problem.metrics, **metrics})
    stop, units = 10**6, tmp_path / "u"
    ls.barriers(measured, vectors, **options)  # what losses do is looked at before they are stopped
    passes.clear()
    whole = ls.barriers(measured, vectors, units=tmp_path / "whole", **options)
    stop = len(passes) * 3 // 2  # in the second of three pairs
    with pytest.raises(KeyboardInterrupt):
        ls.barriers(measured, vectors, units=units, **options)
    done = {path: path.stat().st_mtime_ns for path in units.glob("unit-*")}
    assert len(done) == 1
    found = ls.barriers(measured, vectors, units=units, **options)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    for result in (whole, found):
        np.testing.assert_allclose(result.values, wanted.values, rtol=1e-6)
        np.testing.assert_allclose(result.covariance, wanted.covariance, rtol=1e-5, atol=1e-12)
        assert result.settings == wanted.settings
    with pytest.raises(ValueError, match="another measurement"):
        ls.barriers(measured, vectors[::-1], units=units, **options)


def test_an_alignment_moves_the_second_network_only(small):
    objective, vectors = small

    class Aligned:
        vector, buffers = vectors[0] * (1 + 1e-7), None

    def onto_the_first(objective, a, b):
        return Aligned

    found = ls.barriers(objective, vectors[:2], resolution=5, align=onto_the_first)
    inner = found.values[0, :, 1:-1]
    np.testing.assert_allclose(inner, np.repeat(inner[:, :1], 3, axis=1), rtol=1e-5)
    assert found.settings["alignment"] == "given, each pair by itself"


def test_a_network_has_no_barrier_to_its_own_permutation(small):
    objective, vectors = small
    order = np.array([2, 0, 3, 1])
    weight, bias, out, last = np.split(vectors[0], [12, 16, 20])
    turned = np.concatenate([weight.reshape(4, 3)[order].ravel(), bias[order], out[order], last])
    naive = ls.barriers(objective, [vectors[0], turned], resolution=7)
    found = ls.barriers(objective, [vectors[0], turned], resolution=7, align="weights")
    assert np.ptp(naive.values[0, 0]) > 0.1
    assert np.ptp(found.values[0, 0]) < 1e-6 * found.ends()[0]
    assert found.height("entezari2022")[0] < 1e-6 * found.ends()[0]
    assert found.settings["alignment"] == "weights, each pair by itself"


def test_it_is_saved_with_its_names(tmp_path, small):
    objective, vectors = small
    found = ls.barriers(objective, vectors, names=("a", "b", "c"), resolution=4)
    found.save(tmp_path / "r.h5", "barriers")
    again = ls.load_results(tmp_path / "r.h5")["barriers"]
    assert again.names == ("a", "b", "c")
    np.testing.assert_array_equal(again.matrix("entezari2022"), found.matrix("entezari2022"))


def test_runs_bring_their_names_and_last_states(tmp_path):
    runs = [
        write_run(tmp_path / f"{n}.h5", np.stack([c * 0, c]).astype(np.float32), name=n)
        for n, c in zip("ab", CENTRES[1:3], strict=True)
    ]
    found = ls.barriers(bowl(np.array([1.0, 1.0])), runs, resolution=3)
    assert found.names == ("a", "b")
    np.testing.assert_allclose(found.ends(), [2.0, 4.5])


def test_what_makes_no_barriers_is_refused(small):
    objective, vectors = small
    with pytest.raises(ValueError, match="at least two networks"):
        ls.barriers(objective, vectors[:1])
    with pytest.raises(ValueError, match="at least 3; got 2"):
        ls.barriers(objective, vectors, resolution=2)
    with pytest.raises(ValueError, match="one name for each"):
        ls.barriers(objective, vectors, names=("a",))
    found = ls.barriers(objective, vectors, resolution=3)
    with pytest.raises(ValueError, match="frankle2020"):
        found.height("highest")
    with pytest.raises(ValueError, match="loss, error"):
        found.height("frankle2020", metric="accuracy")
