"""Quantized bases with trainable adapters: surfaces are those of the dequantized model."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import landscape as ls


class Packed(nn.Parameter):
    """A parameter that holds whole numbers and is never trained, as of bitsandbytes."""

    def __new__(cls, data):
        return super().__new__(cls, data, requires_grad=False)


class Adapted(nn.Module):
    """x (W + B A / 2)ᵀ, with W as whole numbers of eight or four bits times a scale per row.

    Args:
        weight: W, before it is rounded.
        kind: ``buffer`` or ``parameter`` of int8, ``packed``: two numbers of 4 bits in a byte;
            ``dense``: the same W in float32.
    """

    def __init__(self, weight, kind):
        super().__init__()
        levels = 7 if kind == "packed" or kind == "dense 4" else 127
        scale = weight.abs().amax(1, keepdim=True) / levels
        whole = (weight / scale).round().to(torch.int8)
        self.kind = kind
        self.register_buffer("scale", scale)
        if kind.startswith("dense"):
            self.weight = nn.Parameter(whole * scale, requires_grad=False)
        elif kind == "packed":
            low, high = (whole[:, 0::2] + 8).to(torch.uint8), (whole[:, 1::2] + 8).to(torch.uint8)
            self.weight = Packed(low | (high << 4))
        elif kind == "buffer":
            self.register_buffer("weight", whole)
        else:
            self.weight = nn.Parameter(whole, requires_grad=False)
        self.down = nn.Parameter(torch.randn(2, weight.shape[1]) / 4)
        self.up = nn.Parameter(torch.randn(weight.shape[0], 2) / 4)

    def forward(self, x):
        weight = self.weight
        if self.kind == "packed":
            pairs = torch.stack([weight & 15, weight >> 4], dim=2).flatten(1)
            weight = pairs.to(torch.int8) - 8
        if not self.kind.startswith("dense"):
            weight = weight * self.scale
        return F.linear(x, weight) + F.linear(F.linear(x, self.down), self.up) / 2


def model_of(kind):
    torch.manual_seed(0)
    weights = [torch.randn(16, 12), torch.randn(4, 16)]
    layers = [Adapted(weight, kind) for weight in weights]
    return nn.Sequential(layers[0], nn.Tanh(), layers[1])


def loss(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


@pytest.mark.parametrize("strategy", ["sequential", "streamed", None])
@pytest.mark.parametrize("kind", ["buffer", "parameter", "packed"])
def test_surfaces_of_adapters_are_those_of_the_dequantized_model(kind, strategy):
    torch.manual_seed(1)
    data = torch.randn(24, 12), torch.randint(4, (24,))
    model, dense = model_of(kind), model_of("dense 4" if kind == "packed" else "dense")
    base = model[0].weight
    place, before = base.data_ptr(), base.detach().clone()
    found = []
    for each in (model, dense):
        objective = ls.Objective(each, loss, data, strategy=strategy, batch_size=8)
        assert objective.layout.size == 2 * (12 + 16) + 2 * (16 + 4)  # the adapters alone
        plane = ls.random_plane(objective, seed=3)
        found.append(ls.loss_surface(objective, plane, resolution=3).loss)
    with torch.no_grad():
        own = float(loss(model, data).mean())
    assert found[0][1, 1] == pytest.approx(own, rel=1e-6)
    assert np.ptp(found[0]) > 0.01
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    assert model[0].weight is base or kind == "buffer"
    assert model[0].weight.data_ptr() == place
    assert torch.equal(model[0].weight, before)
