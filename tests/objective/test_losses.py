"""Language models are measured as their own library does: padded, packed, in unequal batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from language_models import SYMBOLS, model_of

import landscape as ls

pytest.importorskip("transformers", reason="needs the extra: landscape[hf]")

pytestmark = pytest.mark.filterwarnings("ignore:.*")  # the library's own

KINDS = ("gpt2", "llama", "neox")


def tokens(sequences=6, length=10, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, SYMBOLS, (sequences, length), generator=generator)


def padded(lengths=(10, 3, 7, 2, 9, 5), left=False):
    found = tokens(len(lengths))
    places = torch.arange(10)
    mask = torch.stack([places >= 10 - n if left else places < n for n in lengths]).long()
    return {"input_ids": found * mask, "attention_mask": mask}


def labelled():
    batch = padded()
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    labels[0, :6] = -100  # a prompt
    labels[3] = -100  # nothing of it counts
    return {**batch, "labels": labels}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loss_is_the_librarys(kind, dtype):
    model, batch = model_of(kind, dtype=dtype), labelled()
    with torch.no_grad():
        own = model(**batch).loss.item()
        found = ls.losses.causal_lm(model, batch)
    assert found.total.sum().item() / found.weight.sum().item() == pytest.approx(own, rel=1e-6)
    assert found.weight.tolist() == [4, 2, 6, 0, 8, 4]
    assert found.total[3] == 0
    objective = ls.Objective(model, ls.losses.causal_lm, batch)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-4  # other batches round otherwise
    assert objective.at(objective.parameters()).mean[0, 0] == pytest.approx(own, rel=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_by_hand_without_labels_whichever_side_is_padded(kind):
    model = model_of(kind)
    right, left = padded(), padded(left=True)
    positions = (left["attention_mask"].cumsum(1) - 1).clamp(min=1)
    positions = positions * (left["attention_mask"].cumsum(1) != 1)
    with torch.no_grad():
        each = []
        for row, mask in zip(right["input_ids"], right["attention_mask"], strict=True):
            text = row[mask.bool()][None]
            each.append(model(input_ids=text, labels=text).loss.item())
        found = ls.losses.causal_lm(model, right)
        np.testing.assert_allclose(found.total / found.weight, each, rtol=2e-6)
        left["input_ids"] = torch.stack(
            [
                row.roll(int((mask == 0).sum()))
                for row, mask in zip(right["input_ids"], right["attention_mask"], strict=True)
            ]
        )
        turned = ls.losses.causal_lm(model, {**left, "position_ids": positions})
    assert turned.weight.tolist() == found.weight.tolist() == [9, 2, 6, 1, 8, 4]
    np.testing.assert_allclose(turned.total, found.total, rtol=2e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_texts_and_labels_that_are_shifted_already(kind):
    model = model_of(kind)
    model.set_attn_implementation("eager")
    row = tokens(1, 12)
    positions = torch.tensor([[*range(5), *range(7)]])
    apart = torch.block_diag(torch.ones(5, 5), torch.ones(7, 7)).tril().bool()[None, None]
    mask = torch.zeros(1, 1, 12, 12).masked_fill(~apart, -torch.inf)
    packed = {"input_ids": row, "position_ids": positions, "attention_mask": mask}
    labels = row.masked_fill(positions == 0, -100)
    shifted = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=-100)
    with torch.no_grad():
        alone = [model(input_ids=part, labels=part).loss.item() for part in row.split([5, 7], 1)]
        expected = np.average(alone, weights=[4, 6])
        for more in ({}, {"labels": labels}, {"shift_labels": shifted}):
            found = ls.losses.causal_lm(model, {**packed, **more})
            assert found.weight.tolist() == [10]
            assert (found.total / found.weight).item() == pytest.approx(expected, rel=3e-6)


def test_unequal_batches_metrics_of_ones_own_and_one_pass_for_all():
    model, passes = model_of("gpt2"), []
    model.config.use_cache = True
    model.transformer.register_forward_hook(lambda *told: passes.append(told[2].past_key_values))
    texts = [tokens(4, 10), tokens(3, 6, seed=1), tokens(1, 4, seed=2)]
    data = [{"input_ids": text, "attention_mask": torch.ones_like(text)} for text in texts]

    def likelihood(logits, token):
        return logits.softmax(-1).gather(-1, token[:, None])[:, 0]

    metrics = {
        "error": ls.losses.next_token_error,
        "likelihood": ls.losses.token_score(likelihood),
    }
    objective = ls.Objective(
        model, ls.losses.causal_lm, data, metrics=metrics, strategy="sequential"
    )
    at, none = objective.parameters(), np.zeros((0, objective.layout.size))
    restriction = objective.restrict(at, none)
    restriction.prepare(np.zeros((1, 0)))
    passes.clear()
    found = restriction(np.zeros((1, 0))).mean[:, 0]
    assert len(passes) == len(data)
    assert passes == [None] * len(data)  # no cache of keys and values
    with torch.no_grad():
        every = [model(**batch).logits[:, :-1].flatten(0, 1) for batch in data]
    logits, wanted = torch.cat(every), torch.cat([text[:, 1:].flatten() for text in texts])
    each = torch.nn.functional.cross_entropy(logits, wanted)
    expected = [
        each,
        (logits.argmax(-1) != wanted).float().mean(),
        likelihood(logits, wanted).mean(),
    ]
    np.testing.assert_allclose(found, [float(e) for e in expected], rtol=2e-6)


def test_the_size_of_batches_does_not_matter():
    model, batch = model_of("llama"), labelled()
    found = [
        ls.Objective(model, ls.losses.causal_lm, batch, batch_size=size) for size in (1, 2, 4, 6)
    ]
    values = [o.at(o.parameters()).mean[0, 0] for o in found]
    np.testing.assert_allclose(values, values[0], rtol=1e-6)


def test_standard_error_of_a_subset_is_that_of_a_bootstrap_over_sequences():
    model, n = model_of("gpt2"), 120
    lengths = np.random.default_rng(0).integers(2, 11, 4 * n)
    batch = padded(tuple(lengths.tolist()))
    objective = ls.Objective(model, ls.losses.causal_lm, batch, samples=n)
    found = objective.at(objective.parameters())
    with torch.no_grad():
        whole = ls.losses.causal_lm(model, objective.data.take(torch.arange(n)))
    total, weight = (part.double().numpy() for part in whole)
    draws = np.random.default_rng(1).integers(0, n, (4000, n))
    bootstrap = (total[draws].sum(1) / weight[draws].sum(1)).std() * np.sqrt(1 - 1 / 4)
    assert found.standard_error[0, 0] == pytest.approx(bootstrap, rel=0.1)


def test_what_is_no_text_is_said():
    model = model_of("gpt2")
    with pytest.raises(ValueError, match="batch holds pixels"):
        ls.losses.causal_lm(model, {"pixels": torch.zeros(2, 3)})
    with pytest.raises(ValueError, match=r"logits of shape \(2, 3\)"):
        ls.losses.causal_lm(torch.nn.Linear(3, 3), (torch.zeros(2, 3),))


def test_some_sequences_of_unequal_batches():
    model = model_of("llama")
    data = [{"input_ids": tokens(n, length, seed=n)} for n, length in ((5, 9), (3, 4), (8, 7))]
    objective = ls.Objective(model, ls.losses.causal_lm, data, samples=9, seed=3)
    chosen = np.sort(np.random.default_rng(3).permutation(16)[:9])
    with torch.no_grad():
        every = [ls.losses.causal_lm(model, batch) for batch in data]
    total, weight = (torch.cat(part)[chosen] for part in zip(*every, strict=True))
    found = objective.at(objective.parameters())
    assert objective.settings["samples"] == 9
    assert objective.settings["population"] == 16
    assert found.mean[0, 0] == pytest.approx(float(total.sum() / weight.sum()), rel=1e-6)
    left = (total - found.mean[0, 0] * weight).square().sum() * 9 / 8 * (1 - 9 / 16)
    assert found.standard_error[0, 0] == pytest.approx(float(left.sqrt() / weight.sum()), rel=1e-4)
