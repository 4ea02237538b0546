"""Models and losses that keep something between calls, or treat many samples otherwise."""

from __future__ import annotations

import copy
import functools
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import landscape as ls
from strangers.situation import Verdict, measures, refuses, situation

KIND = "what is kept between calls"


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))


def points(n: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(n, 3), torch.randn(n, 1)


def corner_is(model: nn.Module, loss: Any, data: Any, make: Any, **options: Any) -> None:
    """A corner of a surface is what a new model and loss give with those weights."""
    objective = ls.Objective(model, loss, data, **options)
    plane = ls.random_plane(objective.parameters(), objective.layout)
    surface = ls.loss_surface(objective, plane, extent=0.5, resolution=3)
    fresh, own = make()
    vector = plane.origin - 0.5 * plane.directions[0] - 0.5 * plane.directions[1]
    nn.utils.vector_to_parameters(torch.as_tensor(np.asarray(vector)).float(), fresh.parameters())
    assert surface.loss[0, 0] == pytest.approx(own(fresh.eval(), data).item(), rel=1e-4)


def kept_right(make: Any, data: Any, **options: Any) -> Verdict:
    """Both the centre and a corner are what the first call of a new model and loss gives."""
    model, loss = make()
    want = loss(model.eval(), data)
    model, loss = make()
    corner_is(model, loss, data, make, **options)
    model, loss = make()
    return measures(model, loss, data, want, options=options)


class Cached(nn.Module):
    """Computes something of its weights once in evaluation mode."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.mix, self.out, self.how = nn.Parameter(torch.randn(3, 8)), nn.Linear(8, 1), how
        self.table: dict[str, torch.Tensor] = {}
        self.ready = None
        self.register_buffer("kernel", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "attribute" and (self.training or self.ready is None):
            self.ready = torch.tanh(self.mix)
        if self.how == "table" and (self.training or "mix" not in self.table):
            self.table["mix"] = torch.tanh(self.mix)
        if self.how == "buffer" and self.kernel is None:
            self.kernel = torch.tanh(self.mix)
        used = {"attribute": self.ready, "buffer": self.kernel}.get(self.how)
        return self.out(x @ (self.table["mix"] if used is None else used))


@situation(KIND, "what weights give is computed once in evaluation mode")
def computed_once(folder: Path) -> Verdict:
    data = points()

    def make(how: str) -> tuple[nn.Module, Any]:
        torch.manual_seed(1)
        return Cached(how), lambda model, batch: F.mse_loss(model(batch[0]), batch[1])

    found = [
        kept_right(functools.partial(make, how), data) for how in ("attribute", "table", "buffer")
    ]
    return found[-1]


@situation(KIND, "a recurrent net that goes on from its last hidden state")
def hidden_state(folder: Path) -> Verdict:
    class Stateful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.out, self.h = nn.GRU(3, 6, batch_first=True), nn.Linear(6, 1), None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            states, h = self.cell(x, self.h)
            self.h = h.detach()
            return self.out(states[:, -1])

    def make() -> tuple[nn.Module, Any]:
        torch.manual_seed(1)
        return Stateful(), lambda model, batch: F.mse_loss(model(batch[0]), batch[1])

    return kept_right(make, (torch.randn(12, 5, 3), torch.randn(12, 1)), batch_size=12)


@situation(KIND, "a weight that grows with the calls of the loss, by little and by much")
def annealed(folder: Path) -> Verdict:
    def make(step: float) -> tuple[nn.Module, Any]:
        torch.manual_seed(1)
        calls = 0

        def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
            nonlocal calls
            calls += 1
            return F.mse_loss(model(batch[0]), batch[1]) * (1 + step * calls)

        return net(), loss

    data = points()
    found = [kept_right(functools.partial(make, k), data, batch_size=20) for k in (1e-6, 0.1)]
    return found[-1]


@situation(KIND, "terms divided by their first values, in a trainer's method")
def divided_by_the_first(folder: Path) -> Verdict:
    class Trainer:
        def __init__(self) -> None:
            self.first: torch.Tensor | None = None
            self.log: list[float] = []

        def weigh(self, value: torch.Tensor) -> torch.Tensor:
            self.first = value.detach() if self.first is None else self.first
            return value / self.first

        def loss(self, model: nn.Module, batch: tuple) -> torch.Tensor:
            value = F.mse_loss(model(batch[0]), batch[1])
            self.log.append(value.item())
            return self.weigh(value) + value

    trainers = []

    def make() -> tuple[nn.Module, Any]:
        torch.manual_seed(1)
        trainers.append(Trainer())
        return net(), trainers[-1].loss

    found = kept_right(make, points(100))
    assert trainers[-1].first is None
    return found


@situation(KIND, "a running average in a namespace, through a decorator")
def average_in_a_namespace(folder: Path) -> Verdict:
    def make() -> tuple[nn.Module, Any]:
        torch.manual_seed(1)
        state = SimpleNamespace(average=None)

        def smoothed(function: Any) -> Any:
            @functools.wraps(function)
            def call(*given: Any) -> torch.Tensor:
                value = function(*given)
                old = value.detach() if state.average is None else state.average
                state.average = 0.9 * old + 0.1 * value.detach()
                return value + state.average

            return call

        @smoothed
        def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
            return F.mse_loss(model(batch[0]), batch[1])

        return net(), loss

    return kept_right(make, points(), batch_size=20)


@situation(KIND, "a list of what the loss gave, for the user to look at")
def list_to_look_at(folder: Path) -> Verdict:
    model, data, seen = net(), points(), []

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        value = F.mse_loss(model(batch[0]), batch[1])
        seen.append(value.item())
        return value

    found = measures(model, loss, data, F.mse_loss(model(data[0]), data[1]))
    assert seen
    return found


@situation(KIND, "a scripted and a traced module, which keep their mode")
def scripted(folder: Path) -> Verdict:
    data = points()

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return F.mse_loss(model(batch[0]), batch[1])

    with warnings.catch_warnings():  # torch's own
        warnings.simplefilter("ignore", DeprecationWarning)
        both: list[Any] = [torch.jit.script(net()), torch.jit.trace(net(), data[0])]
    found = [measures(made, loss, data, loss(made, data)) for made in both]
    assert all(module.training for made in both for module in made.modules())
    return found[-1]


@situation(KIND, "one layer used under two names")
def one_layer_twice(folder: Path) -> Verdict:
    layer = nn.Linear(8, 8)
    model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), layer, nn.Tanh(), layer, nn.Linear(8, 1))
    data = points()

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return F.mse_loss(model(batch[0]), batch[1])

    found = measures(model, loss, data, loss(model, data))
    assert "stacked" in found.remark
    return found


@situation(KIND, "a loss that measures another net")
def measures_inside(folder: Path) -> Verdict:
    model, other, data = net(), net(), points()
    inner = ls.Objective(other, lambda m, b: m(b[0]).square().mean(1), data)
    at = inner.parameters()

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return F.mse_loss(model(batch[0]), batch[1]) + inner.at(at).mean[0, 0]

    options = {"batch_size": 20, "strategy": "sequential"}
    found = measures(model, loss, data, loss(model, data), options=options)
    assert all(module.training for module in other.modules())
    return found


@situation("losses that draw", "64 of the samples at random, where there are more")
def some_of_many(folder: Path) -> Verdict:
    model, data = net(), points(400)

    def by_torch(model: nn.Module, batch: tuple) -> torch.Tensor:
        x, y = batch
        if len(x) > 64:
            chosen = torch.randperm(len(x))[:64]
            x, y = x[chosen], y[chosen]
        return F.mse_loss(model(x), y)

    def by_numpy(model: nn.Module, batch: tuple) -> torch.Tensor:
        chosen = np.random.permutation(len(batch[0]))[:64]
        return F.mse_loss(model(batch[0][chosen]), batch[1][chosen])

    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state(legacy=False)
    for loss in (by_torch, by_numpy):
        for options in ({}, {"batch_size": 400}):
            objective = ls.Objective(model, loss, data, **options)
            refuses(
                "common_random_numbers", functools.partial(objective.at, objective.parameters())
            )
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_equal(np.random.get_state(legacy=False), numpy_state)
    seeded = ls.Objective(model, by_torch, data, common_random_numbers=0, batch_size=400)
    want = seeded.at(seeded.parameters()).mean[0, 0]
    options = {"common_random_numbers": 0, "batch_size": 400}
    return measures(copy.deepcopy(model), by_torch, data, want, options=options)


@situation("what the loss returns", "the mean of the 100 hardest samples of a batch")
def hardest_samples(folder: Path) -> Verdict:
    model, data = net(), points(400)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        each = F.mse_loss(model(batch[0]), batch[1], reduction="none")[:, 0]
        return each.topk(min(100, len(each)))[0].mean()

    want = loss(model, data)
    measures(model, loss, data, want, options={"batch_size": 400})
    objective = ls.Objective(model, loss, data)
    return refuses("batch_size=", lambda: objective.at(objective.parameters()))
