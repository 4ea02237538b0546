"""A training loop and a measurement of a copy side by side give what each gives alone."""

from __future__ import annotations

import copy
import random
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import landscape as ls


def made():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Dropout(0.3), nn.Tanh(), nn.Linear(16, 3))
    return model, TensorDataset(torch.randn(64, 4), torch.arange(64) % 3)


def train(model, data, between):
    """Ten epochs that draw from torch, numpy and Python."""
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    seen = []
    for _ in range(10):
        for x, y in DataLoader(data, batch_size=16, shuffle=True):
            between()
            x = x + 0.1 * torch.from_numpy(np.random.normal(size=x.shape)).float()
            x = x if random.random() < 0.5 else -x
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
    return torch.cat([p.detach().flatten() for p in model.parameters()]), seen


def plain(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def differentiating(model, batch):
    x = batch[0].clone().requires_grad_()
    slope = torch.autograd.grad(model(x).square().sum(), x, create_graph=True)[0]
    return slope.square().sum(dim=1)


def drawing(model, batch):
    x = batch[0] + torch.randn_like(batch[0]) * np.random.rand() * random.random()
    return F.cross_entropy(F.dropout(model(x)), batch[1], reduction="none")


def measured(model, data, loss):
    # Read through a loader that shuffles, so that reading draws too.
    loader = DataLoader(data, batch_size=16)
    objective = ls.Objective(model, loss, loader, common_random_numbers=0, batch_size=16)
    plane = ls.random_plane(objective.parameters(), objective.layout)
    single = objective.at(objective.parameters()).mean
    return np.append(ls.loss_surface(objective, plane, resolution=3).loss, single)


@pytest.mark.parametrize("loss", [plain, differentiating, drawing])
@pytest.mark.parametrize("trains_in_the_main_thread", [True, False])
def test_training_is_bitwise_what_it_is_alone(loss, trains_in_the_main_thread):
    model, data = made()
    wanted_weights, wanted_losses = train(copy.deepcopy(model), data, lambda: None)
    wanted_surface = measured(copy.deepcopy(model), data, loss)
    meanwhile, over = threading.Event(), threading.Event()
    surfaces, trained = [], []

    def measures():
        while not over.is_set() or not surfaces:
            surfaces.append(measured(copy.deepcopy(model), data, loss))
            meanwhile.set()

    def trains():
        try:
            trained.extend(train(copy.deepcopy(model), data, lambda: meanwhile.wait(0.02)))
        finally:
            over.set()

    first, second = (measures, trains) if trains_in_the_main_thread else (trains, measures)
    other = threading.Thread(target=first)
    other.start()
    second()
    other.join()
    assert torch.equal(trained[0], wanted_weights)
    assert trained[1] == wanted_losses
    for surface in surfaces:
        np.testing.assert_array_equal(surface, wanted_surface)


def test_a_loader_that_shuffles_is_read_in_the_order_that_comes_next():
    (_, data), net = made(), nn.Linear(4, 3)
    torch.manual_seed(7)
    wanted = torch.cat([y for _, y in DataLoader(data, batch_size=16, shuffle=True)])
    torch.manual_seed(7)
    read = []

    def loss(model, batch):
        read.append(batch[1])
        return plain(model, batch)

    objective = ls.Objective(net, loss, DataLoader(data, batch_size=16, shuffle=True))
    after = torch.get_rng_state()
    objective.at(objective.parameters())
    assert torch.equal(read[-1], wanted)
    assert torch.equal(torch.get_rng_state(), after)


def test_models_that_share_a_layer_are_not_measured_at_once():
    shared = nn.Linear(2, 2, bias=False)
    before, inside, go_on = shared.weight.detach().clone(), threading.Event(), threading.Event()

    def slow(model, batch):
        inside.set()
        assert go_on.wait(30)
        return model(batch[0]).sum(dim=1)

    first = ls.Objective(nn.Sequential(shared, nn.Tanh()), slow, (torch.ones(8, 2),))
    second = ls.Objective(nn.Sequential(nn.ReLU(), shared), slow, (torch.ones(8, 2),))
    other = threading.Thread(target=first.at, args=(np.ones(4),))
    other.start()
    try:
        assert inside.wait(30)
        with pytest.raises(RuntimeError, match="shares with another"):
            second.at(np.ones(4))
    finally:
        go_on.set()
        other.join()
    assert second.at(np.ones(4)).mean[0, 0] == 4
    assert torch.equal(shared.weight, before)


def test_an_interrupted_look_gives_everything_back():
    critic = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    state = copy.deepcopy(critic.state_dict())
    model = nn.Linear(2, 3)
    before = [p.detach().clone() for p in model.parameters()]

    def loss(model, batch):
        critic(model(batch[0])).sum().backward()
        raise KeyboardInterrupt

    objective = ls.Objective(model, loss, (torch.randn(16, 2),))
    with pytest.raises(ls.Interrupted), torch.enable_grad():
        objective.at(np.ones(9))
    assert all(map(torch.equal, before, model.parameters()))
    assert all(torch.equal(t, state[name]) for name, t in critic.state_dict().items())
    assert all(p.grad is None for p in (*model.parameters(), *critic.parameters()))
    assert model.training
