"""The data of an objective: read once, held on the device, cut into batches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from landscape.evaluation.borrow import random_state_kept
from landscape.provenance import fingerprint

DESCRIBED = ("samples", "population", "data_hash")  # what `HeldData.describe` tells


class HeldData:
    """Samples held in memory on one device.

    Args:
        data: A tuple or dict of tensors that share their first dimension (one whole data set), a
            single tensor, a map-style `Dataset`, or an iterable of batches such as a `DataLoader`
            or a list. Iterables are read once, here, so augmentation and shuffling are frozen.
        device: Where the samples go.
        batch_size: Samples per batch; None takes 256. Batches of an iterable are joined and cut
            anew when their shapes allow it.
        samples: Keep a random subset of this many, drawn without replacement; None keeps all.
        seed: Seed of the subset.

    Attributes:
        size: Number of samples held.
        population: Number of samples the subset was drawn from.

    Raises:
        ValueError: If there is no sample or the first dimensions disagree.
    """

    def __init__(
        self,
        data: Any,
        *,
        device: torch.device,
        batch_size: int | None = None,
        samples: int | None = None,
        seed: int = 0,
    ) -> None:
        with random_state_kept(torch.device("cpu")):  # a loader draws from them, even unshuffled
            whole, batches = _read(data)
        if whole is None and samples is not None:
            raise ValueError("samples= needs batches of equal structure that can be joined.")
        if whole is not None:
            self.population = _length(whole)
            if samples is not None and samples < self.population:
                if samples < 1:
                    raise ValueError(f"samples must be at least 1; got {samples}.")
                order = np.random.default_rng(seed).permutation(self.population)[:samples]
                index = torch.from_numpy(np.sort(order))
                whole = map_tensors(whole, lambda t: t[index])
            self.size = _length(whole)
        else:
            self.population = self.size = sum(_length(b) for b in batches)
        self._whole = None if whole is None else map_tensors(whole, lambda t: t.to(device))
        self._batches = [map_tensors(b, lambda t: t.to(device)) for b in batches]
        self.batch_size = 256 if batch_size is None else int(batch_size)
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; got {batch_size}.")

    @property
    def joined(self) -> bool:
        """Whether the samples can be cut into batches of any size."""
        return self._whole is not None

    def __iter__(self) -> Iterator[tuple[Any, int]]:
        """Batches and how many samples each holds."""
        return iter(self.batches())

    def batches(
        self, batch_size: int | None = None, *, most: int | None = None
    ) -> list[tuple[Any, int]]:
        """Batches of about one size, as views, and how many samples each holds.

        Args:
            batch_size: Most samples per batch; None takes `batch_size` of the data.
            most: Stop after the batch that holds this sample; None gives all.
        """
        size = batch_size or self.batch_size
        end = self.size if most is None else min(most, self.size)
        if self._whole is None:
            found, samples = [], 0
            for batch in self._batches:
                if samples < end:
                    found.append((batch, _length(batch)))
                    samples += found[-1][1]
            return found
        found = []
        count = -(-end // size)
        end = min(count * size, self.size)
        # Sizes differ by one at most: no batch is a lonely sample.
        for start, stop in pairwise(end * i // count for i in range(count + 1)):
            part = map_tensors(self._whole, lambda t, a=start, b=stop: t[a:b])
            found.append((part, stop - start))
        return found

    def take(self, index: torch.Tensor) -> Any:
        """The samples `index` as one batch; needs data that could be joined."""
        if self._whole is None:
            raise ValueError("Single samples can only be taken from data of equal structure.")
        return map_tensors(self._whole, lambda t: t[index])

    def part(self, index: np.ndarray) -> HeldData:
        """Some of the samples, copied, as data of their own drawn from the same population."""
        part = copy.copy(self)
        part._whole, part.size = self.take(torch.from_numpy(index)), len(index)
        return part

    def cast(self, dtype: torch.dtype) -> None:
        """Convert floating-point samples to `dtype`."""

        def convert(t: torch.Tensor) -> torch.Tensor:
            return t.to(dtype) if t.is_floating_point() else t

        if self._whole is not None:
            self._whole = map_tensors(self._whole, convert)
        self._batches = [map_tensors(b, convert) for b in self._batches]

    def describe(self) -> dict[str, Any]:
        """Count and hash of the samples, for provenance."""
        leaves: list[np.ndarray] = []
        for part in [self._whole] if self._whole is not None else self._batches:
            map_tensors(part, lambda t: leaves.append(_array(t)) or t)
        told = (self.size, self.population, fingerprint(*leaves))
        return dict(zip(DESCRIBED, told, strict=True))


def _array(tensor: torch.Tensor) -> np.ndarray:
    narrow = tensor.dtype == torch.bfloat16  # which numpy does not know
    return (tensor.view(torch.int16) if narrow else tensor).cpu().numpy()


def map_tensors(batch: Any, function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Apply `function` to every tensor in nested tuples, lists and dicts."""
    if isinstance(batch, torch.Tensor):
        return function(batch)
    if isinstance(batch, np.ndarray):
        return function(torch.from_numpy(batch))
    if isinstance(batch, Mapping):
        return {key: map_tensors(value, function) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        return _rebuilt(batch, [map_tensors(value, function) for value in batch])
    return batch


def _read(data: Any) -> tuple[Any | None, list[Any]]:
    """(whole data set, []) where the samples can be joined, else (None, batches)."""
    if isinstance(data, torch.Tensor | np.ndarray | tuple | Mapping):
        whole = map_tensors(data, lambda t: t)
        _length(whole)
        return whole, []
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        data = DataLoader(data, batch_size=256)
    if not isinstance(data, Iterable):
        raise ValueError(
            f"data is a {type(data).__name__}; pass a tuple or dict of tensors, a Dataset, or an "
            "iterable of batches such as a DataLoader."
        )
    batches = [map_tensors(batch, lambda t: t) for batch in data]
    if not batches:
        raise ValueError("The data is empty: the loader gave no batch. Check its data set.")
    for batch in batches:
        _length(batch)
    try:
        return _join(batches), []
    except (RuntimeError, TypeError, KeyError, ValueError):
        return None, batches


def _join(batches: list[Any]) -> Any:
    first = batches[0]
    if isinstance(first, torch.Tensor):
        return torch.cat(batches)
    if isinstance(first, Mapping):
        return {key: _join([b[key] for b in batches]) for key in first}
    if isinstance(first, tuple | list):
        return _rebuilt(first, [_join(list(parts)) for parts in zip(*batches, strict=True)])
    raise TypeError(f"a batch holds a {type(first).__name__}")


def _rebuilt(like: Any, values: list[Any]) -> Any:
    """A tuple, named tuple or list like `like`, of other values."""
    return type(like)(*values) if hasattr(like, "_fields") else type(like)(values)


def _length(batch: Any) -> int:
    lengths: list[int] = []
    map_tensors(batch, lambda t: lengths.append(len(t) if t.ndim else -1) or t)
    if not lengths or min(lengths) < 0:
        raise ValueError(
            "A batch holds no tensor with a sample dimension; every tensor's first dimension "
            "must count samples."
        )
    if len(set(lengths)) > 1:
        raise ValueError(
            f"The tensors of a batch disagree in their first dimension ({sorted(set(lengths))}); "
            "it must count the samples."
        )
    if not lengths[0]:
        raise ValueError("The data is empty: a tensor holds no sample.")
    return lengths[0]
