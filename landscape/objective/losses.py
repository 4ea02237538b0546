"""Losses that come with the package: `ls.losses.causal_lm` and its kin.

A language model is measured per token, and sequences hold different numbers of tokens that count.
So each returns, for every sequence, what is added up over its predicted tokens and how many these
are: means are over tokens, do not depend on how sequences are put into batches, and have the
standard error of a ratio where only some of the sequences are measured.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from landscape.objective.returned import IGNORED, SumAndWeight

__all__ = ["causal_lm", "next_token_error", "token_score"]

Score = Callable[[Tensor, Tensor], Tensor]

_MOST = 2**24  # logits that are looked at together
_ANSWERS = ("labels", "shift_labels", "num_items_in_batch")


def causal_lm(model: nn.Module, batch: Any) -> SumAndWeight:
    """Cross-entropy of each next token in nats, as Hugging Face's causal models define it.

    Their mean over tokens is what such a model itself returns as ``.loss`` for one batch of all
    sequences. The model is called without labels and without a cache of keys and values.

    Args:
        model: Gives logits of shape (sequences, length, vocabulary), or an output with ``.logits``.
        batch: What the model is called with: a mapping with ``input_ids`` (a tokenizer's output),
            a tensor of tokens, or a pair (tokens, mask). Which tokens are predicted is said by
            ``labels`` (shifted here, -100 counts for nothing), or ``shift_labels`` (shifted
            already); without either by the tokens themselves, without those that
            ``attention_mask`` hides and the first of each text, where ``position_ids`` begin anew
            (packing).

    Returns:
        Sum over the counted tokens and their number, each of shape (sequences,).

    Raises:
        ValueError: If the batch holds no tokens, or the model gives no logits for them.

    >>> class Guess(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.logits = nn.Parameter(torch.zeros(4))
    ...     def forward(self, tokens):
    ...         return self.logits.expand(*tokens.shape, 4)
    >>> found = causal_lm(Guess(), torch.tensor([[0, 1, 2], [3, 2, 1]]))
    >>> [round(v, 3) for v in (found.total / found.weight).tolist()]  # log 4
    [1.386, 1.386]
    """
    return _scored(model, batch, _cross_entropy)


def next_token_error(model: nn.Module, batch: Any) -> SumAndWeight:
    """Share of next tokens that have not the largest logit; one minus their accuracy.

    Arguments and tokens that count are those of `causal_lm`; as a metric beside it, both share
    one pass of the model.

    >>> class Next(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.scale = nn.Parameter(torch.ones(1))
    ...     def forward(self, tokens):  # always expects the number that follows
    ...         return self.scale * F.one_hot((tokens + 1) % 8, 8)
    >>> next_token_error(Next(), torch.tensor([[1, 2, 3, 5]])).total.item()
    1.0
    """
    return _scored(model, batch, lambda logits, wanted: logits.argmax(-1) != wanted)


def token_score(score: Score) -> Callable[[nn.Module, Any], SumAndWeight]:
    """A metric out of a score of one's own for every predicted token.

    Args:
        score: Given logits, shape (tokens, vocabulary), and the tokens that came, shape (tokens,),
            of one sequence: one number each.

    Returns:
        Its mean over tokens, as a metric for ``Objective(..., metrics={"top 5": ...})``.

    >>> def in_top_five(logits, token):
    ...     return (logits.topk(5).indices == token[:, None]).any(-1)
    >>> metric = token_score(in_top_five)
    """

    def metric(model: nn.Module, batch: Any) -> SumAndWeight:
        return _scored(model, batch, score)

    return metric


def _scored(model: nn.Module, batch: Any, score: Score) -> SumAndWeight:
    inputs, wanted = _inputs(batch)
    logits = _logits(model, inputs)
    if logits.ndim != 3 or logits.shape[:2] != wanted.shape:
        raise ValueError(
            f"The model gives logits of shape {tuple(logits.shape)} for tokens of shape "
            f"{tuple(wanted.shape)}; expected is (sequences, length, vocabulary)."
        )
    wanted = wanted.to(logits.device)
    counted = wanted != IGNORED
    tokens = wanted.masked_fill(~counted, 0)
    # Some sequences at a time: in single precision logits are the largest tensor there is.
    some = max(1, _MOST // logits[0].numel())
    parts = zip(logits.split(some), tokens.split(some), counted.split(some), strict=True)
    totals = []
    for rows, those, real in parts:
        each = score(rows.flatten(0, 1), those.flatten()).view(real.shape)
        wide = each.to(_at_least_single(rows.dtype))
        totals.append(torch.where(real, wide, torch.zeros_like(wide)).sum(1))
    return SumAndWeight(torch.cat(totals), counted.sum(1))


def _cross_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    return F.cross_entropy(logits.to(_at_least_single(logits.dtype)), wanted, reduction="none")


def _at_least_single(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _inputs(batch: Any) -> tuple[Any, Tensor]:
    """What the model is called with, and at each place the token to come, -100 where none counts.

    Shape (sequences, length); nothing comes after the last token.
    """
    if isinstance(batch, Tensor):
        return batch, _following(batch)
    if isinstance(batch, tuple | list) and len(batch) in (1, 2):
        tokens, *mask = batch
        return tokens, _following(tokens, *mask)
    if not isinstance(batch, Mapping):
        raise ValueError(
            f"A batch is a {type(batch).__name__}; causal_lm takes a mapping with input_ids, a "
            "tensor of tokens, or a pair (tokens, mask)."
        )
    given = {name: value for name, value in batch.items() if name not in _ANSWERS}
    if isinstance(shifted := batch.get("shift_labels"), Tensor):
        return given, shifted
    if isinstance(labels := batch.get("labels"), Tensor):
        return given, _following(labels)
    tokens = batch.get("input_ids")
    if not isinstance(tokens, Tensor):
        raise ValueError(
            f"A batch holds {', '.join(map(str, batch))}; causal_lm needs input_ids, or labels "
            "beside inputs_embeds."
        )
    mask, positions = batch.get("attention_mask"), batch.get("position_ids")
    if isinstance(positions, Tensor) and positions.shape[-1] == tokens.shape[-1]:
        begins = (positions == 0).expand(tokens.shape).to(tokens.device)
        tokens = tokens.masked_fill(begins, IGNORED)  # nothing of its text comes before it
    two = isinstance(mask, Tensor) and mask.ndim == 2
    return given, _following(tokens, *([mask] if two else []))


def _following(tokens: Tensor, mask: Tensor | None = None) -> Tensor:
    """The token after each; where one of the two is hidden, -100."""
    found = tokens[:, 1:]
    if mask is not None:
        real = mask.to(tokens.device).bool()
        found = found.masked_fill(~(real[:, 1:] & real[:, :-1]), IGNORED)
    return F.pad(found, (0, 1), value=IGNORED)


def _logits(model: nn.Module, inputs: Any) -> Tensor:
    cache = {"use_cache": False} if _keeps_a_cache(model) else {}
    output = model(**{**inputs, **cache}) if isinstance(inputs, Mapping) else model(inputs, **cache)
    found = output["logits"] if isinstance(output, Mapping) else getattr(output, "logits", output)
    found = found[0] if isinstance(found, tuple) else found
    if not isinstance(found, Tensor):
        raise ValueError(f"The model returned a {type(output).__name__}, which has no logits.")
    return found


def _keeps_a_cache(model: nn.Module) -> bool:
    if hasattr(getattr(model, "config", None), "use_cache"):
        return True
    return "use_cache" in inspect.signature(model.forward).parameters
