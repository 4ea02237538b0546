"""The data of an objective: read once, held on the device, cut into batches."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from landscape.base.provenance import fingerprint
from landscape.objective.data.batches import (
    Form,
    Uncounted,
    counts_of,
    cut,
    form_of,
    forms_of,
    join,
    moved,
)
from landscape.objective.data.given import batches_of
from landscape.objective.data.structure import (
    bytes_of,
    everything,
    map_tensors,
    renewed,
    tensors_of,
)
from landscape.objective.lending.loan import random_state_kept
from landscape.objective.lending.reach import generators_kept

__all__ = ["HeldData", "map_tensors"]

_CANDIDATES = 4096  # samples among which those that differ most are looked for


class HeldData:
    """Samples held in memory on one device.

    Args:
        data: One whole data set: a tuple, mapping or dataclass of tensors, lists of texts, and
            what belongs to all samples (see `landscape.objective.data.batches`), a single tensor,
            or an object. Or a map-style `Dataset`, or an iterable of batches of any of these
            kinds, such as a `DataLoader`, a list or an endless generator. None: the loss brings
            its own data.
            Iterables are read once, here, so augmentation and shuffling are frozen.
        device: Where the samples go; objects go by their own ``.to``.
        batch_size: Samples per batch; None takes 256. Batches of an iterable are joined and cut
            anew when their parts allow it, else they stay as given.
        samples: Keep a random subset of this many, drawn without replacement; None keeps all. Of an
            iterable without a length the first are read and kept, no more.
        seed: Seed of the subset.

    Attributes:
        size: Number of samples held; of batches where only the loss can tell samples.
        population: Number of samples the subset was drawn from; infinite for the first of a stream.

    Raises:
        ValueError: If there is no sample, or `samples` cannot be had.
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
        if samples is not None and samples < 1:
            raise ValueError(f"samples must be at least 1; got {samples}.")
        self.batch_size: int = 256 if batch_size is None else int(batch_size)
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1; got {batch_size}.")
        with (
            random_state_kept(torch.device("cpu")),  # a loader draws from them, even unshuffled
            generators_kept([data]),
        ):
            batches, endless = batches_of(data, samples)
        self._form: Form | None = None
        self._whole, problem = None, None
        try:
            forms = forms_of(batches)
            self._whole = moved(join(batches, forms), device)
            listed = forms[0] is not None and forms[0].listed
            self._form = form_of(self._whole, listed=listed)
            batches = []
        except TypeError as unlike:
            problem = unlike
        self._batches = [moved(batch, device) for batch in batches]
        self._counts = counts_of(self._batches)
        self.size = sum(self._counts) if self._form is None else self._form.samples
        self.population: float = math.inf if endless else self.size
        if samples is None or samples >= self.size:
            return
        if self._form is None and not endless and not self._cuttable:
            raise ValueError(
                f"samples= needs batches that can be cut, and these are not ({problem}); pass only "
                "the batches to measure on, for example list(loader)[:8]."
            ) from problem
        if self._form is not None or self._cuttable:
            order = np.random.default_rng(seed).permutation(self.size)
            self._cut_to(np.arange(samples) if endless else np.sort(order[:samples]))

    @property
    def joined(self) -> bool:
        """Whether the samples can be cut into batches of any size."""
        return self._form is not None

    @property
    def _cuttable(self) -> bool:
        """Whether every batch can be cut, though they may not fit together."""
        return self.sure and all(form and form.cuttable for form in forms_of(self._batches))

    @property
    def counted(self) -> bool:
        """Whether it is known how many samples every batch holds."""
        return all(not isinstance(count, Uncounted) or count.known for count in self._counts)

    @property
    def sure(self) -> bool:
        """Whether the batches themselves tell how many samples they hold."""
        return all(type(count) is int for count in self._counts)

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
        found: list[tuple[Any, int]] = []
        if self._form is None:
            samples = 0
            for batch, count in zip(self._batches, self._counts, strict=True):
                if samples < end:
                    found.append((renewed(batch), count))
                    samples += count
            return found
        count = -(-end // size)
        end = min(count * size, self.size)
        # Sizes differ by one at most: no batch is a lonely sample.
        for start, stop in pairwise(end * i // count for i in range(count + 1)):
            found.append((cut(self._whole, self._form, slice(start, stop)), stop - start))
        return found

    def few(self, most: int) -> tuple[Any, Form] | None:
        """A batch of a few samples that differ as much as they can, which may be cut further.

        None where batches cannot be cut.
        """
        if self._form is not None:
            index = torch.from_numpy(self._telling(most))
            return self.take(index), self._form._replace(samples=len(index))
        form = forms_of(self._batches)[0]
        if form is None or not form.cuttable:
            return None
        end = min(most, form.samples)
        return cut(self._batches[0], form, slice(0, end)), form._replace(samples=end)

    def take(self, index: Tensor) -> Any:
        """The samples `index` as one batch; needs data that could be joined."""
        if self._form is None:
            raise ValueError("Single samples can only be taken from data of equal structure.")
        return cut(self._whole, self._form, index)

    def part(self, index: np.ndarray) -> HeldData:
        """Some of the samples, copied, as data of their own drawn from the same population.

        Those of batches that do not fit together stay in the order of the batches.

        Raises:
            ValueError: If the batches cannot be cut.
        """
        if not self.joined and not self._cuttable:
            raise ValueError(
                "Single samples can only be taken from batches that can be cut; pass only the "
                "batches to measure on, for example list(loader)[:8]."
            )
        part = copy.copy(self)
        part._cut_to(index)
        return part

    def in_batches_of(self, batch_size: int) -> HeldData:
        """The same samples, not copied, in other batches."""
        other = copy.copy(self)
        other.batch_size = batch_size
        return other

    def cast(self, dtype: torch.dtype) -> HeldData:
        """The same with floating-point samples of another type; objects stay as they are."""

        def convert(t: Tensor) -> Tensor:
            if not t.is_floating_point():
                return t
            return t.detach().to(dtype).requires_grad_(t.requires_grad)

        other = copy.copy(self)
        other._whole = map_tensors(self._whole, convert)
        other._batches = [map_tensors(b, convert) for b in self._batches]
        return other

    def describe(self) -> dict[str, Any]:
        """Count and hash of the samples, as `Conditions` keeps them.

        The hash covers tensors, numbers and texts, and those among the attributes of objects.
        """
        parts: list[np.ndarray] = []
        for leaf in everything([self._whole] if self._form is not None else self._batches):
            parts += bytes_of(leaf)
        stream = {"stream": True} if math.isinf(self.population) else {}
        return {
            "samples": self.size if self.sure else None,
            "population": int(self.population) if self.sure and not stream else None,
            **stream,
            "data_hash": fingerprint(*parts),
        }

    def _cut_to(self, index: np.ndarray) -> None:
        """Keep these samples; those of batches that do not fit together stay in their batches."""
        if self._form is not None:
            self._whole = self.take(torch.from_numpy(index))
            self._form = self._form._replace(samples=len(index))
        else:
            index = np.asarray(index)
            ends = np.cumsum([0, *self._counts])
            mine = [index[(a <= index) & (index < b)] - a for a, b in pairwise(ends)]
            parts = zip(self._batches, forms_of(self._batches), mine, strict=True)
            self._batches = [
                cut(batch, form, torch.from_numpy(some))
                for batch, form, some in parts
                if len(some) and form is not None
            ]
            self._counts = [len(some) for some in mine if len(some)]
        self.size: int = len(index)

    def _telling(self, most: int) -> np.ndarray:
        """A few samples, from low to high sums of a tensor, with the extremes of others.

        So samples with much padding and with little are among them, and lie apart.
        """
        assert self._form is not None
        some = np.linspace(0, self.size - 1, min(_CANDIDATES, self.size)).round().astype(int)
        index = torch.from_numpy(some)
        ranks = []  # integers tell first: masks, labels, tokens
        for t in sorted(tensors_of(self._whole), key=lambda t: t.is_floating_point()):
            if t.ndim and len(t) == self.size and not t.is_complex():
                rows = t.detach()[index.to(t.device)].reshape(len(index), -1)
                sums = rows.sum(1, dtype=torch.float64).cpu()
                if (sums != sums[0]).any():
                    ranks.append(sums.argsort(stable=True).numpy())
        order = ranks[0] if ranks else np.arange(len(some))
        chosen = {int(rank[end]) for rank in ranks[: most // 4] for end in (0, -1)}
        for place in np.linspace(0, len(order) - 1, min(most, len(order))).round().astype(int):
            if len(chosen) < min(most, len(order)):
                chosen.add(int(order[place]))
        return some[[int(place) for place in order if int(place) in chosen]]
