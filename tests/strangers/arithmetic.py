"""Types of numbers that strangers' models have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import landscape as ls
from strangers.situation import Verdict, measures, situation

HALF = 1e-3  # a mean of numbers with 8 to 11 bits, in other batches


def classifier() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 3))


def classes(model: nn.Module, batch: tuple) -> torch.Tensor:
    return F.cross_entropy(model(batch[0]).float(), batch[1], reduction="none")


def labelled(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(40, 6, dtype=dtype), torch.randint(3, (40,))


@situation("arithmetic", "double precision, with constants in the loss")
def double_with_constants(folder: Path) -> Verdict:
    model, x = (
        nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)).double(),
        torch.rand(30, 2),
    )
    corner, x = torch.zeros(1, 2, dtype=torch.float64), x.double()

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return model(batch[0]).square().mean(dim=1) + (model(corner) - 1).square().sum()

    return measures(model, loss, (x,), loss(model, (x,)).mean(), relative=1e-13)


@situation("arithmetic", "double precision, and samples in single")
def double_and_single_samples(folder: Path) -> Verdict:
    model, x = nn.Linear(3, 1).double(), torch.randn(30, 3)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return model(batch[0].double()).square().mean(dim=1)

    return measures(model, loss, (x,), loss(model, (x,)).mean(), relative=1e-13)


@situation("arithmetic", "single precision, and samples of numpy in double")
def single_and_double_samples(folder: Path) -> Verdict:
    model, (x, y) = classifier(), labelled()
    data = (x.double().numpy(), y.numpy())
    return measures(model, classes, data, classes(model, (x, y)).mean())


@situation("arithmetic", "single precision, and targets in double")
def double_targets(folder: Path) -> Verdict:
    model, x, y = nn.Linear(3, 1), torch.randn(30, 3), 1e-9 * torch.randn(30, 1).double()

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        assert batch[1].dtype == torch.float64
        return (batch[1] + 1 + 0 * model(batch[0])).log().sum(dim=1) + model(batch[0])[
            :, 0
        ].square()

    return measures(model, loss, (x, y), loss(model, (x, y)).mean())


@situation("arithmetic", "half precision")
def half(folder: Path) -> Verdict:
    model, data = classifier().half(), labelled(torch.float16)
    found = measures(model, classes, data, classes(model, data).mean(), relative=HALF)
    assert ls.Objective(model, classes, data).settings["precision"] == "native"
    return found


@situation("arithmetic", "bfloat16, asked for as native")
def brain_half(folder: Path) -> Verdict:
    model, data = classifier().bfloat16(), labelled(torch.bfloat16)
    options = {"precision": "native"}
    want = classes(model, data).mean()
    return measures(model, classes, data, want, options=options, relative=4 * HALF)


@situation("arithmetic", "bfloat16, and samples in single")
def brain_half_single_samples(folder: Path) -> Verdict:
    model, (x, y) = classifier().bfloat16(), labelled()
    want = classes(model, (x.bfloat16(), y)).mean()
    return measures(model, classes, (x, y), want, relative=4 * HALF)


@situation("arithmetic", "a head in single precision on a body in bfloat16")
def mixed(folder: Path) -> Verdict:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(6, 16).bfloat16(), nn.Linear(16, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.relu(self.body(x.bfloat16())).float())

    model, data = Mixed(), labelled()
    found = measures(model, classes, data, classes(model, data).mean(), relative=HALF)
    assert ls.Objective(model, classes, data).parameters().dtype == np.float32
    return found


@situation("arithmetic", "single and double in one model")
def single_and_double(folder: Path) -> Verdict:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.scale = nn.Linear(6, 3), nn.Parameter(torch.ones(3).double() / 3)
            self.register_buffer("shift", torch.full((3,), 0.1, dtype=torch.float64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x).double() * self.scale + self.shift

    model, data = Scaled(), labelled()

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return F.cross_entropy(model(batch[0]), batch[1], reduction="none")

    found = measures(model, loss, data, loss(model, data).mean(), relative=1e-7)
    exact = ls.Objective(model, loss, data).parameters()
    assert exact[-3:].tolist() == model.scale.tolist() or exact[:3].tolist() == model.scale.tolist()
    return found


@situation("arithmetic", "an adapter in single precision on a frozen base in bfloat16")
def adapter_on_half_base(folder: Path) -> Verdict:
    class Adapted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base = nn.Linear(6, 3).bfloat16().requires_grad_(False)
            self.a = nn.Parameter(torch.randn(2, 6))
            self.b = nn.Parameter(torch.randn(3, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert self.base.weight.dtype == torch.bfloat16
            return self.base(x.bfloat16()).float() + x @ self.a.T @ self.b.T

    model, data = Adapted(), labelled()
    return measures(model, classes, data, classes(model, data).mean(), relative=1e-5)


@situation("arithmetic", "autocast inside the loss")
def autocast_inside(folder: Path) -> Verdict:
    model, data = classifier(), labelled()

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return F.cross_entropy(model(batch[0]), batch[1], reduction="none")

    return measures(model, loss, data, loss(model, data).mean(), relative=HALF)


@situation("arithmetic", "complex buffers, as of a Fourier layer")
def complex_buffers(folder: Path) -> Verdict:
    class Spectral(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("phases", torch.polar(torch.ones(4), torch.rand(4)))
            self.out = nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(torch.fft.irfft(torch.fft.rfft(x) * self.phases, n=6))

    model, data = Spectral(), labelled()
    return measures(model, classes, data, classes(model, data).mean())


@situation("arithmetic", "frozen complex weights")
def frozen_complex(folder: Path) -> Verdict:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            turn = torch.randn(6, 6, dtype=torch.complex128)
            self.turn, self.out = nn.Parameter(turn, requires_grad=False), nn.Linear(6, 3).double()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out((x.to(self.turn) @ self.turn).abs())

    model, data = Turned(), labelled(torch.float64)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return F.cross_entropy(model(batch[0]), batch[1], reduction="none")

    return measures(model, loss, data, loss(model, data).mean(), relative=1e-12)


@situation("arithmetic", "half precision with batch norm in single")
def half_with_single_norm(folder: Path) -> Verdict:
    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Linear(6, 8).bfloat16(), nn.BatchNorm1d(8)
            self.last = nn.Linear(8, 3).bfloat16()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.norm(self.first(x.bfloat16()).float()).relu().bfloat16())

    model, data = Small().eval(), labelled()
    return measures(model, classes, data, classes(model, data).mean(), relative=4 * HALF)


@situation("arithmetic", "bfloat16 throughout, and the mean of a batch")
def brain_half_means(folder: Path) -> Verdict:
    model, data = classifier().bfloat16(), labelled(torch.bfloat16)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return F.cross_entropy(model(batch[0]), batch[1])

    return measures(model, loss, data, loss(model, data), relative=1e-2)
