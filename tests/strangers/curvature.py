"""Losses whose Hessian strangers ask for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import landscape as ls
from strangers.situation import Verdict, refuses, situation

KIND = "curvature"


def tries(loss: Callable, model: nn.Module | None = None) -> Callable[[], Any]:
    """Ask for the largest eigenvalue of a loss on 24 samples."""
    model = model or nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    data = (torch.randn(24, 4), torch.randint(3, (24,)))
    return lambda: ls.hessian_spectrum(ls.Objective(model, loss, data), top=1, bottom=0)


def agrees(loss: Callable, model: nn.Module, data: tuple) -> Verdict:
    """A product equals the derivative of the stranger's own gradient along a direction."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    graph = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
    slopes = torch.autograd.grad(loss(model, data), parameters, **graph)
    flat = torch.cat([slope.reshape(-1) for slope in slopes])
    direction = torch.randn(flat.numel())
    rows = torch.autograd.grad(flat @ direction, parameters, **graph)
    want = torch.cat([row.detach().reshape(-1) for row in rows]).numpy()
    objective = ls.Objective(model, loss, data)
    with objective.hessian(objective.parameters()) as hessian:
        found = hessian @ direction.double().numpy()
    np.testing.assert_allclose(found, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())
    assert all(p.grad is None for p in model.parameters())
    return Verdict(True, "a product")


@situation(KIND, "two embeddings, one of them frozen")
def embeddings(folder: Path) -> Verdict:
    model = nn.ModuleDict({"words": nn.Embedding(9, 4), "fixed": nn.Embedding(9, 4)})
    model["fixed"].requires_grad_(False)

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        near = (model["words"](batch[0]) + model["fixed"](batch[0])).mean(dim=1)
        return near.square().sum(dim=1).exp().log1p().mean()

    return agrees(loss, model, (torch.randint(9, (12, 5)),))


@situation(KIND, "embedding bags, whose kernel has no second derivative")
def embedding_bag(folder: Path) -> Verdict:
    model = nn.Sequential(nn.EmbeddingBag(9, 4), nn.Tanh(), nn.Linear(4, 3))

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return F.cross_entropy(model(batch[0]), batch[1], reduction="none")

    data = (torch.randint(9, (12, 5)), torch.randint(3, (12,)))
    objective = ls.Objective(model, loss, data)
    return refuses(
        "cannot be differentiated twice", lambda: ls.hessian_spectrum(objective, top=1, bottom=0)
    )


@situation(KIND, "a loss under torch.no_grad, as for evaluation")
def evaluated_without_gradients(folder: Path) -> Verdict:
    @torch.no_grad()
    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return F.cross_entropy(model(batch[0]), batch[1])

    return refuses("autograd sees", tries(loss))


@situation(KIND, "a teacher that is the detached student")
def detached_teacher(folder: Path) -> Verdict:
    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        logits = model(batch[0])
        teacher = torch.softmax(2 * logits.detach(), dim=1)
        return -(teacher * torch.log_softmax(logits, dim=1)).sum(dim=1)

    return refuses("does not see all of the loss", tries(loss))


@situation(KIND, "weights that are quantized with a straight-through estimator")
def quantized(folder: Path) -> Verdict:
    class Quantized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(3, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rounded = (self.weight * 4).round() / 4
            return F.linear(x, self.weight + (rounded - self.weight).detach())

    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        return F.cross_entropy(model(batch[0]), batch[1], reduction="none")

    return refuses("does not see all of the loss", tries(loss, Quantized()))


@situation(KIND, "a mean that goes through numpy")
def through_numpy(folder: Path) -> Verdict:
    def loss(model: nn.Module, batch: tuple) -> torch.Tensor:
        each = F.cross_entropy(model(batch[0]), batch[1], reduction="none")
        scale = float(np.mean(each.detach().numpy()))
        return each * scale

    return refuses("does not see all of the loss|batches", tries(loss))
