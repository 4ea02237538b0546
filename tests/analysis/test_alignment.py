"""Alignment: what is permuted keeps its function, and planted permutations are found."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import landscape as ls
from landscape.analysis.connectivity.alignment import permutable_of
from landscape.analysis.connectivity.permutations import Group, Permutable, check_function
from landscape.tasks.llama import Llama
from landscape.tasks.names import IMAGE_MODELS, TEXT_MODELS, find_model


def images(size: int = 32, samples: int = 4) -> Any:
    x = torch.randn(samples, 3, size, size, generator=torch.Generator().manual_seed(0))
    return SimpleNamespace(train=(x, torch.arange(samples) % 4), classes=4)


def objective_of(model: nn.Module, x: Tensor) -> ls.Objective:
    def loss(model: nn.Module, batch: Any) -> Tensor:
        output = model(batch[0])
        return getattr(output, "logits", output).square().flatten(1).mean(dim=1)

    return ls.Objective(model, loss, (x,))


SHIPPED = [
    *("mlp-8-6-relu", "mlp-8-6-bn", "conv", "lenet", "vgg9", "vgg9-nobn", "vgg11"),
    *("resnet20-w4", "resnet20-w4-padding", "resnet20-w4-noskip", "resnet56-w2", "vit-w16"),
]


@pytest.mark.parametrize("name", SHIPPED)
def test_random_permutations_keep_the_function_of_shipped_models(name: str) -> None:
    torch.manual_seed(0)
    data = images()
    found, error = permutable_of(objective_of(find_model(name, IMAGE_MODELS)(data), data.train[0]))
    assert error <= 1e-10
    assert found.groups


def test_every_shipped_image_model_is_covered() -> None:
    # resnet110 is resnet20 with more blocks.
    assert {name.split("-")[0] for name in SHIPPED} == set(IMAGE_MODELS) - {"resnet110"}
    assert set(TEXT_MODELS) == {"gpt"}


def tokens(samples: int = 3) -> Tensor:
    return torch.randint(0, 24, (samples, 9), generator=torch.Generator().manual_seed(0))


def test_random_permutations_keep_the_function_of_text_models() -> None:
    torch.manual_seed(0)
    data = SimpleNamespace(train=(tokens(),), classes=24)
    gpt = find_model("gpt-w16", TEXT_MODELS)(data)
    for model in (gpt, Llama(24, width=16, layers=2, heads=4, groups=2, hidden=12)):
        found, error = permutable_of(objective_of(model, tokens()))
        assert error <= 1e-10
        assert {"stream"} < {g.name for g in found.groups}


def hugging_face(kind: str, **more: Any) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    wide = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    wide |= {"num_attention_heads": 4, "vocab_size": 24, "max_position_embeddings": 16}
    if kind == "GPT2":
        wide = {"n_embd": 16, "n_layer": 2, "n_head": 4, "vocab_size": 24, "n_positions": 16}
    config = getattr(transformers, f"{kind}Config")(
        **wide, bos_token_id=0, eos_token_id=0, pad_token_id=None, **more
    )
    config._attn_implementation = "eager"
    name = "GPT2LMHeadModel" if kind == "GPT2" else f"{kind}ForCausalLM"
    return getattr(transformers, name)(config)


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("GPT2", {}),
        ("Llama", {"num_key_value_heads": 2}),
        ("Llama", {"num_key_value_heads": 2, "tie_word_embeddings": True, "attention_bias": True}),
        ("Mistral", {"num_key_value_heads": 2, "head_dim": 4}),
        ("Qwen2", {"num_key_value_heads": 2}),
        ("Qwen3", {"num_key_value_heads": 2, "head_dim": 8}),
        ("GPTNeoX", {}),
        ("GPTNeoX", {"use_parallel_residual": False, "tie_word_embeddings": True}),
    ],
)
def test_random_permutations_keep_the_function_of_hugging_face_models(
    kind: str, more: dict
) -> None:
    model = hugging_face(kind, **more)
    objective = objective_of(model, tokens())
    found, error = permutable_of(objective)
    assert error <= 1e-10
    assert len(found.groups) == 1 + 2 * 2


def test_what_is_not_expected_of_transformers_is_said() -> None:
    torch.manual_seed(0)
    gpt = find_model("gpt-w16", TEXT_MODELS)(SimpleNamespace(train=(tokens(),), classes=24))
    objective = objective_of(gpt, tokens())
    a, b = np.random.default_rng(0).normal(0, 0.1, (2, objective.layout.size)).astype(np.float32)
    found = ls.barriers(objective, [a, b], resolution=3, align="weights")
    assert "transformers permutations alone are not known to remove" in found.settings["alignment"]


def test_a_wrong_group_is_refused() -> None:
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    (group,) = permutable_of(objective_of(model, torch.randn(4, 3)))[0].groups
    halved = Permutable((Group("wrong", 5, group.places[:-1]),))
    with pytest.raises(ValueError, match="no symmetries"):
        check_function(model, halved, ((torch.randn(4, 3),), {}))


def test_what_is_not_followed_is_pinned_and_named() -> None:
    class Sorted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.three = nn.Linear(3, 6), nn.Linear(6, 7), nn.Linear(7, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.three(torch.cumsum(self.two(self.one(x).relu()), -1))

    found, _ = permutable_of(objective_of(Sorted(), torch.randn(4, 3)))
    assert [g.units for g in found.groups] == [6]
    assert any("7 units" in said and "cumsum" in said for said in found.pinned)


def test_a_layer_whose_units_are_not_followed_is_named() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside, self.last = nn.LSTM(10, 5, batch_first=True), nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.inside(x[:, None])[0][:, -1])

    found, _ = permutable_of(objective_of(Recurrent(), torch.randn(4, 10)))
    assert not found.groups
    assert "LSTM inside: not followed" in found.pinned


class Residual(nn.Module):
    def __init__(self, stream: int, inner: int, blocks: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(10, stream), nn.Linear(stream, 4)
        self.up = nn.ModuleList(nn.Linear(stream, inner) for _ in range(blocks))
        self.down = nn.ModuleList(nn.Linear(inner, stream) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for up, down in zip(self.up, self.down, strict=True):
            x = x + down(F.relu(up(x)))
        return self.last(x)


def shuffled(objective: ls.Objective, vector: np.ndarray, seed: int) -> np.ndarray:
    """The same network with its units in a random order."""
    from landscape.analysis.connectivity.alignment import flat, tensors_of
    from landscape.analysis.connectivity.matching import ordered

    random = np.random.default_rng(seed)
    groups = permutable_of(objective)[0].groups
    orders = {g.name: random.permutation(g.units) for g in groups}
    layout = objective.layout
    return flat(ordered(tensors_of(vector, layout), groups, orders), layout, vector.dtype)


class Squares(nn.Module):
    """Layers from a stream to itself: both of their axes belong to one group."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(10, 16), nn.Linear(16, 4)
        self.inner = nn.ModuleList(nn.Linear(16, 16) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for inner in self.inner:
            x = x + F.relu(inner(x))
        return self.last(x)


def test_matching_never_ends_farther_away_than_it_began() -> None:
    for seed in range(10):
        objective = objective_of(Squares(), torch.randn(4, 10))
        a, b = np.random.default_rng(seed).normal(size=(2, objective.layout.size))
        found = ls.align(objective, a.astype(np.float32), b.astype(np.float32), restarts=0)
        assert found.after >= found.before
        kept = ls.align(objective, found.vector, found.vector, restarts=0)
        np.testing.assert_array_equal(kept.vector, found.vector)


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Sequential(
            *(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 4))
        ),
        lambda: Residual(16, 32, 2),
        lambda: Residual(32, 64, 2),
        lambda: Residual(32, 64, 4),
        Squares,
    ],
    ids=["mlp", "16-32-2", "32-64-2", "32-64-4", "squares"],
)
def test_planted_permutations_are_found(build: Any) -> None:
    found = 0
    for seed in range(20):
        torch.manual_seed(seed)
        objective = objective_of(build(), torch.randn(4, 10))
        a = objective.parameters()
        b = ls.align(objective, a, shuffled(objective, a, seed), seed=seed)
        found += np.array_equal(b.vector, a) and b.after == pytest.approx(1)
    assert found == 20


