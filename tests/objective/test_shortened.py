"""Checks of a large model look at a few tokens, and miss nothing that whole sequences show."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.module import register_module_forward_pre_hook

import landscape as ls
from landscape.objective.data.shortened import SHORT, shortened

TOKENS = 40


class Small(nn.Module):
    """An embedding, a layer, and a head; what comes between is another's."""

    def __init__(self):
        super().__init__()
        self.embed, self.layer, self.head = nn.Embedding(11, 8), nn.Linear(8, 8), nn.Linear(8, 11)

    def between(self, x):
        return x

    def forward(self, tokens):
        return self.head(self.between(torch.tanh(self.layer(self.embed(tokens)))))


def loss(model, batch):
    tokens = batch["input_ids"] if isinstance(batch, dict) else batch
    each = F.cross_entropy(model(tokens)[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")
    counts = (tokens[:, 1:] > 0).float()
    return (each * counts).sum(1), counts.sum(1)


def tokens(samples=1):
    torch.manual_seed(1)
    return torch.randint(1, 11, (samples, TOKENS))


def made(kind, data, strategy, loss=loss):
    torch.manual_seed(0)
    return ls.Objective(kind(), loss, data, strategy=strategy, batch_size=len(data))


def values(kind, data, strategy, loss=loss):
    objective = made(kind, data, strategy, loss)
    return ls.loss_surface(objective, ls.random_plane(objective), resolution=3).values


def test_only_integers_of_one_length_are_cut():
    ids, mask = tokens(2), torch.ones(2, TOKENS, dtype=torch.int64)
    batch = {"input_ids": ids, "position_ids": torch.arange(TOKENS)[None], "mask": mask}
    short, share = shortened({**batch, "weight": torch.ones(2)})
    assert [t.shape for t in short.values()] == [(2, SHORT), (1, SHORT), (2, SHORT), (2,)]
    assert share == SHORT / TOKENS
    for other in (
        torch.ones(2, TOKENS),
        (ids, mask[:, :-1]),
        {**batch, "mask": mask[:, None, None]},
        ids[:, : SHORT + 1],
        (ids, torch.ones(2, TOKENS)),
    ):
        assert shortened(other) is None


def test_one_whole_sequence_is_read_for_the_point_alone():
    lengths, objective = [], made(Small, tokens(), "streamed")

    def see(module, args):
        if isinstance(module, nn.Embedding):
            lengths.append(args[0].shape[1])

    at = objective.along(ls.random_plane(objective, stored=False))
    hook = register_module_forward_pre_hook(see)
    try:
        at(np.ones((1, 2)))
        assert lengths.count(TOKENS) == 1
        assert set(lengths) == {SHORT, TOKENS}
        at(np.zeros((3, 2)))
        assert lengths.count(TOKENS) == 4
    finally:
        hook.remove()


def test_sequences_that_begin_with_padding_are_looked_at_whole():
    data = tokens(2)
    data[:, : TOKENS - 5] = 0
    assert np.array_equal(values(Small, data, "streamed"), values(Small, data, "sequential"))


class GrowingLayer(nn.Linear):
    """Keeps what it computes of its weight when sequences are longer than any before."""

    longest, table = SHORT, torch.zeros(8)

    def forward(self, x):
        if x.shape[1] > self.longest:
            self.longest, self.table = x.shape[1], self.weight.detach()[0].clone()
        return super().forward(x) + self.table


class Growing(Small):
    """With such a layer."""

    def __init__(self):
        super().__init__()
        self.layer = GrowingLayer(8, 8)


class Counting(Small):
    """Notes how long sequences were, which is of no consequence."""

    longest = 0

    def between(self, x):
        if x.shape[1] > SHORT:
            self.longest = x.shape[1] + self.longest
        return x


class Remembering(Small):
    """Keeps what it computed of its weights for sequences as long as the last ones."""

    table = None

    def between(self, x):
        if self.table is None or len(self.table) != x.shape[1]:
            self.table = self.layer.weight.detach()[0].expand(x.shape[1:])
        return x + self.table


class Drawing(Small):
    """Draws random numbers for long sequences."""

    def between(self, x):
        return x + torch.randn(8) if x.shape[1] > SHORT else x


class Elsewhere(Small):
    """Reads a weight outside of its layer for long sequences."""

    def between(self, x):
        return x + self.layer.weight[0] if x.shape[1] > SHORT else x


@pytest.mark.parametrize("kind", [Counting, Growing])
def test_what_only_whole_sequences_assign(kind):
    found = [values(kind, tokens(), strategy) for strategy in ("streamed", "sequential")]
    assert np.array_equal(*found)


def test_a_cache_for_one_length():
    torch.manual_seed(0)
    model, data = Remembering(), tokens()
    model(data)
    objective = ls.Objective(model, loss, data, strategy="streamed")
    with pytest.raises(ValueError, match="computed of the weights before, in table"):
        ls.loss_surface(objective, resolution=3)


def test_what_only_whole_sequences_draw_or_read_elsewhere():
    with pytest.raises(ValueError, match="something random is active"):
        values(Drawing, tokens(), "streamed")
    with pytest.raises(ValueError, match="read where they were not seen"):
        values(Elsewhere, tokens(), "streamed")
