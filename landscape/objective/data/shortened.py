"""Sequences cut short: what a check needs of a batch for a large model, where a pass is dear.

Who reads which weight, whether something random is active, whether a weight of a sum depends on the
parameters: a few tokens tell. Whether a mean depends on how sequences of unequal length are put
together is seen on whole ones only.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from landscape.objective.data.structure import is_object, leaves, map_tensors, tensors_of

SHORT = 16  # tokens
_WORTH = 2  # times as many tokens, from which on they are cut


def shortened(batch: Any) -> tuple[Any, float] | None:
    """The first tokens of every sequence, and their share of all; None for other batches.

    Sequences are integers, of shape (samples, tokens), and so are masks and labels beside them.

    >>> import torch
    >>> shortened({"input_ids": torch.zeros(2, 64, dtype=torch.int64)})[0]["input_ids"].shape
    torch.Size([2, 16])
    >>> shortened(torch.zeros(2, 64))
    """
    tensors = [t for t in tensors_of(batch) if t.ndim > 1]
    lengths = {t.shape[1] for t in tensors}
    whole = all(t.ndim == 2 and not (t.is_floating_point() or t.is_complex()) for t in tensors)
    if not whole or len(lengths) != 1 or any(map(is_object, leaves(batch))):
        return None
    (length,) = lengths
    if length < _WORTH * SHORT:
        return None
    return map_tensors(batch, lambda t: t[:, :SHORT] if t.ndim > 1 else t), SHORT / length


def telling(values: list[Any]) -> bool:
    """Whether what metrics returned, the loss first, is something to compare with.

    Sequences that begin with padding hold nothing that counts in their first tokens.
    """
    pairs = [value for value in values if isinstance(value, tuple | list) and len(value) == 2]
    loss = [t for t in tree_leaves(values[:1]) if isinstance(t, Tensor)]
    numbers = [t for t in tree_leaves(values) if isinstance(t, Tensor)]
    finite = all(bool(t.isfinite().all()) for t in numbers)
    return finite and all(bool(t.any()) for t in (*loss, *(weight for _, weight in pairs)))
