"""What is given as data, as batches: a whole data set is one batch, an iterable is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from landscape.objective.data.batches import form_of
from landscape.objective.data.stream import read
from landscape.objective.data.structure import is_object, leaves, map_tensors, tensors_of


def batches_of(data: Any, samples: int | None) -> tuple[list[Any], bool]:
    """Batches as the loss is to see them, and whether they are the first of a stream.

    Args:
        data: What `HeldData` takes.
        samples: Of an iterable that does not know its length, no more than this is read.

    Raises:
        ValueError: If it is none of that, is empty, or does not tell samples.
    """
    if data is None:
        return [None], False
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        data = DataLoader(data, batch_size=256)
    one = isinstance(data, Tensor | np.ndarray | tuple | Mapping) or dataclasses.is_dataclass(data)
    one = one or callable(getattr(data, "to", None))
    if one and not isinstance(data, type | torch.nn.Module):
        return [_checked(data)], False
    if not isinstance(data, Iterable) or isinstance(data, str | bytes):
        raise ValueError(
            f"data is a {type(data).__name__}; pass a tuple or dict of tensors, a Dataset, an "
            "iterable of batches such as a DataLoader, or None if the loss brings its own data."
        )
    batches, endless = read(data, samples)
    if not batches:
        raise ValueError("The data is empty: the loader gave no batch. Check its data set.")
    return [_checked(batch) for batch in batches], endless


def _checked(batch: Any) -> Any:
    """A batch with tensors for arrays; refused if it holds nothing to tell samples by."""
    batch = map_tensors(batch, lambda t: t)
    parts = leaves(batch)
    telling = form_of(batch) is not None or any(t.ndim for t in tensors_of(batch))
    if batch is not None and not telling and not any(map(is_object, parts)):
        raise ValueError(
            "A batch holds no tensor with a sample dimension, but "
            f"{'only scalars and texts' if parts else 'nothing'}; the first dimension of every "
            "tensor must count samples, or belong to all of them (1)."
        )
    return batch
