"""Losses that strangers write."""

from __future__ import annotations

import copy
import math
import random
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, hessian, jacrev, vmap
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import landscape as ls
from strangers.situation import Verdict, measures, refuses, situation


def net(inputs: int = 3, outputs: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))


@situation("losses", "cross-entropy, one value per sample")
def cross_entropy_of_samples(folder: Path) -> Verdict:
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    x, y = torch.randn(48, 5), torch.randint(3, (48,))

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return F.cross_entropy(model(batch[0]), batch[1], reduction="none")

    return measures(model, loss, (x, y), loss(model, (x, y)).mean())


@situation("losses that differentiate", "a second-order equation, u'' + u = 0")
def second_order_equation(folder: Path) -> Verdict:
    model, t = net(1), torch.linspace(0, 3, 40)[:, None]

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        s = batch[0].detach().requires_grad_()
        u = model(s)
        du = torch.autograd.grad(u.sum(), s, create_graph=True)[0]
        ddu = torch.autograd.grad(du.sum(), s, create_graph=True)[0]
        return (ddu + u).square().sum(dim=1)

    return measures(model, loss, (t,), loss(model, (t,)).mean(), relative=1e-4)


@situation("losses that differentiate", "forces are computed in forward")
def forces_in_forward(folder: Path) -> Verdict:
    class Potential(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.energy = net(6)

        def forward(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            positions = positions.clone().requires_grad_(True)
            energy = self.energy(positions)
            forces = -torch.autograd.grad(energy.sum(), positions, create_graph=self.training)[0]
            return energy, forces

    model, data = Potential().eval(), (torch.randn(24, 6), torch.randn(24, 6))

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        energy, forces = model(batch[0])
        return energy.square()[:, 0] + (forces - batch[1]).square().mean(dim=1)

    return measures(model, loss, data, loss(model, data).mean())


@situation(
    "losses that differentiate", "a penalty on the gradient that is skipped without gradients"
)
def penalty_where_enabled(folder: Path) -> Verdict:
    model, x = net(4), torch.randn(32, 4)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        inputs = batch[0].clone().requires_grad_(torch.is_grad_enabled())
        out = model(inputs)
        if not out.requires_grad:  # validation
            return out.square().mean()
        slope = torch.autograd.grad(out.sum(), inputs, create_graph=True)[0]
        return out.square().mean() + (slope.norm(dim=1) - 1).square().mean()

    return measures(model, loss, (x,), loss(model, (x,)))


@situation("losses that differentiate", "calls backward and reads the inputs' gradient")
def backward_inside(folder: Path) -> Verdict:
    model, x = net(3, 2), torch.randn(32, 3)
    y = torch.randint(2, (32,))
    F.cross_entropy(model(x), y).backward()
    before = [(p.grad, p.grad.clone()) for p in model.parameters()]

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:  # the fast gradient sign method
        inputs = batch[0].clone().requires_grad_()
        F.cross_entropy(model(inputs), batch[1], reduction="sum").backward()
        return F.cross_entropy(
            model(batch[0] + 0.1 * inputs.grad.sign()), batch[1], reduction="none"
        )

    twin = copy.deepcopy(model)
    found = measures(model, loss, (x, y), loss(twin, (x, y)).mean())
    for parameter, (gradient, value) in zip(model.parameters(), before, strict=True):
        assert parameter.grad is gradient
        assert torch.equal(gradient, value)
    return found


@situation("losses that differentiate", "the norm of its own gradient, by backward")
def norm_of_own_gradient(folder: Path) -> Verdict:
    model, data = net(), (torch.randn(32, 3), torch.randn(32, 1))

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        value = (model(batch[0]) - batch[1]).square().mean()
        value.backward()
        squares = sum(p.grad.square().sum() for p in model.parameters())
        return value.detach() + squares.sqrt()

    want = loss(copy.deepcopy(model), data)
    return measures(model, loss, data, want, options={"batch_size": 32})


@situation("losses that differentiate", "an inner step on a copy of the model")
def inner_step_on_a_copy(folder: Path) -> Verdict:
    model, data = net(), (torch.randn(20, 3), torch.randn(20, 1))

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        fast = copy.deepcopy(model)
        inner = torch.optim.SGD(fast.parameters(), lr=0.1, momentum=0.9)
        for _ in range(2):
            inner.zero_grad()
            F.mse_loss(fast(batch[0]), batch[1]).backward()
            inner.step()
        return F.mse_loss(fast(batch[0]), batch[1])

    return measures(model, loss, data, loss(model, data), options={"batch_size": 20})


@situation("losses that differentiate", "an inner step through functional_call (MAML)")
def inner_step_by_functional_call(folder: Path) -> Verdict:
    model, data = net(), (torch.randn(20, 3), torch.randn(20, 1))

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        weights = dict(model.named_parameters())
        value = F.mse_loss(functional_call(model, weights, batch[0]), batch[1])
        slopes = torch.autograd.grad(value, list(weights.values()), create_graph=True)
        fast = {n: w - 0.1 * g for (n, w), g in zip(weights.items(), slopes, strict=True)}
        return F.mse_loss(functional_call(model, fast, batch[0]), batch[1])

    return measures(model, loss, data, loss(model, data), options={"batch_size": 20})


@situation("losses that differentiate", "Jacobians by torch.func")
def jacobians_by_func(folder: Path) -> Verdict:
    model, x = net(3, 3), torch.randn(16, 3)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        jacobians = vmap(jacrev(model))(batch[0])
        return jacobians.diagonal(dim1=1, dim2=2).sum(dim=1).square()

    return measures(model, loss, (x,), loss(model, (x,)).mean())


@situation("losses that differentiate", "Laplacians by torch.func.hessian")
def laplacians_by_func(folder: Path) -> Verdict:
    model, x = net(2), torch.randn(12, 2)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        with warnings.catch_warnings():  # torch's own, the first time
            warnings.simplefilter("ignore", DeprecationWarning)
            second = vmap(hessian(lambda p: model(p).squeeze()))(batch[0])
        return second.diagonal(dim1=1, dim2=2).sum(dim=1).square()

    return measures(model, loss, (x,), loss(model, (x,)).mean(), relative=1e-4)


@situation("losses that differentiate", "torch.autograd.functional.jvp and jacobian")
def autograd_functional(folder: Path) -> Verdict:
    model, x = net(2), torch.randn(8, 2)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        ahead = torch.autograd.functional.jvp(model, batch[0], torch.ones_like(batch[0]))[1]
        whole = torch.autograd.functional.jacobian(model, batch[0]).abs().mean()
        return ahead.square().mean() + whole

    options = {"batch_size": 8}
    return measures(model, loss, (x,), loss(model, (x,)), options=options, relative=1e-4)


@situation("losses that differentiate", "the score of an energy, by torch.func.grad")
def score_matching(folder: Path) -> Verdict:
    model, x = net(2), torch.randn(16, 2)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        scores = vmap(grad(lambda p: model(p).squeeze()))(batch[0])
        return (scores + batch[0]).square().sum(dim=1)

    return measures(model, loss, (x,), loss(model, (x,)).mean())


@situation("losses that differentiate", "numbers by numpy, which need no_grad")
def numbers_by_numpy(folder: Path) -> Verdict:
    model, x = net(3), torch.randn(16, 3)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return torch.from_numpy(np.abs(model(batch[0]).numpy())).mean()

    with torch.no_grad():
        want = loss(model, (x,))
    return measures(model, loss, (x,), want)


@situation("losses that move weights", "sharpness-aware: up the gradient and back")
def up_the_gradient_and_back(folder: Path) -> Verdict:
    model, data = net(), (torch.randn(20, 3), torch.randn(20, 1))

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        parameters = list(model.parameters())
        slopes = torch.autograd.grad(F.mse_loss(model(batch[0]), batch[1]), parameters)
        with torch.no_grad():
            for parameter, slope in zip(parameters, slopes, strict=True):
                parameter.add_(slope, alpha=0.05)
            value = F.mse_loss(model(batch[0]), batch[1])
            for parameter, slope in zip(parameters, slopes, strict=True):
                parameter.sub_(slope, alpha=0.05)
        return value

    want = loss(copy.deepcopy(model), data)
    return measures(model, loss, data, want, options={"batch_size": 20})


@situation("losses that move weights", "swaps in rounded weights and swaps back")
def rounded_weights_for_a_call(folder: Path) -> Verdict:
    model, data = net(), (torch.randn(20, 3), torch.randn(20, 1))

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        own = [p.data for p in model.parameters()]
        for parameter in model.parameters():
            parameter.data = (parameter.data * 8).round() / 8
        value = (model(batch[0]) - batch[1]).square().mean(dim=1)
        for parameter, data in zip(model.parameters(), own, strict=True):
            parameter.data = data
        return value

    return measures(model, loss, data, loss(model, data).mean())


@situation("losses that move weights", "takes a training step")
def takes_a_training_step(folder: Path) -> Verdict:
    model, data = net(), (torch.randn(20, 3), torch.randn(20, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = [p.clone() for p in model.parameters()]

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        optimizer.zero_grad()
        value = F.mse_loss(model(batch[0]), batch[1])
        value.backward()
        optimizer.step()
        return value

    objective = ls.Objective(model, loss, data)
    found = refuses("weights changed.*copy", lambda: objective.at(objective.parameters()))
    assert all(map(torch.equal, before, model.parameters()))
    return found


@situation("losses that run other nets", "a discriminator in training mode")
def discriminator_in_training_mode(folder: Path) -> Verdict:
    critic = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.0), nn.Linear(6, 1))
    model, z = nn.Linear(2, 4), torch.randn(32, 2)
    before = copy.deepcopy(critic.state_dict())

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return F.softplus(-critic(model(batch[0])))[:, 0]

    want = loss(model, (z,)).mean()
    critic.load_state_dict(before)
    found = measures(model, loss, (z,), want, options={"batch_size": 32})
    assert critic.training
    assert all(torch.equal(t, before[name]) for name, t in critic.state_dict().items())
    return found


@situation("losses that run other nets", "a gradient penalty that goes through two nets")
def penalty_through_two_nets(folder: Path) -> Verdict:
    critic, model, z = net(4), nn.Linear(2, 4), torch.randn(32, 2)
    for parameter in critic.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    before = [p.grad for p in critic.parameters()]

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        made = model(batch[0])
        critic(made).mean().backward(retain_graph=True)
        slope = torch.autograd.grad(critic(made).sum(), made, create_graph=True)[0]
        return (slope.norm(dim=1) - 1).square()

    want = loss(copy.deepcopy(model), (z,)).mean()
    for parameter, gradient in zip(critic.parameters(), before, strict=True):
        parameter.grad = gradient.fill_(7.0)
    found = measures(model, loss, (z,), want)
    for parameter, gradient in zip(critic.parameters(), before, strict=True):
        assert parameter.grad is gradient
        assert (gradient == 7).all()
    return found


@situation("losses that run other nets", "a frozen teacher")
def frozen_teacher(folder: Path) -> Verdict:
    teacher, model, x = net(3, 4).eval().requires_grad_(False), net(3, 4), torch.randn(32, 3)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        wanted = F.softmax(teacher(batch[0]) / 2, dim=1)
        return F.kl_div(F.log_softmax(model(batch[0]) / 2, dim=1), wanted, reduction="none").sum(1)

    return measures(model, loss, (x,), loss(model, (x,)).mean())


@situation("losses that run other nets", "keeps a running average of its own")
def running_average_of_its_own(folder: Path) -> Verdict:
    model, x, average = net(3, 2), torch.randn(32, 3), torch.zeros(2)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        out = model(batch[0])
        average.mul_(0.9).add_(out.detach().mean(0), alpha=0.1)
        return (out - average).square().mean()

    want = loss(model, (x,))
    average.zero_()
    found = measures(model, loss, (x,), want, options={"batch_size": 32})
    assert (average == 0).all()
    return found


@situation("caches", "a model that keeps what it computed in a table")
def keeps_a_table(folder: Path) -> Verdict:
    class Tables(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.out = nn.Embedding(8, 4), nn.Linear(4, 1)
            self.kept: dict[str, dict[int, torch.Tensor]] = {"rows": {}}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = self.kept["rows"]
            if not self.training or len(x) not in rows:
                rows[len(x)] = torch.tanh(self.table.weight)
            return self.out(rows[len(x)][x])

    model, x = Tables().eval(), torch.randint(8, (24,))

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return model(batch[0]).square().mean(dim=1)

    want = loss(model, (x,)).mean()
    model.kept["rows"].clear()
    found = measures(model, loss, (x,), want)
    assert model.kept == {"rows": {}}
    model.train()
    loss(model, (x,)).mean().backward()
    assert model.table.weight.grad.abs().sum() > 0
    return found


def autoencoder(model: nn.Module, batch: tuple) -> torch.Tensor:
    mean, spread = model[0](batch[0]).chunk(2, dim=1)
    code = mean + torch.randn_like(mean) * (spread / 2).exp()
    divergence = 0.5 * (mean.square() + spread.exp() - 1 - spread).sum(dim=1)
    return (model[1](code) - batch[0]).square().sum(dim=1) + divergence


@situation("losses that draw", "a variational autoencoder, without a seed")
def autoencoder_without_a_seed(folder: Path) -> Verdict:
    model, x = nn.Sequential(net(4, 4), net(2, 4)), torch.randn(32, 4)
    objective = ls.Objective(model, autoencoder, (x,))
    return refuses("common_random_numbers=0", lambda: objective.at(objective.parameters()))


def same_draws(model: nn.Module, loss, data, options: dict) -> Verdict:
    """The same number again and again, near the mean of many of the user's own calls."""
    objective = ls.Objective(model, loss, data, **options)
    vector, before = objective.parameters(), torch.get_rng_state()
    others = np.random.get_state()[1].tolist(), random.getstate()
    want = objective.at(vector).mean[0, 0]
    assert torch.equal(torch.get_rng_state(), before)
    assert others == (np.random.get_state()[1].tolist(), random.getstate())
    calls = torch.stack([loss(model, data).mean().detach() for _ in range(200)])
    torch.set_rng_state(before)
    assert abs(want - calls.mean().item()) < 5 * calls.std().item()
    return measures(model, loss, data, want, options=options)


@situation("losses that draw", "a variational autoencoder, the same draws at every point")
def autoencoder_same_draws(folder: Path) -> Verdict:
    model, x = nn.Sequential(net(4, 4), net(2, 4)), torch.randn(48, 4)
    return same_draws(model, autoencoder, (x,), {"common_random_numbers": 0, "batch_size": 16})


@situation("losses that draw", "a diffusion model: a time and noise for every sample")
def diffusion(folder: Path) -> Verdict:
    model, x = net(5, 4), torch.randn(40, 4)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        t = torch.randint(1, 100, (len(batch[0]), 1)) / 100
        noise = torch.randn(batch[0].shape)
        noisy = torch.sqrt(1 - t) * batch[0] + torch.sqrt(t) * noise
        return (model(torch.cat([noisy, t], dim=1)) - noise).square().mean(dim=1)

    return same_draws(model, loss, (x,), {"common_random_numbers": 3, "batch_size": 20})


@situation("losses that draw", "augmentation with numpy and the standard library")
def augmentation_with_numpy(folder: Path) -> Verdict:
    model, x = net(4), torch.randn(24, 4)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        shift = torch.from_numpy(np.random.normal(0, 0.1, size=batch[0].shape)).float()
        sign = random.choice([-1, 1])
        return model(sign * (batch[0] + shift)).square().mean(dim=1)

    return same_draws(model, loss, (x,), {"common_random_numbers": 1, "batch_size": 8})


@situation("losses that draw", "a loss that seeds before it draws")
def seeds_before_it_draws(folder: Path) -> Verdict:
    model, x = net(4), torch.randn(24, 4)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(12)
            noise = torch.randn(4)
        np.random.seed(5)
        return model(batch[0] + noise * np.random.rand()).square().mean(dim=1)

    return measures(model, loss, (x,), loss(model, (x,)).mean())


@situation("losses that draw", "reads a loader of its own, which draws a seed")
def reads_a_loader(folder: Path) -> Verdict:
    model, x = net(4), torch.randn(24, 4)
    loader = DataLoader(TensorDataset(torch.randn(12, 4)), batch_size=5)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        beside = sum(model(rows).square().sum() for (rows,) in loader)
        return model(batch[0]).square().mean(dim=1) + beside

    return measures(model, loss, (x,), loss(model, (x,)).mean())


@situation("losses that draw", "numbers that nobody can repeat")
def unrepeatable(folder: Path) -> Verdict:
    model, x = net(4), torch.randn(24, 4)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        noise = np.random.default_rng().normal(size=batch[0].shape)
        return model(batch[0] + torch.from_numpy(noise).float()).square().mean(dim=1)

    objective = ls.Objective(model, loss, (x,), common_random_numbers=0)
    return refuses("fixed seed", lambda: objective.at(objective.parameters()))


@situation("losses that draw", "a generator of the user's")
def generator_of_the_users(folder: Path) -> Verdict:
    model, x = net(4), torch.randn(24, 4)
    generator = torch.Generator().manual_seed(math.floor(math.pi))
    before = generator.get_state()

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        noise = torch.randn(batch[0].shape, generator=generator)
        return model(batch[0] + noise).square().mean(dim=1)

    objective = ls.Objective(model, loss, (x,))
    found = refuses("common_random_numbers", lambda: objective.at(objective.parameters()))
    seeded = ls.Objective(model, loss, (x,), common_random_numbers=0)
    vector = seeded.parameters()
    assert seeded.at(vector).mean == seeded.at(vector).mean
    assert torch.equal(generator.get_state(), before)
    return found
