"""Low-rank adapters: between base and adapted model, in their own space, and merged."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import landscape as ls


class Adapted(nn.Module):
    """A linear layer with an adapter, as peft makes it."""

    def __init__(self, base, rank=2, scaling=2.0):
        super().__init__()
        self.base_layer = base.requires_grad_(False)
        down, up = (
            nn.Linear(base.in_features, rank, False),
            nn.Linear(rank, base.out_features, False),
        )
        self.lora_A, self.lora_B = nn.ModuleDict({"default": down}), nn.ModuleDict({"default": up})
        nn.init.zeros_(up.weight)
        self.scaling, self.merged = {"default": scaling}, False

    def forward(self, x):
        return self.base_layer(x) + self.scaling["default"] * self.lora_B["default"](
            self.lora_A["default"](x)
        )


class Saved(nn.Module):
    """A layer that was trained as a whole beside the adapter."""

    def __init__(self, layer):
        super().__init__()
        self.original_module = layer.requires_grad_(False)
        self.modules_to_save = nn.ModuleDict({"default": copy.deepcopy(layer).requires_grad_()})

    def forward(self, x):
        return self.modules_to_save["default"](x)


def model_of(*, fresh=False, saved=False):
    torch.manual_seed(0)
    first, last = nn.Linear(5, 6), nn.Linear(6, 3)
    model = nn.Sequential(Adapted(first), nn.Tanh(), Saved(last) if saved else Adapted(last))
    if not fresh:
        for p in model.parameters():
            if p.requires_grad:
                p.data.add_(0.3 * torch.randn_like(p))
    return model.eval()


def loss(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


DATA = torch.randn(40, 5, generator=torch.Generator().manual_seed(1)), torch.arange(40) % 3


def plain(model, alpha):
    """The same without adapters, their weights added by hand."""

    def layer(one):
        if isinstance(one, Saved):
            made, new = copy.deepcopy(one.original_module), one.modules_to_save["default"]
            for p, q in zip(made.parameters(), new.parameters(), strict=True):
                p.data.lerp_(q.data, alpha)
            return made
        if not isinstance(one, Adapted):
            return one
        made = copy.deepcopy(one.base_layer)
        change = one.lora_B["default"].weight @ one.lora_A["default"].weight
        made.weight.data += alpha * one.scaling["default"] * change.data
        return made

    return nn.Sequential(*map(layer, model))


@pytest.mark.parametrize("saved", [False, True])
def test_the_line_is_that_of_the_weights(saved):
    model = model_of(saved=saved)
    found = ls.loss_line(
        ls.Objective(model, loss, DATA), ls.adapter_line(model), extent=(-0.5, 1.5), resolution=5
    )
    with torch.no_grad():
        expected = [loss(plain(model, alpha), DATA).mean().item() for alpha in found.alpha]
    np.testing.assert_allclose(found.loss[0], expected, rtol=2e-6)


def test_both_ends_are_exact():
    model = model_of()
    line = ls.adapter_line(model)
    np.testing.assert_array_equal(
        np.asarray(line.origin) + np.asarray(line.directions)[0],
        torch.cat([p.detach().reshape(-1) for p in model.parameters() if p.requires_grad]),
    )


def test_a_fresh_adapter_is_not_flat():
    model = model_of(fresh=True)
    objective = ls.Objective(model, loss, DATA)
    plane = ls.adapter_plane(objective, seed=3)
    np.testing.assert_array_equal(np.asarray(plane.origin), np.asarray(objective.parameters()))
    norms = {e.name: np.linalg.norm(np.asarray(plane.directions)[0][e.slice]) for e in plane.layout}
    down, up = norms["0.lora_A.default.weight"], norms["0.lora_B.default.weight"]
    assert up == pytest.approx(down, rel=1e-5)
    found = ls.loss_surface(objective, plane, resolution=5)
    assert np.ptp(found.loss) > 0.05
    with pytest.raises(ValueError, match="does nothing yet"):
        ls.adapter_line(model)


def test_a_trained_adapter_moves_as_any_random_plane():
    objective = ls.Objective(model_of(), loss, DATA)
    mine, other = ls.adapter_plane(objective, seed=1), ls.random_plane(objective, seed=1)
    np.testing.assert_array_equal(np.asarray(mine.directions), np.asarray(other.directions))


def test_merged_weights_move_and_nothing_is_copied():
    model = model_of()
    merged = ls.merged_space(model)
    trained = [name for name, p in merged.named_parameters() if p.requires_grad]
    assert trained == ["0.base_layer.weight", "2.base_layer.weight"]
    assert {p.data_ptr() for p in merged.parameters()} == {p.data_ptr() for p in model.parameters()}
    assert [p.requires_grad for p in model.parameters()] == [
        "lora" in name for name, _ in model.named_parameters()
    ]
    objective = ls.Objective(merged, loss, DATA)
    plane = ls.random_plane(objective, seed=2)
    found = ls.loss_surface(objective, plane, resolution=3)
    by_hand = plain(model, 1.0).requires_grad_()
    same = ls.Objective(by_hand, loss, DATA)
    weights = {"0.weight": "0.base_layer.weight", "2.weight": "2.base_layer.weight"}
    directions = np.zeros((2, same.layout.size))
    pairs = {entry.name: entry for entry in plane.layout}
    for entry in same.layout:
        if entry.name in weights:
            directions[:, entry.slice] = plane.directions[:, pairs[weights[entry.name]].slice]
    corners = np.stack(np.meshgrid(found.alpha, found.beta), -1).reshape(-1, 2)
    expected = same.restrict(same.parameters(), directions)(corners).mean[0].reshape(3, 3)
    np.testing.assert_allclose(found.loss, expected, rtol=5e-6)


def test_what_is_no_adapter_is_refused():
    with pytest.raises(ValueError, match="no adapter"):
        ls.adapter_line(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="no adapter"):
        ls.merged_space(nn.Linear(2, 2))
    model = model_of()
    with pytest.raises(ValueError, match="No trainable adapter is called 'other'"):
        ls.adapter_line(model, adapter="other")
    model[0].merged = True
    for refused in (ls.adapter_line, ls.merged_space):
        with pytest.raises(ValueError, match=r"merged into the weights \(0\); call unmerge"):
            refused(model)
    frozen = nn.Sequential(model_of().requires_grad_(False), nn.Linear(3, 3))
    with pytest.raises(ValueError, match="is_trainable=True"):
        ls.adapter_line(frozen)
    dora = model_of()
    dora[0].lora_magnitude_vector = nn.ParameterDict({"default": nn.Parameter(torch.ones(6))})
    with pytest.raises(ValueError, match="DoRA"):
        ls.adapter_line(dora)


@pytest.mark.filterwarnings("ignore:.*")
def test_the_real_library():
    peft = pytest.importorskip("peft", reason="peft is not installed")
    from language_models import model_of as language_model

    batch = {"input_ids": torch.randint(1, 64, (4, 9))}
    base = language_model("gpt2")
    with torch.no_grad():
        own = ls.losses.causal_lm(base, batch)
    told = peft.LoraConfig(
        r=2, target_modules=["c_attn", "c_proj"], modules_to_save=["ln_f"], fan_in_fan_out=True
    )
    model = peft.get_peft_model(base, told).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    with torch.no_grad():
        adapted = ls.losses.causal_lm(model, batch)
    found = ls.loss_line(
        ls.Objective(model, ls.losses.causal_lm, batch),
        ls.adapter_line(model),
        extent=(0, 1),
        resolution=2,
    )
    expected = [float(f.total.sum() / f.weight.sum()) for f in (own, adapted)]
    np.testing.assert_allclose(found.loss[0], expected, rtol=1e-6)
    merged = ls.Objective(ls.merged_space(model), ls.losses.causal_lm, batch)
    assert merged.at(merged.parameters()).mean[0, 0] == pytest.approx(expected[1], rel=1e-6)
