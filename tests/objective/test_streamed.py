"""Weights that come and go module by module: the same numbers, and nothing of the model's moved."""

import itertools
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import landscape as ls
from landscape.objective.lending.slices import Sliced
from landscape.objective.strategies.choice import Choice
from landscape.objective.vectors.making import Making


class Tied(nn.Module):
    """An embedding that is the head too, read by the model itself, and a layer that runs twice."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.position = nn.Parameter(torch.randn(6, 8))
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)

    def forward(self, tokens):
        x = self.embed(tokens) + self.position[: tokens.shape[1]]
        for _ in range(2):
            x = self.layer(x)
        x = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        return F.linear(x, self.embed.weight)


def tied(dtype=torch.float32):
    torch.manual_seed(0)
    return Tied().to(dtype), next_token, torch.randint(11, (10, 6))


def next_token(model, batch):
    logits = model(batch).float()
    return F.cross_entropy(logits[:, :-1].transpose(1, 2), batch[:, 1:], reduction="none").mean(1)


def gpt2(dtype=torch.float32):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=23, n_positions=8)
    return GPT2LMHeadModel(config).to(dtype), labelled, torch.randint(23, (10, 7))


def labelled(model, batch):
    weight = torch.full((len(batch),), batch.shape[1] - 1)
    logits = model(input_ids=batch, use_cache=False).logits.float()
    losses = F.cross_entropy(logits[:, :-1].transpose(1, 2), batch[:, 1:], reduction="none")
    return losses.sum(1), weight


def convolutional(dtype=torch.float32):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
        nn.utils.parametrizations.weight_norm(nn.Linear(64, 5)),
    ).to(dtype)  # fmt: skip
    x = torch.randn(10, 2, 6, 6, dtype=dtype)
    return model, classes, (x, torch.randint(5, (10,)))


def classes(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1], reduction="none")


def state(model):
    return {n: (t.data_ptr(), t.clone()) for n, t in model.state_dict().items()}


def unchanged(model, before):
    now = model.state_dict()
    return all(now[n].data_ptr() == p and torch.equal(now[n], t) for n, (p, t) in before.items())


@pytest.mark.parametrize("case", [tied, gpt2, convolutional])
def test_streamed_is_sequential_bit_for_bit(case):
    model, loss, data = case()
    before = state(model)

    def measured(strategy, chunk=None, metrics=None):
        objective = ls.Objective(
            model, loss, data, metrics=metrics, strategy=strategy, batch_size=4
        )
        plane = ls.random_plane(objective)
        if chunk:
            objective.tuning.use(Choice("streamed", 4, chunk))
        found = ls.loss_surface(objective, plane, resolution=3).values
        assert objective.choice.strategy == strategy
        return found

    wanted = measured("sequential")
    assert np.isfinite(wanted).all()
    for chunk in (1, 2, 5):
        assert np.array_equal(measured("streamed", chunk), wanted)
    both = measured("streamed", 3, {"again": loss})
    assert np.array_equal(both, np.concatenate([wanted, wanted]))
    assert unchanged(model, before)


def test_statistics_of_each_batch_stay_so():
    model, loss, data = convolutional()
    found = []
    for strategy in ("sequential", "streamed"):
        objective = ls.Objective(
            model, loss, data, strategy=strategy, batch_size=5, batch_norm="batch"
        )
        at = objective.along(ls.random_plane(objective))
        found += [at(np.array([[0.0, 0.0], [0.1, 0.2]])).mean for _ in range(2)]
    assert all(np.array_equal(found[0], other) for other in found[1:])


class Words(nn.Module):
    """An embedding whose weight is that of the head."""

    def __init__(self):
        super().__init__()
        self.embed, self.layer = nn.Embedding(512, 64), nn.Linear(64, 64)
        self.head = nn.Linear(64, 512, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens):
        return self.head(torch.tanh(self.layer(self.embed(tokens))))


def test_large_embeddings_and_heads_are_made_by_rows(monkeypatch):
    monkeypatch.setattr("landscape.objective.lending.slices.LARGE", 2**15)
    monkeypatch.setattr("landscape.objective.lending.slices._WORTH", 2**11)
    monkeypatch.setattr("landscape.objective.lending.slices._BLOCK", 2**13)
    monkeypatch.setattr("landscape.objective.lending.slices._LEAST", 16)
    torch.manual_seed(0)
    model, data = Words(), torch.randint(512, (10, 6))
    monkeypatch.setattr(Making, "_values", _not_large(Making._values))
    found = []
    for strategy, chunk in (("sequential", 1), ("streamed", 1), ("streamed", 3), ("streamed", 9)):
        if chunk == 9:  # through the head one after the other
            monkeypatch.setattr("landscape.objective.strategies.streamed._HEADS", 0.0)
        objective = ls.Objective(model, next_token, data, strategy=strategy, batch_size=4)
        objective.tuning.use(Choice(strategy, 4, chunk))
        plane = ls.random_plane(objective, stored=False)
        found.append(ls.loss_surface(objective, plane, resolution=3).values)
    assert all(np.array_equal(found[0], other) for other in found[1:])


def _not_large(values):
    """Fails where the whole of the embedding is made."""

    def checked(making, each):
        assert each.entry.size < 2**15 or not any(making.point), each.entry.name
        return values(making, each)

    return checked


class Wide(nn.Module):
    """Linear layers with and without a bias."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(32, 96), nn.Linear(96, 40, bias=False)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))


