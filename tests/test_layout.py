"""Layout: what is which slice of the flat vector."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from landscape.layout import Layout


def test_order_shapes_kinds_and_filter_axes():
    model = nn.Sequential(
        nn.Conv2d(2, 3, 5), nn.BatchNorm2d(3), nn.ConvTranspose2d(3, 4, 2), nn.LayerNorm(4)
    )
    layout = Layout.of(model)
    assert layout.size == sum(p.numel() for p in model.parameters())
    assert [(e.name, e.kind, e.filter_axis) for e in layout] == [
        ("0.weight", "weight", 0),
        ("0.bias", "bias", 0),
        ("1.weight", "norm", 0),
        ("1.bias", "norm", 0),
        ("2.weight", "weight", 1),
        ("2.bias", "bias", 0),
        ("3.weight", "norm", 0),
        ("3.bias", "norm", 0),
    ]
    assert [e.name for e in Layout.of_buffers(model)] == ["1.running_mean", "1.running_var"]


def test_tied_and_frozen_parameters():
    model = nn.ModuleDict({"embed": nn.Embedding(5, 3), "head": nn.Linear(3, 5, bias=False)})
    model["head"].weight = model["embed"].weight
    assert [e.name for e in Layout.of(model)] == ["embed.weight"]
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameter"):
        Layout.of(model)


@pytest.mark.parametrize("module", [nn.Linear(4, 3), nn.Conv2d(2, 3, 5), nn.Conv1d(2, 5, 3)])
def test_filter_norms_equal_torch(module):
    layout = Layout.of(module)
    vector = torch.cat([p.detach().reshape(-1) for p in module.parameters()]).numpy()
    weight = module.weight.detach().double()
    expected = weight.reshape(len(weight), -1).norm(dim=1).numpy()
    norms = layout.filter_norms(layout.entries[0], vector)
    np.testing.assert_allclose(norms.reshape(-1), expected, rtol=1e-14)
    assert norms.shape == (len(weight), *[1] * (weight.ndim - 1))


def test_filters_of_a_transposed_convolution_are_its_output_channels():
    module = nn.ConvTranspose2d(3, 4, 2, bias=False)
    layout = Layout.of(module)
    norms = layout.filter_norms(layout.entries[0], module.weight.detach().numpy().reshape(-1))
    expected = torch.linalg.vector_norm(module.weight.detach().double(), dim=(0, 2, 3)).numpy()
    np.testing.assert_allclose(norms.reshape(-1), expected, rtol=1e-14)


def test_json_round_trip_and_damage():
    layout = Layout.of(nn.Linear(4, 3))
    assert Layout.from_json(layout.to_json()) == layout
    for text in ("{", "[1]", layout.to_json().replace('"offset": 12', '"offset": 13')):
        with pytest.raises(ValueError, match=r"cannot be read|has a gap"):
            Layout.from_json(text)


def test_differences_are_named():
    layout = Layout.of(nn.Linear(4, 3))
    assert layout.differences(Layout.of(nn.Linear(4, 3))) == ""
    assert "1 of another shape (first: weight" in layout.differences(Layout.of(nn.Linear(5, 3)))
    assert "1 missing (first: bias)" in layout.differences(Layout.of(nn.Linear(4, 3, bias=False)))
