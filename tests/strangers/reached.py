"""What losses reach beside their model, what was computed before, and what begins later."""

from __future__ import annotations

import copy
import functools
import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import landscape as ls
from strangers.loops import X, Y, back, records, sgd, steps
from strangers.loops import net as small
from strangers.remembered import net, points
from strangers.situation import Verdict, measures, refuses, situation


def mse(model: nn.Module, batch: Any) -> torch.Tensor:
    return F.mse_loss(model(batch[0]), batch[1])


def attempt(model: nn.Module, loss: Any, data: Any, **options: Any) -> ls.Surface:
    objective = ls.Objective(model, loss, data, **options)
    plane = ls.random_plane(objective.parameters(), objective.layout)
    return ls.loss_surface(objective, plane, extent=0.5, resolution=3)


class Adapted(nn.Module):
    """A layer with an adapter that can be merged into it."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(3, 8).requires_grad_(False)
        self.down, self.up = nn.Linear(3, 2, bias=False), nn.Linear(2, 8, bias=False)
        self.merged = False

    def _add(self, sign: int) -> None:
        self.base.weight.data += sign * self.up.weight.data @ self.down.weight.data
        self.merged = sign > 0

    def train(self, mode: bool = True) -> Adapted:
        super().train(mode)
        if mode == self.merged:
            self._add(-1 if mode else 1)
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base(x) + (0 if self.merged else self.up(self.down(x)))


@situation("caches", "an adapter that is merged in evaluation mode")
def merged_adapter(folder: Path) -> Verdict:
    model, data = nn.Sequential(Adapted(), nn.Linear(8, 1)), points()
    measures(copy.deepcopy(model), mse, data, mse(model, data))
    return refuses(r"model\.train\(\)", lambda: attempt(model.eval(), mse, data))


class Keeping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix, self.out, self.made = nn.Parameter(torch.randn(3, 8)), nn.Linear(8, 1), None

    @functools.lru_cache(maxsize=8)  # noqa: B019
    def remembered(self) -> torch.Tensor:
        return torch.tanh(self.mix)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.made is None:
            self.made = torch.tanh(self.mix).detach()
        return self.out(x @ self.made)


@situation("caches", "a kernel computed of the weights before the measurement")
def computed_before(folder: Path) -> Verdict:
    model, data = Keeping().eval(), points()
    want = mse(model, data)

    def decayed(model: nn.Module, batch: Any) -> torch.Tensor:  # reads the weight elsewhere
        return mse(model, batch) + model.mix.square().mean()

    for loss in (mse, decayed):
        found = refuses("Empty made", functools.partial(attempt, model, loss, data))
    model.made = None
    measures(model, mse, data, want)
    return found


@situation("caches", "a method under lru_cache, and parametrizations under cached()")
def cached_methods(folder: Path) -> Verdict:
    class Remembering(Keeping):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(x @ self.remembered())

    model, data = Remembering().eval(), points()
    mse(model, data)
    found = refuses(r"cache_clear\(\)", lambda: attempt(model, mse, data))
    Keeping.remembered.cache_clear()
    normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 1)))
    with nn.utils.parametrize.cached():
        refuses("outside of it", lambda: attempt(normed, mse, data))
    return found


@situation("caches", "constants, optional parts and weights that are not used in evaluation")
def no_caches(folder: Path) -> Verdict:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.aside = nn.Linear(3, 1), nn.Linear(3, 1)
            self.place, self.scales = torch.randn(3), {"all": torch.tensor(2.0)}
            self.gain: torch.Tensor | None = torch.tensor(3.0)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = (x + self.place) * self.scales.get("all", 1.0)
            return self.body(x if self.gain is None else x * self.gain)

    model, data = Masked(), points()
    return measures(model, mse, data, mse(model, data))


@situation("arithmetic", "measured inside autocast, which keeps casts of the weights")
def autocast_outside(folder: Path) -> Verdict:
    model, data = net(), points()

    def loss(model: nn.Module, batch: Any) -> torch.Tensor:
        return F.mse_loss(model(batch[0]).float(), batch[1])

    with torch.autocast("cpu", torch.bfloat16):
        want = loss(model, data).item()
        return measures(model, loss, data, want, options={"strategy": "sequential"}, relative=2e-2)


@situation("losses that run other nets", "the loss itself sets modes, and freezes a teacher")
def sets_modes(folder: Path) -> Verdict:
    model, teacher, data = net(), nn.Sequential(net(), nn.Dropout(0.5)), points()
    extras = {"teachers": [teacher]}

    def loss(model: nn.Module, batch: Any) -> torch.Tensor:
        model.eval()
        for other in extras["teachers"]:
            other.eval().requires_grad_(False)
            target = other(batch[0])
        return F.mse_loss(model(batch[0]), target)

    want = loss(copy.deepcopy(model), data)
    teacher.train().requires_grad_(True)
    model.train()
    found = measures(model, loss, data, want)
    assert all(part.training for part in [*teacher.modules(), *model.modules()])
    assert all(p.requires_grad for p in [*teacher.parameters(), *model.parameters()])
    return found


@situation("losses that draw", "generators of numpy's and Python's own, held by a trainer")
def held_generators(folder: Path) -> Verdict:
    class Trainer:
        def __init__(self) -> None:
            self.noise, self.luck = np.random.default_rng(0), [random.Random(0)]

        def loss(self, model: nn.Module, batch: Any) -> torch.Tensor:
            noise = torch.as_tensor(self.noise.normal(size=batch[0].shape)).float()
            return mse(model, (batch[0] + noise, batch[1])) * (1 + self.luck[0].random())

    trainer, model, data = Trainer(), net(), points()
    before = repr(trainer.noise.bit_generator.state), trainer.luck[0].getstate()
    refuses("common_random_numbers", lambda: attempt(model, trainer.loss, data))
    options = {"common_random_numbers": 0, "batch_size": 20}
    objective = ls.Objective(model, trainer.loss, data, **options)
    want = objective.at(objective.parameters()).mean[0, 0]
    found = measures(model, trainer.loss, data, want, options=options)
    assert (repr(trainer.noise.bit_generator.state), trainer.luck[0].getstate()) == before
    return found


@situation("losses that draw", "only some later batch makes the loss draw")
def draws_later(folder: Path) -> Verdict:
    model, (x, y) = net(), points(60)
    data = [{"x": x[:30], "y": y[:30], "hard": ""}, {"x": x[30:], "y": y[30:], "hard": "yes"}]

    def loss(model: nn.Module, batch: Any) -> torch.Tensor:
        noise = torch.randn_like(batch["x"]) if batch["hard"] else 0
        return F.mse_loss(model(batch["x"] + noise), batch["y"])

    state = torch.get_rng_state()
    objective = ls.Objective(model, loss, data)
    found = refuses("common_random_numbers", lambda: objective.at(objective.parameters()))
    assert torch.equal(torch.get_rng_state(), state)
    seeded = ls.Objective(model, loss, data, common_random_numbers=0)
    one, other = (seeded.at(seeded.parameters()).mean[0, 0] for _ in range(2))
    assert one == other
    assert torch.equal(torch.get_rng_state(), state)
    return found


@situation("what the loss returns", "samples that depend on each other in the last batch only")
def coupled_later(folder: Path) -> Verdict:
    x = torch.cat([torch.zeros(560, 3), torch.randn(40, 3)])

    def loss(model: nn.Module, batch: Any) -> torch.Tensor:
        out = model(batch[0])
        return (out - out.mean() if batch[0].any() else out).square().mean()

    return refuses("batch_size=", lambda: attempt(net(), loss, (x, torch.zeros(600, 1))))


@situation("what the loss returns", "samples that depend on each other above 500 of them")
def coupled_when_many(folder: Path) -> Verdict:
    def loss(model: nn.Module, batch: Any) -> torch.Tensor:
        out = model(batch[0])
        return out.square().mean() + (out.mean().square() if len(out) > 500 else 0)

    return refuses("batch_size=", lambda: attempt(net(), loss, points(8200)))


@situation("what the loss returns", "sums and weights of some of the samples, with an error")
def ratio_errors(folder: Path) -> Verdict:
    model, data = net(), points(600)

    def sample(model: nn.Module, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        weight = 1 + batch[0][:, 0].abs()
        return (model(batch[0]) - batch[1]).square()[:, 0] * weight, weight

    def batch_of(model: nn.Module, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        total, weight = sample(model, batch)
        return total.sum(), weight.sum()

    total, weight = (part.detach().double().numpy() for part in sample(model, data))
    left = total - total.sum() / weight.sum() * weight
    want = np.sqrt(left.var(ddof=1) / 200 * (1 - 200 / 600)) / weight.mean()
    for loss in (sample, batch_of):
        surface = attempt(model, loss, data, samples=200, batch_size=10)
        assert surface.standard_error[0, 1, 1] == pytest.approx(want, rel=0.5)
    return measures(model, batch_of, data, total.sum() / weight.sum())


@situation("losses", "gradient checkpointing, weight and spectral norm, attention")
def usual_layers(folder: Path) -> Verdict:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.inside = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 8))
            self.out = nn.utils.parametrizations.weight_norm(nn.Linear(8, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = checkpoint(self.inside, x[:, None].repeat(1, 4, 1), use_reentrant=False)
            return self.out(self.attention(h, h, h)[0].mean(1))

    model, data = Block(), points()
    return measures(model, mse, data, mse(model.eval(), data))


@situation("losses", "functional_call with the weights of a moving average beside the model's")
def functional_average(folder: Path) -> Verdict:
    model, data = net(), points()
    average = {name: 0.9 * p.detach() for name, p in model.named_parameters()}

    def loss(model: nn.Module, batch: Any) -> torch.Tensor:
        target = torch.func.functional_call(model, average, (batch[0],))
        return F.mse_loss(model(batch[0]), target)

    return measures(model, loss, data, loss(model, data))


@situation("loops", "a gradient scaler that skips steps, gradients accumulated over batches")
def scaler_and_accumulation(folder: Path) -> Verdict:
    model = small()
    optimizer = sgd(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)

    def loop(recorder: ls.Recorder) -> None:
        for number in range(8):
            loss = F.mse_loss(model(X), Y) * (float("inf") if number == 3 else 1.0)
            scaler.scale(loss / 2).backward()
            if number % 2:
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()

    return records(folder, model, optimizer, loop, states=4)


@situation("loops", "sparse gradients of an embedding with a padding index")
def sparse_embedding(folder: Path) -> Verdict:
    model = nn.Sequential(nn.Embedding(7, 3, padding_idx=0, sparse=True), nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.tensor([0, 2, 5])).square().mean().backward()
            optimizer.step()

    return records(folder, model, optimizer, loop, states=4)


@situation("loops", "averaged weights of torch, batch norm updated at the end")
def averaged_by_torch(folder: Path) -> Verdict:
    model = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    optimizer, average = sgd(model), torch.optim.swa_utils.AveragedModel(model)

    def loop(recorder: ls.Recorder) -> None:
        for _ in range(4):
            steps(model, optimizer, 1)
            average.update_parameters(model)
        torch.optim.swa_utils.update_bn([X], average)

    verdict = records(folder, model, optimizer, loop, states=5, evaluation=average)
    found = ls.Trajectory(folder / "run.h5").evaluation(-1)
    assert found is not None
    want = nn.utils.parameters_to_vector(average.module.parameters()).detach().numpy()
    np.testing.assert_array_equal(found, want)
    return verdict


@situation("loops", "two loops in two threads, each with a recorder of its own")
def two_threads(folder: Path) -> Verdict:
    models = [small() for _ in range(2)]
    twins = copy.deepcopy(models)

    def loop(number: int) -> None:
        model = models[number]
        optimizer = sgd(model)
        with ls.Recorder(folder / f"{number}.h5", model, optimizer) as recorder:
            for _ in range(20):
                loss = back(model, optimizer)
                optimizer.step()
                recorder.log(loss=loss)

    both = [threading.Thread(target=loop, args=(k,)) for k in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    for number, twin in enumerate(twins):
        steps(twin, sgd(twin), 20)
        run = ls.Trajectory(folder / f"{number}.h5")
        assert len(run) == 21
        want = nn.utils.parameters_to_vector(twin.parameters()).detach().numpy()
        np.testing.assert_array_equal(run.final, want)
    return Verdict(True, "21 states each")