def wide(dtype=torch.float32):
    torch.manual_seed(0)
    data = torch.randn(10, 32, dtype=dtype), torch.randint(40, (10,))
    return Wide().to(dtype), classes, data


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", [wide, gpt2])
def test_slices_of_linear_layers_give_the_same_bits(case, dtype, monkeypatch):
    slices = "landscape.objective.lending.slices"
    for name, value in (("_WORTH", 2**8), ("_BLOCK", 2**9), ("_LEAST", 16)):
        monkeypatch.setattr(f"{slices}.{name}", value)
    multiplied, multiply = [], Sliced._multiply
    monkeypatch.setattr(
        Sliced, "_multiply", lambda *args: (multiplied.append(args[4]), multiply(*args))
    )
    model, loss, data = case(dtype)
    found, shares = [], []
    for strategy, chunk in (("sequential", 1), ("streamed", 1), ("streamed", 4), ("streamed", 9)):
        options = {} if dtype == torch.float32 else {"precision": "native"}
        objective = ls.Objective(model, loss, data, strategy=strategy, batch_size=2, **options)
        objective.tuning.use(Choice(strategy, 2, chunk))
        plane = ls.random_plane(objective, stored=False)
        surface = ls.loss_surface(objective, plane, resolution=3)
        found.append(surface.values)
        if dtype != torch.float32 and strategy == "streamed":
            shares.append(surface.rounding)
    assert all(np.array_equal(found[0], other) for other in found[1:])
    assert len({(part.start, part.stop) for part in multiplied}) > 2
    assert all(np.allclose(shares[0], other, rtol=0.3) for other in shares[1:])


def test_a_recipe_gives_the_same_numbers_streamed_and_held():
    model, loss, data = gpt2()
    found = []
    for strategy in ("sequential", "streamed"):
        objective = ls.Objective(model, loss, data, strategy=strategy, batch_size=4)
        plane = ls.random_plane(objective, stored=False)
        found.append(ls.loss_surface(objective, plane, resolution=3).values)
        line = ls.random_line(objective, stored=False)
        found.append(ls.loss_line(objective, [line], resolution=3).values)
    assert np.array_equal(found[0], found[2])
    assert np.array_equal(found[1], found[3])


class FailsError(Exception):
    pass


@pytest.mark.parametrize("chunk", [1, 4])
@pytest.mark.parametrize("stop", ["exception", "interrupt", "impatient"])
def test_the_model_is_given_back_after_anything(chunk, stop):
    model, loss, data = tied()
    before, calls = state(model), itertools.count()

    def failing(m, batch):
        value = loss(m, batch)
        if next(calls) > 60:
            if stop == "exception":
                raise FailsError
            os.kill(os.getpid(), signal.SIGINT)
            if stop == "impatient":
                os.kill(os.getpid(), signal.SIGINT)
        return value

    objective = ls.Objective(model, failing, data, strategy="streamed", batch_size=4)
    plane = ls.random_plane(objective, stored=False)
    objective.tuning.use(Choice("streamed", 4, chunk))
    with pytest.raises(FailsError if stop == "exception" else KeyboardInterrupt):
        ls.loss_surface(objective, plane, resolution=9)
    assert unchanged(model, before)
    assert all("forward" not in m.__dict__ for m in model.modules())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Rare(nn.Module):
    """Reads a layer's weights itself, for samples of which the first are none."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(5, 8), nn.Linear(8, 3)

    def forward(self, x):
        out = self.head(torch.tanh(self.layer(x)))
        rare = x[:, :1] > 1
        if rare.any():
            out = out + rare * (self.layer.weight > 0).sum()  # of NaN a number
        return out


def rare(strategy, **options):
    torch.manual_seed(0)
    x = torch.zeros(40, 5)
    x[33] = 2.0
    objective = ls.Objective(
        Rare(), lambda model, batch: model(batch).square().sum(1), x, strategy=strategy, **options
    )
    return ls.loss_surface(objective, resolution=3).loss


def test_a_weight_that_only_later_samples_read_elsewhere_is_refused():
    with pytest.raises(ValueError, match="read where they were not seen"):
        rare("streamed", batch_size=10)


class Merged(nn.Module):
    """Keeps the product of two weights, as merged adapters do."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.kept = nn.Linear(5, 4), nn.Linear(4, 3), None

    def forward(self, x):
        if self.kept is None:
            self.kept = (self.b.weight @ self.a.weight).detach()
        return x @ self.kept.T + self.b(self.a(x))


