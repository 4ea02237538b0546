"""A loss that calls another model than the one that it is given is refused, never flat."""

import copy
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import landscape as ls

X, Y = torch.randn(12, 6, generator=torch.Generator().manual_seed(0)), torch.arange(12) % 3
STRATEGIES = (None, "sequential", "streamed")


def net(norm=False):
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8) if norm else nn.Tanh(), nn.Linear(8, 3))


def objective(model, called, strategy, loss=F.cross_entropy):
    def measure(given, batch):
        return loss((called or given)(batch[0]), batch[1])

    return ls.Objective(model, measure, (X, Y), strategy=strategy)


def surface(objective):
    return ls.loss_surface(objective, ls.random_plane(objective, seed=0), resolution=3)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("copied", [False, True])
def test_another_model_is_refused(strategy, norm, copied):
    model = net(norm).eval()
    other = copy.deepcopy(model) if copied else net(norm).eval()
    with pytest.raises(ValueError, match="reads none of the model's trainable weights"):
        surface(objective(model, other, strategy))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_offloaded_model_that_the_loss_closes_over_is_refused(strategy):
    offloaded = pytest.importorskip("accelerate").cpu_offload(net())
    model = ls.onloaded(offloaded)
    wanted = "of the model's trainable weights|strategy 'streamed'"
    with pytest.raises(ValueError, match=wanted):
        surface(objective(model, offloaded, strategy))
    with pytest.raises(ValueError, match=wanted):
        objective(model, offloaded, strategy).at(objective(model, None, None).parameters())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_lent_model_itself_may_be_closed_over(strategy):
    model = net()
    closed = surface(objective(model, model, strategy))
    np.testing.assert_array_equal(closed.loss, surface(objective(model, None, strategy)).loss)
    assert np.ptp(closed.loss) > 0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_another_model_beside_the_given_one_is_measured_with_it(strategy):
    model, teacher = net(), net()

    def distil(given, batch):
        return F.mse_loss(given(batch[0]), teacher(batch[0]).detach())

    assert np.ptp(surface(ls.Objective(model, distil, (X, Y), strategy=strategy)).loss) > 0


def test_it_is_said_what_to_do():
    with pytest.raises(ValueError, match=re.escape("than the one that it is given")):
        surface(objective(net(), net(), "streamed"))
