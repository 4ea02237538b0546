"""A trained Llama-style model: tied embedding, norm weights, and a loss weighted by tokens."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import landscape as ls
from landscape.exchange.checkpoints.state import load_state
from landscape.tasks.llama import BEGIN, Llama, Tokenizer, _rotated, next_token_loss, padded


@pytest.fixture(scope="module")
def stories(real_file):
    """The trained 260,000-parameter model and the tokens of five texts."""
    folder = real_file("checkpoints/stories260K/tok512.bin").parent
    model = Llama.from_state(load_state(folder / "stories260K_state_dict.pt"), heads=8)
    text = (folder / "tinystories_sample.txt").read_text(encoding="utf-8")
    texts = [part.strip() for part in text.split("<|endoftext|>") if part.strip()]
    return model, Tokenizer(folder / "tok512.bin"), texts


@pytest.fixture
def small():
    torch.manual_seed(0)
    return Llama(30, width=16, layers=2, heads=4, groups=2, hidden=24)


def test_mean_cross_entropy_of_the_trained_model(stories):
    model, tokenizer, texts = stories
    objective = ls.Objective(model, next_token_loss, padded([tokenizer.encode(t) for t in texts]))
    # Published to four digits after the point.
    assert objective.at(objective.parameters()).mean[0, 0] == pytest.approx(1.2664, abs=5e-5)


def test_tokens_spell_the_text(stories):
    _, tokenizer, texts = stories
    for text in [*texts, "naïve ∂L/∂θ"]:
        begin, *tokens = tokenizer.encode(text)
        bytes_of = [bytes([t - 3]) if 3 <= t < 259 else tokenizer.pieces[t] for t in tokens]
        assert begin == BEGIN
        assert b"".join(bytes_of).decode() == " " + text
    assert tokenizer.encode("the") == [BEGIN, tokenizer.pieces.index(b" the")]


def test_one_and_two_dimensional_surfaces_of_the_trained_model(stories):
    model, tokenizer, texts = stories
    objective = ls.Objective(model, next_token_loss, padded([tokenizer.encode(texts[2])]))
    centre, layout = objective.parameters(), objective.layout
    line = ls.loss_line(
        objective, ls.random_line(centre, layout, seed=1), extent=(-1, 1), resolution=5
    )
    plane = ls.random_plane(centre, layout, seed=1)
    surface = ls.loss_surface(objective, plane, resolution=3)
    # A trained model sits at the bottom of both, and at the same point.
    assert line.loss[0].argmin() == 2
    assert np.unravel_index(surface.loss.argmin(), (3, 3)) == (1, 1)
    assert surface.loss[1, 1] == pytest.approx(line.loss[0, 2], rel=1e-6)
    # Far from it the model is no better than guessing one of 512 tokens.
    assert surface.loss[0, 0] > np.log(512)


def test_tied_embedding_is_one_tensor_and_norms_are_left_alone(small):
    objective = ls.Objective(small, next_token_loss, padded([[1, 2, 3]]))
    layout = objective.layout
    kinds = {entry.name: entry.kind for entry in layout}
    assert "tok_embeddings.weight" in kinds
    assert "output.weight" not in kinds
    assert [n for n in kinds if kinds[n] == "norm"] == [n for n in kinds if "norm" in n]
    assert sum(kind == "norm" for kind in kinds.values()) == 2 * 2 + 1
    assert layout.size == sum(p.numel() for p in small.parameters())
    plane = ls.random_plane(objective.parameters(), layout, seed=0)
    for entry in layout:
        moved = plane.directions[:, entry.slice]
        if entry.kind == "norm":
            assert not moved.any()
        else:
            for direction in plane.directions:
                # Each row (a token's vector, a neuron) has the row's own norm; float32 storage.
                np.testing.assert_allclose(
                    layout.filter_norms(entry, direction),
                    layout.filter_norms(entry, plane.origin),
                    rtol=1e-5,
                )


def test_moving_the_tied_embedding_moves_input_and_output(small):
    data = padded([[1, 2, 3, 4], [1, 5]])
    objective = ls.Objective(small, next_token_loss, data)
    plane = ls.random_plane(objective.parameters(), objective.layout, seed=3)
    found = objective.restrict(plane.origin, plane.directions)(np.array([[0.3, -0.2]]))
    twin = copy.deepcopy(small)
    moved = plane.origin + 0.3 * plane.directions[0] - 0.2 * plane.directions[1]
    with torch.no_grad():
        for entry in objective.layout:
            values = torch.from_numpy(moved[entry.slice]).view(entry.shape)
            twin.get_parameter(entry.name).copy_(values)
        total, weight = next_token_loss(twin, data)
    assert twin.output.weight is twin.tok_embeddings.weight
    # Both compute in single precision; the sum of 4 terms differs by a few of its roundings.
    assert found.mean[0, 0] == pytest.approx(float(total / weight), rel=2e-6)


def test_every_token_counts_the_same_whatever_the_batches(small):
    texts = [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2], [1, 9, 9, 9]]
    with torch.no_grad():
        each = [[float(v) for v in next_token_loss(small, padded([text]))] for text in texts]
    by_tokens = sum(total for total, _ in each) / sum(weight for _, weight in each)
    by_texts = np.mean([total / weight for total, weight in each])
    for batch_size in (1, 2, 3):
        objective = ls.Objective(small, next_token_loss, padded(texts), batch_size=batch_size)
        found = objective.at(objective.parameters()).mean[0, 0]
        assert found == pytest.approx(by_tokens, rel=2e-6)
        assert abs(found - by_texts) > 1e-3


def test_a_token_sees_only_itself_and_earlier_ones(small):
    tokens = torch.tensor([[1, 2, 3, 4, 5]])
    changed = tokens.clone()
    changed[0, 3] = 9
    before, after = small(tokens), small(changed)
    torch.testing.assert_close(before[:, :3], after[:, :3], rtol=0, atol=0)
    assert (before[:, 3:] != after[:, 3:]).any()


def test_rotary_products_depend_on_the_distance_only():
    torch.manual_seed(0)
    query, key = (torch.randn(8, dtype=torch.float64) for _ in range(2))
    turned = [_rotated(t.expand(1, 1, 6, 8))[0, 0] for t in (query, key)]
    products = turned[0] @ turned[1].T
    for distance in range(-5, 6):
        diagonal = products.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))


def test_a_tokenizer_file_cut_short(tmp_path):
    (tmp_path / "tok.bin").write_bytes(b"\x07\x00\x00\x00\x00\x00")
    with pytest.raises(ValueError, match="ends within a piece"):
        Tokenizer(tmp_path / "tok.bin")
