"""Models of Hugging Face, tiny and untrained: their outputs are what the loss returns."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import landscape as ls
from strangers.situation import Verdict, measures, refuses, situation

KIND = "models of Hugging Face"
SMALL = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 10, "vocab_size": 23}
BERT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 23,
}


def tokens(count: int = 24, longest: int = 9) -> dict[str, Tensor]:
    """Sentences of 3 to 9 tokens; labels are the tokens, -100 where there is none."""
    mask = torch.arange(longest) < (torch.arange(count) % 7 + 3)[:, None]
    ids = torch.randint(1, 23, (count, longest)) * mask
    return {
        "input_ids": ids,
        "attention_mask": mask.long(),
        "labels": ids.masked_fill(~mask, -100),
    }


def made(name: str, **options: Any) -> nn.Module:
    transformers = pytest.importorskip("transformers", reason="needs the extra: landscape[hf]")
    kind = name.split("For")[0].removesuffix("LMHeadModel")
    config = getattr(transformers, f"{kind}Config")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(transformers, name)(config(**options)).eval()


def output(model: nn.Module, batch: Any) -> Any:
    return model(**batch)


@situation(KIND, "causal language model, padded, its output returned")
def causal(folder: Path) -> Verdict:
    model, data = made("GPT2LMHeadModel", **SMALL), tokens()
    return measures(model, output, data, model(**data).loss, options={"batch_size": 7})


@situation(KIND, "causal language model, padded, only .loss returned")
def causal_loss_only(folder: Path) -> Verdict:
    model, data = made("GPT2LMHeadModel", **SMALL), tokens()
    objective = ls.Objective(model, lambda m, b: m(**b).loss, data)
    return refuses("mean over tokens", lambda: objective.at(objective.parameters()))


@situation(KIND, "causal language model, batches that are tuples")
def causal_of_tuples(folder: Path) -> Verdict:
    model, data = made("GPT2LMHeadModel", **SMALL), tokens()

    def loss(model: nn.Module, batch: Any) -> Any:
        ids, mask, labels = batch
        return model(input_ids=ids, attention_mask=mask, labels=labels)

    return measures(model, loss, tuple(data.values()), model(**data).loss)


@situation(KIND, "causal language model, labels ignored inside the loss")
def causal_with_own_labels(folder: Path) -> Verdict:
    model, data = made("GPT2LMHeadModel", **SMALL), tokens()

    def loss(model: nn.Module, batch: Any) -> Any:
        ids, mask = batch["input_ids"], batch["attention_mask"]
        return model(**batch, labels=ids.masked_fill(mask == 0, -100))

    del data["labels"]
    objective = ls.Objective(model, loss, data)
    return refuses("no .sum, weight.", lambda: objective.at(objective.parameters()))


@situation(KIND, "masked language model")
def masked(folder: Path) -> Verdict:
    model, data = made("BertForMaskedLM", **BERT), tokens()
    data["labels"] = data["labels"].masked_fill(torch.rand(24, 9) < 0.6, -100)
    return measures(model, output, data, model(**data).loss, options={"batch_size": 7})


@situation(KIND, "classification of sentences, with the labels taken out of the batch")
def classification(folder: Path) -> Verdict:
    model, data = made("BertForSequenceClassification", **BERT), tokens()
    data["labels"] = torch.randint(2, (24,))

    def loss(model: nn.Module, batch: Any) -> Any:
        labels = batch.pop("labels")
        return model(**batch, labels=labels)

    return measures(model, loss, data, model(**data).loss)


@situation(KIND, "classification of tokens, a BatchEncoding for each batch")
def tagging(folder: Path) -> Verdict:
    model, data = made("BertForTokenClassification", **BERT), tokens()
    transformers = pytest.importorskip("transformers")
    data["labels"] = data["labels"].clamp(max=1)
    batches = [
        transformers.BatchEncoding({key: value[part] for key, value in data.items()})
        for part in (slice(0, 11), slice(11, 24))
    ]

    def loss(model: nn.Module, batch: Any) -> Any:
        assert type(batch) is transformers.BatchEncoding
        return model(input_ids=batch.input_ids, labels=batch.labels)

    want = model(input_ids=data["input_ids"], labels=data["labels"]).loss
    return measures(model, loss, batches, want)


@situation(KIND, "batches padded to lengths of their own, position ids for all")
def lengths_of_their_own(folder: Path) -> Verdict:
    model, data = made("GPT2LMHeadModel", **SMALL), tokens()
    batches = []
    for part in (slice(0, 2), slice(2, 12), slice(12, 24)):
        length = int(data["attention_mask"][part].sum(1).max())
        batch = {key: value[part, :length] for key, value in data.items()}
        batches.append({**batch, "position_ids": torch.arange(length)[None]})
    return measures(model, output, batches, model(**data).loss)


@situation(KIND, "the number of labels in the batch passed along (num_items_in_batch)")
def number_of_items(folder: Path) -> Verdict:
    model, data = made("GPT2LMHeadModel", **SMALL), tokens()

    def loss(model: nn.Module, batch: Any) -> Any:
        return model(**batch, num_items_in_batch=1).loss, (batch["labels"][:, 1:] != -100).sum()

    return measures(model, loss, data, model(**data).loss)
