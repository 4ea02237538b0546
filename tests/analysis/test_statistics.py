"""Whose batch-norm statistics a measurement uses: said on every result, warned of where foreign."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.explorer.notes import notes_on

DATA = torch.randn(32, 3, generator=torch.Generator().manual_seed(0))


def net():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def loss(model, batch):
    return (model(batch[0]) - batch[0][:, :1]).square().mean(dim=1)


def measured(model, **options):
    return ls.Objective(model, loss, (DATA,), **options)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Two runs from one start, and the model that the first one trained."""
    folder, made = tmp_path_factory.mktemp("statistics"), []
    for name, lr in (("slow", 0.02), ("fast", 0.2)):
        torch.manual_seed(0)
        model = net()
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        file = folder / f"{name}.h5"
        with ls.Recorder(file, model, optimizer, run={"name": name}):
            for _ in range(4):
                optimizer.zero_grad()
                loss(model, (DATA,)).mean().backward()
                optimizer.step()
        made.append((ls.Trajectory(file), model))
    (slow, model), (fast, _) = made
    return slow, fast, model


def ways(objective, slow, fast):
    """Everything that measures around recorded states and takes the model's statistics."""
    joint, own = ls.pca_plane([slow, fast]), ls.pca_plane(slow)
    line = ls.random_line(slow.final, objective.layout)
    eigen = {"top": 1, "bottom": 0, "tolerance": 0.1}
    return {
        "surface": lambda: ls.loss_surface(objective, own, resolution=2),
        "joint surface": lambda: ls.loss_surface(objective, joint, resolution=2),
        "tolerance": lambda: ls.loss_surface(objective, own, resolution=3, tolerance=0.5),
        "random plane": lambda: ls.loss_surface(
            objective, ls.random_plane(slow.final, objective.layout), resolution=2
        ),
        "through": lambda: ls.loss_surface(
            objective, ls.plane_through(slow.final, 1 * fast.final, 1 * fast.initial), resolution=2
        ),
        "line": lambda: ls.loss_line(objective, line, resolution=2),
        "lines": lambda: ls.loss_line(objective, [line, line], resolution=2),
        "projection": lambda: ls.project(slow, own, objective=objective),
        "joint projection": lambda: ls.project(slow, joint, objective=objective),
        "spectrum": lambda: ls.hessian_spectrum(objective, slow.final, **eigen),
        "trace": lambda: ls.hessian_trace(objective, slow.final, probes=2),
        "density": lambda: ls.spectral_density(objective, slow.final, runs=1, steps=2),
        "curvature map": lambda: ls.curvature_map(objective, own, resolution=2, tolerance=0.1),
    }