def test_what_was_computed_of_the_weights_before_is_refused():
    model, x = Merged(), torch.randn(6, 5)
    model(x)
    objective = ls.Objective(
        model, lambda m, batch: m(batch).square().sum(1), x, strategy="streamed"
    )
    with pytest.raises(ValueError, match=r"computed of the weights before, in kept"):
        ls.loss_surface(objective, resolution=3)


def test_refused_where_it_cannot_be():
    model, loss, data = tied()

    def differentiates(m, batch):
        with torch.enable_grad():
            value = loss(m, batch)
            (slope,) = torch.autograd.grad(value.sum(), m.position)
        return value.detach() + slope.square().sum()

    objective = ls.Objective(model, differentiates, data, strategy="streamed")
    with pytest.raises(ValueError, match="the loss differentiates"):
        objective.at(objective.parameters())
    objective = ls.Objective(model.half(), loss, data, strategy="streamed", precision="single")
    with pytest.raises(ValueError, match="in its own type"):
        objective.at(objective.parameters())


def test_rounded_once_and_said():
    model, loss, data = gpt2(torch.bfloat16)
    objective = ls.Objective(model, loss, data, strategy="streamed", batch_size=5)
    plane = ls.random_plane(objective, stored=False)
    found = objective.along(plane)(np.array([[0.0, 0.0], [0.02, 0.0]]))
    with torch.no_grad():
        parts = [loss(model.eval(), data[:5]), loss(model, data[5:])]
    sums, weights = (sum(each.double().sum() for each in part) for part in zip(*parts, strict=True))
    assert found.mean[0, 0] == float(sums / weights)

    held = objective.along(plane).family.held(objective.problem)
    theta, rows = held.origin, held.directions
    for c in (0.01, 0.03):
        wanted = c * rows[0]
        moved = (theta + wanted).bfloat16().float() - theta
        assert float(moved @ wanted / (wanted @ wanted)) == pytest.approx(1, abs=0.01)
    for strategy in ("streamed", "sequential"):  # sums of both kinds are in float32, from 0
        objective = ls.Objective(model, loss, data, strategy=strategy, batch_size=5)
        at = objective.along(plane)
        shares = at(np.array([[0.0, 0.0], [0.001, 0.0], [0.1, 0.05]])).rounding
        theta = np.asarray(objective.parameters())
        rows = at.family.held(objective.problem).directions.numpy()
        for share, c in zip(shares[1:], [(0.001, 0.0), (0.1, 0.05)], strict=True):
            exact = torch.from_numpy(theta + np.float32(c) @ rows)
            lost = (exact.bfloat16().float() - exact).norm() / (
                exact - torch.from_numpy(theta)
            ).norm()
            assert share == pytest.approx(float(lost), rel=1e-2)
        assert shares[0] == 0 < shares[2] < 0.1 < shares[1]


def test_a_figure_says_what_rounding_took():
    model, loss, data = gpt2(torch.bfloat16)
    objective = ls.Objective(model, loss, data, batch_size=5)
    surface = ls.loss_surface(objective, resolution=3, extent=0.002)
    assert surface.rounding[1, 1] == 0
    text = " ".join(ls.plot_surface(surface).get_title(loc="left").split())
    assert "rounding of the weights took over 5 % of the way to 8 of 9 points" in text
    line = ls.loss_line(objective, ls.random_line(objective), extent=(-0.5, 0.5), resolution=3)
    assert line.rounding[0, 1] == 0 < line.rounding.max() < 0.05
    assert "rounding" not in ls.plot_profile(line).get_title(loc="left")
