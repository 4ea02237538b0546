"""The work the evaluator is timed on: models with their data, losses and grids.

The targets are stated for W1 to W4; the others are what strangers bring.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Workload:
    """A model and what is measured of it.

    Attributes:
        name: Short name.
        what: One line for the table.
        model: The model.
        loss: `loss(model, batch)`, one value per sample.
        data: Inputs and targets.
        resolution: Points along each axis of the surface.
        differentiates: Whether the loss differentiates the model by its inputs.
    """

    name: str
    what: str
    model: nn.Module
    loss: Callable[[nn.Module, Any], Any]
    data: tuple[Tensor, Tensor]
    resolution: int
    differentiates: bool = False

    def looking(self) -> AbstractContextManager[object]:
        """Inside, the plain pass is as fast as torch allows."""
        return torch.no_grad() if self.differentiates else torch.inference_mode()


def classify(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def next_token(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    logits = model(batch[0])
    each = F.cross_entropy(logits.flatten(0, 1), batch[1].flatten(), reduction="none")
    return each.view(batch[1].shape).mean(1)


def mlp() -> Workload:
    """W1: two hidden layers of 64 on scikit-learn's digits."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    net = nn.Sequential(
        nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(),
        nn.Linear(64, 10),
    )  # fmt: skip
    data = (torch.tensor(pixels, dtype=torch.float32) / 16, torch.tensor(labels))
    return Workload("W1", "MLP 64-64-64-10, digits, 1,797 samples", net, classify, data, 51)


class Block(nn.Module):
    """Two convolutions with batch norm and a shortcut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Identity()
        if stride > 1 or into != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class ResNet(nn.Module):
    """A residual net for 32×32 images with 6 n + 2 layers."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        widths = [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
        self.body = nn.Sequential(
            *(
                Block(into if i == 0 else out, out, stride if i == 0 else 1)
                for into, out, stride in widths
                for i in range(n)
            )
        )
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.stem(x)).mean((2, 3)))


def resnet() -> Workload:
    """W2: ResNet-20 with batch norm; running statistics from the data."""
    net, data = ResNet(3), (torch.randn(1000, 3, 32, 32), torch.randint(0, 10, (1000,)))
    with torch.no_grad():
        net(data[0][:200])
    return Workload("W2", "ResNet-20 with BN, 1,000 images 3×32×32", net, classify, data, 11)


def lenet() -> Workload:
    """W3: LeNet-5 on digits enlarged to 28×28."""
    from sklearn.datasets import load_digits

    pixels, target = load_digits(return_X_y=True)
    images = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8) / 16
    images = F.interpolate(images, (28, 28), mode="bilinear")
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    data = (images, torch.tensor(target))
    return Workload("W3", "LeNet-5, digits at 28×28, 1,797 samples", net, classify, data, 25)


class Attention(nn.Module):
    """A pre-norm transformer block with causal attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        q, k, v = (t.view(batch, length, self.heads, -1).transpose(1, 2) for t in (q, k, v))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(a.transpose(1, 2).reshape(batch, length, width))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """A small language model with tied embeddings."""

    def __init__(self, symbols: int = 65, width: int = 128, layers: int = 4, most: int = 64):
        super().__init__()
        self.token = nn.Embedding(symbols, width)
        self.place = nn.Embedding(most, width)
        self.blocks = nn.Sequential(*(Attention(width, 4) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, symbols, bias=False)
        self.head.weight = self.token.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens) + self.place(torch.arange(tokens.shape[1], device=tokens.device))
        return self.head(self.norm(self.blocks(x)))


def gpt() -> Workload:
    """W4: a GPT on 64 sequences of 64 tokens."""
    tokens = torch.randint(0, 65, (64, 65))
    data = (tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous())
    return Workload("W4", "GPT, 4 layers, d = 128, 64 × 64 tokens", GPT(), next_token, data, 11)


def poisson(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """The squared residual of Δu = f at every point (Raissi et al. 2019)."""
    with torch.enable_grad():
        x = batch[0].detach().requires_grad_()
        (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        second = [
            torch.autograd.grad(slope[:, k].sum(), x, create_graph=True)[0][:, k] for k in range(2)
        ]
        return (second[0] + second[1] - batch[1]).square()


def pinn() -> Workload:
    """A physics-informed net: second derivatives by the inputs at 2,000 points of a square."""
    net = nn.Sequential(
        nn.Linear(2, 50), nn.Tanh(), nn.Linear(50, 50), nn.Tanh(),
        nn.Linear(50, 50), nn.Tanh(), nn.Linear(50, 1),
    )  # fmt: skip
    x = torch.rand(2000, 2)
    data = (x, -2 * torch.pi**2 * torch.sin(torch.pi * x).prod(1))
    return Workload(
        "PINN", "PINN 2-50-50-50-1, Poisson, 2,000 points", net, poisson, data, 25,
        differentiates=True,
    )  # fmt: skip


class Recurrent(nn.Module):
    """An LSTM whose last state is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(16, 64, batch_first=True), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def lstm() -> Workload:
    """An LSTM on 512 sequences of 32 steps."""
    data = (torch.randn(512, 32, 16), torch.randint(0, 10, (512,)))
    return Workload("LSTM", "LSTM 16-64, 512 × 32 steps", Recurrent(), classify, data, 25)


class ViT(nn.Module):
    """A small vision transformer for 32×32 images (Dosovitskiy et al. 2021, arXiv:2010.11929)."""

    def __init__(self, width: int = 96, layers: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 4, stride=4)
        self.place = nn.Parameter(0.02 * torch.randn(1, 64, width))
        self.blocks = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                width, 4, 4 * width, activation="gelu", batch_first=True, norm_first=True
            ),
            layers,
            enable_nested_tensor=False,
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).mT + self.place
        return self.head(self.norm(self.blocks(x).mean(1)))


def vit() -> Workload:
    """A ViT of four layers on 200 images."""
    data = (torch.randn(200, 3, 32, 32), torch.randint(0, 10, (200,)))
    return Workload("ViT", "ViT, 4 layers, d = 96, 200 images 3×32×32", ViT(), classify, data, 13)


WORKLOADS = {
    "W1": mlp, "W2": resnet, "W3": lenet, "W4": gpt, "PINN": pinn, "LSTM": lstm, "ViT": vit,
}  # fmt: skip


def workload(name: str) -> Workload:
    """One of `WORKLOADS`, the same numbers every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return WORKLOADS[name]()