WAYS = [
    "surface", "joint surface", "tolerance", "random plane", "through", "line", "lines",
    "projection", "joint projection", "spectrum", "trace", "density", "curvature map",
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_the_runs_own_statistics_are_named_and_others_warned_of(recorded, way):
    slow, fast, model = recorded
    own = ways(measured(model), slow, fast)
    assert list(own) == WAYS
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The plane shows")
        assert own[way]().settings["statistics"] == "slow, step 4"
        torch.manual_seed(1)
        with pytest.warns(UserWarning, match=r"batch-norm statistics.*(ls\.restore|buffers=)"):
            result = ways(measured(net()), slow, fast)[way]()
        assert result.settings.get("statistics") in ("another state", None)
        for policy in ("recalibrated", "batch"):
            if way in ("surface", "line"):
                told = ways(measured(net(), batch_norm=policy), slow, fast)[way]().settings
                assert "statistics" not in told


def test_statistics_that_are_given_are_meant(recorded):
    slow, _, _ = recorded
    plane, objective = ls.pca_plane(slow), measured(net())
    surface = ls.loss_surface(objective, plane, resolution=3, buffers=slow.buffers(-1))
    assert surface.settings["statistics"] == "slow, step 4"
    other = ls.loss_surface(objective, plane, resolution=3, buffers=slow.buffers(2))
    assert "statistics" not in other.settings
    ends = [(slow.buffers(0), slow.buffers(-1))]
    line = ls.line_between(slow.initial, slow.final)
    profile = ls.loss_line(objective, line, extent=(0, 1), resolution=2, buffers=ends)
    own = ls.walk(objective, slow)
    np.testing.assert_allclose(profile.loss[0, 0], own.values[0, 0, 0], rtol=1e-6)


def test_networks_of_several_runs(recorded):
    slow, fast, model = recorded
    objective = measured(model)
    told = ls.barriers(objective, [slow, fast], resolution=3).settings
    assert told["buffers"] == "recorded, interpolated"
    with pytest.warns(UserWarning, match=r"\(fast, step 4 had others\).*pass the runs themselves"):
        ls.barriers(objective, [slow.final, fast.final], resolution=3)
    with pytest.warns(UserWarning, match=r"\(fast, step 4 had others\).*recalibrated"):
        ls.greedy_soup(objective, [slow.final, fast.final])
    both = [slow.buffers(-1), fast.buffers(-1)]
    ls.barriers(objective, [slow.final, fast.final], buffers=both, resolution=3)


def test_each_of_several_networks_has_its_own(recorded):
    slow, fast, model = recorded
    other = net()
    ls.restore(other, fast)
    one, two = measured(model), measured(other)
    a, b = one.parameters(), two.parameters()
    for line in (ls.line_between(a, b), ls.line_between(slow.final, fast.final)):
        with pytest.warns(UserWarning, match="buffers= of both ends"):
            profile = ls.loss_line(one, line, extent=(0, 1), resolution=2)
        assert profile.loss[0, 0] == pytest.approx(one.at(a).mean.item())
        assert profile.loss[0, 1] != pytest.approx(two.at(b).mean.item(), rel=1e-3)
        ends = [(slow.buffers(-1), fast.buffers(-1))]
        profile = ls.loss_line(one, line, extent=(0, 1), resolution=2, buffers=ends)
        assert profile.loss[0, 1] == pytest.approx(two.at(b).mean.item())
    with pytest.warns(UserWarning, match="recalibrated"):
        ls.loss_surface(one, ls.plane_through(a, b, slow.initial), resolution=2)
    ls.loss_surface(measured(model, batch_norm="batch"), ls.plane_through(a, b, slow.initial),
                    resolution=2)  # fmt: skip
    ls.loss_line(one, ls.line_along(a, np.asarray(b) - np.asarray(a)), resolution=2)


def test_a_file_keeps_what_a_plane_was_made_from(recorded, tmp_path):
    slow, fast, model = recorded
    ls.pca_plane([slow, fast]).save(tmp_path / "plane.h5", "plane/pca")
    plane = ls.load_results(tmp_path / "plane.h5")["plane/pca"]
    before = ls.loss_surface(measured(model), plane, resolution=2)
    assert before.settings["statistics"] == "slow, step 4"
    torch.manual_seed(2)
    with pytest.warns(UserWarning, match="slow, step 4; fast, step 4"):
        ls.loss_surface(measured(net()), plane, resolution=2)
    # What earlier versions left unfinished is gone on with: the buffers' hash tells it apart.
    older = {k: v for k, v in before.settings.items() if k != "statistics"}
    assert before.differences(type(before)(**{**vars(before), "settings": older})) == ""


def test_pictures_of_several_runs_say_whose(recorded):
    slow, fast, model = recorded
    objective = measured(model)
    for plane in (ls.pca_plane([slow, fast]), ls.random_plane(objective)):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The plane shows")
            paths = [ls.project(run, plane, objective=objective) for run in (slow, fast)]
        surface = ls.loss_surface(objective, plane, resolution=3)
        pictures = ls.plot(surface, *paths)
        said = "batch norm frozen, statistics of slow, step 4"
        above = pictures[0].axes[0].get_title(loc="left").replace("\n", " ")
        assert said in above
        assert "running statistics of slow, step 4" in pictures.sentences[0]
        assert said in ls.figure(surface, paths=paths).layout.title.text
        notes = dict(notes_on(surface, [(path.name, path) for path in paths]))
        assert notes["Batch norm"] == "Running statistics are everywhere those of slow, step 4."


def test_vectors_of_another_order_are_matched_where_curvature_is_measured(tmp_path):
    class Turned(nn.Module):
        def __init__(self, first):
            super().__init__()
            for name in ("a", "b") if first == "a" else ("b", "a"):
                self.register_module(name, nn.Linear(2, 2, bias=name == "a"))

        def forward(self, x):
            return self.b(torch.tanh(self.a(x)))

    def square(model, batch):
        return model(batch[0]).square().mean(dim=1)

    torch.manual_seed(0)
    one, other, x = Turned("a"), Turned("b"), torch.randn(8, 2)
    other.load_state_dict(one.state_dict())
    of = [ls.Objective(model, square, (x,)) for model in (one, other)]
    vector = of[0].parameters()
    for measure in (ls.hessian_spectrum, ls.hessian_trace, ls.spectral_density):
        mine, turned = (measure(objective, vector) for objective in of)
        if measure is ls.hessian_spectrum:
            np.testing.assert_allclose(mine.value, turned.value, atol=1e-4)
        elif measure is ls.hessian_trace:
            np.testing.assert_allclose(mine.value, turned.value, rtol=1e-3)