def test_running_statistics_follow_and_the_function_stays() -> None:
    torch.manual_seed(0)
    data = images(8)
    model = find_model("conv", IMAGE_MODELS)(data).train()
    for _ in range(3):
        model(data.train[0])
    objective = objective_of(model.eval(), data.train[0])
    b = objective.parameters()
    a = np.random.default_rng(1).normal(size=b.size)
    found = ls.align(objective, a, b)
    assert found.buffers is not None
    before, after = objective.at(b).mean, objective.at(found.vector, buffers=found.buffers).mean
    np.testing.assert_allclose(after, before, rtol=1e-5)
    assert not np.allclose(objective.at(found.vector).mean, before, rtol=1e-3)


def test_own_permutation_leaves_no_barrier_by_either_method() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 10)
    objective = objective_of(Residual(16, 24, 2).double(), x.double())
    a = objective.parameters()
    b = shuffled(objective, a, 3)
    for method in ("weights", "activations"):
        found = ls.align(objective, a, b, method=method)
        middle = 0.5 * (np.asarray(a) + np.asarray(found.vector))
        end, half = (float(objective.at(v).mean[0, 0]) for v in (a, middle))
        assert half == pytest.approx(end, rel=1e-6)


def test_aligning_many_permutes_each_network_once() -> None:
    torch.manual_seed(0)
    objective = objective_of(Residual(8, 12, 1), torch.randn(4, 10))
    a = objective.parameters()
    networks = [a, shuffled(objective, a, 1), shuffled(objective, a, 2)]
    for to in (0, "mean"):
        found = ls.align_many(objective, networks, to=to)
        for one in found[1:]:
            np.testing.assert_array_equal(one.vector, found[0].vector)
        assert found[0].settings["connectivity"] == "strong"
    with pytest.raises(ValueError, match="to=7"):
        ls.align_many(objective, networks, to=7)


