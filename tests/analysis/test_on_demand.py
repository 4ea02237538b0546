"""What is asked for on a plane: coarse first, the numbers of a surface, given up at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import landscape as ls
from landscape.analysis.on_demand import Request, measured_on_demand


@pytest.fixture(scope="module")
def asked():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = torch.randn(32, 3)
    calls = []

    def loss(model, batch):
        calls.append(1)
        return (model(batch[0]) - batch[1]).square().mean(dim=1)

    objective = ls.Objective(model, loss, (x, x[:, :1]))
    return model, objective, ls.random_plane(objective), calls


def test_a_region_is_the_surface_that_loss_surface_measures(asked):
    model, objective, plane, _ = asked
    before = [p.detach().clone() for p in model.parameters()]
    request = Request("surface", (-0.5, 1.0, 0.0, 0.7), 12)
    found = list(measured_on_demand(objective, plane, request))
    assert [surface.values.shape for surface in found] == [(1, n, n) for n in (4, 7, 13)]
    whole = ls.loss_surface(objective, plane, extent=(-0.5, 1.0, 0.0, 0.7), resolution=13)
    for surface, stride in zip(found, (4, 2, 1), strict=True):
        np.testing.assert_allclose(surface.loss, whole.loss[::stride, ::stride], rtol=1e-5)
        assert surface.computed.all()
    assert not found[-1].differences(whole)
    for old, new in zip(before, model.parameters(), strict=True):
        assert torch.equal(old, new)


def test_a_slice_and_a_point(asked):
    _, objective, plane, _ = asked
    found = list(measured_on_demand(objective, plane, Request("slice", (-1, 0, 1, 0.5), 9)))
    assert [len(profile.alpha) for profile in found] == [3, 5, 9]
    theta = plane.origin + 0.5 * plane.directions[0] + 0.375 * plane.directions[1]
    (point,) = measured_on_demand(objective, plane, Request("point", (0.5, 0.375)))
    exact = objective.at(theta).mean[0, 0]
    assert found[-1].settings["asked"] == "slice"
    np.testing.assert_allclose([found[-1].loss[0, 6], point.loss[0, 0]], exact, rtol=1e-5)


def test_what_was_given_up_costs_nothing_more(asked):
    _, objective, plane, calls = asked
    list(measured_on_demand(objective, plane, Request("point", (0, 0))))
    calls.clear()
    for _ in range(100):
        found = measured_on_demand(
            objective, plane, Request("surface", (-1, 1, -1, 1)), cancelled=lambda: True
        )
        assert list(found) == []
    assert not calls
    stages = measured_on_demand(objective, plane, Request("surface", (-1, 1, -1, 1)))
    next(stages)
    made = len(calls)
    stages.close()
    assert len(calls) == made


@pytest.mark.parametrize(("given", "why"), [
    ({}, "no request"), ({"kind": "volume", "place": [1]}, "kind must be one of"),
    ({"kind": "point", "place": [1]}, "A point is 2 numbers"),
    ({"kind": "point", "place": [1, float("nan")]}, "A point is 2 numbers"),
    ({"kind": "point", "place": None}, "no request"),
    ({"kind": "surface", "place": [1, 1, 0, 1]}, "is empty"),
    ({"kind": "slice", "place": [1, 2, 1, 2]}, "one point"),
    ({"kind": "surface", "place": [0, 1, 0, 1], "resolution": 1e9}, "resolution must be 5 to 201"),
    ({"kind": "surface", "place": [0, 1, 0, 1], "resolution": float("inf")}, "no request"),
])  # fmt: skip
def test_what_is_no_request_is_refused(given, why):
    with pytest.raises(ValueError, match=why):
        Request.of(given)
