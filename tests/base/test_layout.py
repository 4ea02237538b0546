"""Layout: what is which slice of the flat vector."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from landscape.base.layout import Layout
from landscape.base.vector import Vector, layout_of


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


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a": 1}',
        '["w"]',
        '[{"name": "w", "shape": [1e400], "offset": 0, "kind": "weight", "filter_axis": 0}]',
        '[{"name": "w", "shape": [-1], "offset": 0, "kind": "weight", "filter_axis": 0}]',
        '[{"name": "w", "shape": [9, 9], "offset": 0, "kind": "weight", "filter_axis": 2}]',
        '[{"name": "w", "shape": [9, 9], "offset": 0, "kind": "weight", "filter_axis": -1}]',
        '[{"name": "w", "shape": [9], "offset": 0, "kind": "code", "filter_axis": 0}]',
        '[{"name": [1], "shape": [9], "offset": 0, "kind": "bias", "filter_axis": 0}]',
        '[{"name": "w", "shape": [4611686018427387904, 4], "offset": 0, "kind": "weight", '
        '"filter_axis": 0}]',
        '[{"name": "w", "shape": [], "offset": 0, "kind": "bias", "filter_axis": 0},'
        '{"name": "w", "shape": [], "offset": 1, "kind": "bias", "filter_axis": 0}]',
    ],
)
def test_hostile_texts_are_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"^The stored layout .*") as caught:
        Layout.from_json(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


class Convolution(nn.ConvTranspose1d):
    """A class of somebody's own."""


def test_derived_classes_keep_their_filters():
    assert Layout.of(Convolution(2, 3, 4)).entries[0].filter_axis == 1


def turned(layout):
    return Layout.joined(reversed(layout.entries))


@given(st.permutations(range(4)), st.sampled_from(["", "module.", "net._orig_mod."]))
def test_any_order_under_any_wrapper_is_put_right(order, prefix):
    layout = Layout.of(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)))
    entries = [layout.entries[i] for i in order]
    theirs = Layout.joined(replace(e, name=prefix + e.name) for e in entries)
    mine = np.arange(layout.size)
    vector = np.concatenate([mine[e.slice] for e in entries])
    np.testing.assert_array_equal(layout.matched(Vector(vector, theirs)), mine)
    stack = layout.matched(np.stack([vector, -vector]), of=theirs)
    np.testing.assert_array_equal(stack, [mine, -mine])


def test_arithmetic_pairs_by_name_and_picked_elements_have_no_layout():
    layout = Layout.of(nn.Linear(3, 2))
    other = turned(layout)
    a = Vector(np.arange(8.0), layout)
    b = Vector(other.matched(a), other)
    for result in (a + b, a * 2, -a, np.zeros_like(a), a.copy(), a.astype(np.float32), a[None][0]):
        assert layout_of(result) == layout
    np.testing.assert_array_equal(a - b, 0)
    assert float(np.dot(a, a)) == 140
    a += b
    np.testing.assert_array_equal(a, 2 * np.arange(8.0))
    for plain in (a[np.arange(8)[::-1]], a[::-1], a.take([7, 6, 5, 4, 3, 2, 1, 0]), a[:3]):
        assert layout_of(plain) is None
    assert layout_of(pickle.loads(pickle.dumps(a))) == layout
    renamed = Layout.joined(replace(entry, name=f"other_{entry.name}") for entry in layout)
    with pytest.raises(ValueError, match=r"different models: 2 missing \(first: weight\)"):
        np.add(a, Vector(np.zeros(8), renamed))


def test_another_model_is_refused_with_its_first_differences():
    layout = Layout.of(nn.Linear(3, 2))
    vector = Vector(np.zeros(8), Layout.of(nn.Sequential(nn.Linear(3, 2))))
    assert layout.matched(vector) is vector  # a prefix alone makes no difference
    with pytest.raises(ValueError, match=r"1 missing \(first: bias\); 1 of another shape"):
        layout.matched(Vector(np.zeros(8), Layout.of(nn.Linear(4, 2, bias=False))))