def test_an_alignment_is_kept_in_a_file(tmp_path: Any) -> None:
    objective = objective_of(Residual(8, 12, 1), torch.randn(4, 10))
    a = objective.parameters()
    found = ls.align(objective, a, shuffled(objective, a, 1))
    found.save(tmp_path / "r.h5", "alignment")
    read = ls.load_results(tmp_path / "r.h5")["alignment"]
    np.testing.assert_array_equal(read.vector, found.vector)
    for name, order in found.permutations.items():
        np.testing.assert_array_equal(read.permutations[name], order)


def test_repaired_units_have_the_statistics_between_the_ends() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 4))
    )
    objective = objective_of(model, torch.randn(200, 10))
    a, b = objective.parameters(), objective.parameters()[::-1].copy()

    def statistics(vector: np.ndarray) -> tuple[Tensor, Tensor]:
        twin = copy.deepcopy(model)
        nn.utils.vector_to_parameters(torch.from_numpy(np.array(vector)), twin.parameters())
        with torch.no_grad():
            seen = twin[:3](objective.data.batches(200)[0][0][0])
        return seen.mean(dim=0), seen.std(dim=0, correction=0)

    repaired = ls.repair(objective, a, b, np.array([0, 0.3, 1]))
    np.testing.assert_array_equal(repaired[0], a)
    np.testing.assert_array_equal(repaired[2], b)
    ends = statistics(a), statistics(b)
    for at, first, second in zip(statistics(repaired[1]), *ends, strict=True):
        torch.testing.assert_close(at, 0.7 * first + 0.3 * second, rtol=1e-3, atol=1e-4)


def test_repair_of_batch_norm_says_what_to_do() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    objective = objective_of(model, torch.randn(8, 3))
    a = objective.parameters()
    with pytest.raises(ValueError, match="recalibrated"):
        ls.repair(objective, a, a, np.array([0.5]))


def test_what_cannot_be_aligned_or_repaired_is_refused() -> None:
    objective = objective_of(Residual(8, 12, 1), torch.randn(4, 10))
    a = objective.parameters()
    diverged = np.where(np.arange(a.size) == 3, np.nan, a).astype(np.float32)
    for call in (
        lambda: ls.align(objective, a, diverged),
        lambda: ls.align_many(objective, [a, diverged], to="mean"),
        lambda: ls.barriers(objective, [a, diverged], align="activations"),
    ):
        with pytest.raises(ValueError, match="not finite"):
            call()
    with pytest.raises(ValueError, match="whole number"):
        ls.align(objective, a, a, restarts=1.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="from 0 to 1"):
        ls.repair(objective, a, a, np.array([1.5]))
