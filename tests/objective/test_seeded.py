"""Random directions that are kept as a recipe, and weights that come and go module by module."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import landscape as ls
from landscape.analysis.planes.normalization import NORMS
from landscape.base.layout import Entry
from landscape.objective.vectors.known import vectors_of
from landscape.objective.vectors.philox import normals, philox
from landscape.objective.vectors.recipes import filters_of
from landscape.objective.vectors.seeded import SeededVector

CPU = torch.device("cpu")


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.LayerNorm(48), nn.Linear(48, 5)
    )


def per_sample(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def data(n=12):
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(n, 2, 6, 6, generator=generator),
        torch.randint(5, (n,), generator=generator),
    )


def test_the_counter_is_that_of_numpy():
    for key in [(1, 2), (2**64 - 1, 2**63 + 12345)]:
        bits = np.random.Philox(
            key=np.array(key, np.uint64), counter=np.array([2**40, 0, 0, 0], np.uint64)
        )
        wanted = bits.random_raw(44)
        found = philox(key, 2**40, 11, CPU).numpy().view(np.uint64)
        assert np.array_equal(found, wanted)


def test_frozen_numbers():
    found = normals((0x0123456789ABCDEF, 0xFEDCBA9876543210), 13, 6, CPU)
    assert (found * 4096).int().tolist() == FROZEN


def test_numbers_are_normal():
    drawn = normals((3, 4), 0, 2**18, CPU).double().numpy()
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.var() - 1) < 0.01
    assert abs((drawn**4).mean() - 3) < 0.06
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.01


FROZEN = [281, -3469, -3264, -1199, 193, 3929]


@pytest.mark.parametrize("normalization", ["filter", "layer", "gaussian", "none"])
def test_any_part_of_a_direction_is_the_same_alone(normalization):
    objective = ls.Objective(net(), per_sample, data())
    plane = ls.random_plane(objective, stored=False, normalization=normalization, ignore=())
    origin, vectors = vectors_of(plane, objective.problem)
    assert origin is None
    for entry in objective.layout:
        rows = entry.shape[0]
        whole = vectors[1].tensor(entry, slice(0, rows), CPU)
        again = vectors_of(plane, objective.problem)[1][1]
        for row in reversed(range(rows)):
            assert torch.equal(again.tensor(entry, slice(row, row + 1), CPU), whole[row : row + 1])


def test_normalized_as_it_says():
    objective = ls.Objective(net(), per_sample, data())
    theta, layout = np.asarray(objective.parameters()), objective.layout
    for normalization in ("filter", "layer", "gaussian"):
        plane = ls.random_plane(objective, stored=False, normalization=normalization)
        held = objective.along(plane).family.held(objective.problem)
        rows = held.directions.double().numpy()
        assert np.allclose(rows @ rows.T, plane.gram, rtol=1e-9)
        for row in rows:
            if normalization == "gaussian":
                moved = theta[row != 0]
                assert np.linalg.norm(row) == pytest.approx(np.linalg.norm(moved), rel=1e-5)
            for entry in layout:
                if entry.kind != "weight":
                    assert not row[entry.slice].any()
                elif normalization == "filter":
                    wanted = layout.filter_norms(entry, theta)
                    assert np.allclose(layout.filter_norms(entry, row), wanted, rtol=1e-6)
                elif normalization == "layer":
                    norm = np.linalg.norm(theta[entry.slice])
                    assert np.linalg.norm(row[entry.slice]) == pytest.approx(norm, rel=1e-6)


def test_a_norm_of_whole_vectors_is_refused_where_none_is_whole(monkeypatch):
    """A new norm works for held directions at once; it is never taken for another one."""
    monkeypatch.setitem(NORMS, "entry", lambda _, e, v: np.abs(v[e.slice]).reshape(e.shape))
    objective = ls.Objective(net(), per_sample, data())
    held = ls.random_plane(objective, normalization="entry", ignore=())
    origin = np.abs(np.asarray(held.origin))
    moved = held.directions[0] != 0
    assert np.allclose(np.abs(held.directions[0])[moved], origin[moved], rtol=1e-6)
    with pytest.raises(ValueError, match="stored=True"):
        ls.random_plane(objective, normalization="entry", stored=False)


def test_select_moves_only_what_it_finds():
    objective = ls.Objective(net(), per_sample, data())
    for stored in (True, False):
        plane = ls.random_plane(objective, stored=stored, select=r"^4\.")
        held = objective.along(plane).family.held(objective.problem)
        moved = {e.name for e in objective.layout if held.directions[0][e.slice].any()}
        assert moved == {"4.weight"}
    with pytest.raises(ValueError, match="no tensor to move"):
        ls.random_plane(objective, stored=False, select="nothing")


def test_a_recipe_is_small_and_comes_back(tmp_path):
    objective = ls.Objective(net(), per_sample, data())
    plane = ls.random_plane(objective, stored=False, seed=3)
    plane.save(tmp_path / "a.results.h5", "plane")
    again = ls.SeededPlane.load(tmp_path / "a.results.h5", "plane")
    assert again.digest == plane.digest
    wanted = ls.loss_surface(objective, plane, resolution=3).values
    assert np.array_equal(ls.loss_surface(objective, again, resolution=3).values, wanted)


def test_a_recipe_knows_its_origin_and_its_directions():
    model = net()
    objective = ls.Objective(model, per_sample, data())
    plane = ls.random_plane(objective, stored=False)
    with torch.no_grad():
        model[0].weight.add_(1e-3)
    with pytest.raises(ValueError, match="are not those around which"):
        ls.loss_surface(objective, plane, resolution=3)
    with pytest.raises(ValueError, match="stored=False"):
        ls.random_plane(objective.parameters(), objective.layout, stored=False)


def test_mean_and_band_over_several_planes_and_lines():
    objective = ls.Objective(net(), per_sample, data())
    planes = [ls.random_plane(objective, seed=5 + k) for k in range(3)]
    each = np.stack([ls.loss_surface(objective, p, resolution=3).loss for p in planes])
    found = ls.loss_surface(objective, directions=3, seed=5, resolution=3)
    assert found.metrics == ("loss", "loss, 10 %", "loss, 90 %")
    assert np.allclose(found.values, [each.mean(0), *np.quantile(each, (0.1, 0.9), axis=0)])
    assert np.allclose(found.standard_error[0], each.std(0, ddof=1) / 3**0.5)
    lines = ls.loss_line(objective, directions=4, resolution=3)
    assert lines.loss.shape == (4, 3)
    assert lines.settings["seed"] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="and not both"):
        ls.loss_line(objective)
    with pytest.raises(ValueError, match="makes its own planes"):
        ls.loss_surface(objective, planes[0], directions=3)


@pytest.mark.parametrize("normalization", ["filter", "layer", "gaussian", "none"])
@pytest.mark.parametrize("axis", [0, 1])
def test_runs_of_rows_together_have_the_bits_of_each(normalization, axis):
    entry = Entry("w", (90, 24), 0, "weight", axis)
    other = Entry("v", (7,), 90 * 24, "weight")
    norms = {
        e.name: np.full(filters_of(e) if normalization == "filter" else (), 2.0)
        for e in (entry, other)
        if normalization != "none"
    }
    moved = {"w": entry, "v": other}
    rows = [slice(3, 4), slice(8, 9), slice(40, 44), slice(89, 90)]
    for known in (False, True):
        vector = SeededVector(5 + known, 1, moved, normalization, norms)
        if known:
            vector.tensor(entry, slice(0, 90), torch.device("cpu"))
        together = vector.runs(entry, rows, torch.device("cpu"))
        alone = [vector.tensor(entry, run, torch.device("cpu")) for run in rows]
        assert torch.equal(together, torch.cat(alone))
    still = Entry("still", (9, 24), 0, "weight")
    assert not vector.runs(still, [slice(0, 1), slice(4, 6)], torch.device("cpu")).any()
