"""A batch and its parts: whether what the metrics return for the parts adds up to the whole.

A mean over samples does, and so does a pair (sum, weight); a sum taken for a mean, or a loss beside
an accuracy, does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from landscape.objective.data.batches import Form, cut
from landscape.objective.metrics import sums
from landscape.objective.returned import SumAndWeight, said
from landscape.objective.strategies.memory import out_of_memory
from landscape.objective.strategies.sequential import one_by_one
from landscape.objective.strategies.work import Batches, Work

_TOLERANCE = 1e-4  # float32 in other batches rounds otherwise; randomness moves far more
_COARSE = 2e-2  # and so do 8 bits
_ALONE = "Return the loss alone, and pass what else is of interest in metrics=."

Values = list[list[Any]]  # of every metric, of every batch


@dataclass
class InParts:
    """What a metric returns for a batch and for parts of it.

    Attributes:
        name: The metric's.
        whole: Its value for the batch.
        groups: Its values for sets of parts that make up the batch.
        counts: How many samples those parts hold.
    """

    name: str
    whole: Any
    groups: list[list[Any]]
    counts: list[list[int]]


def values_of(work: Work, batches: Batches) -> Values:
    """What every metric returns for every batch, where the model rests."""
    found: Values = [[] for _ in work.metrics]

    def keep(metric: int, point: int, value: Any, samples: int) -> None:
        found[metric].append(value)

    if not batches:
        return found
    with one_by_one(work, work.rest, each=keep) as measure:
        measure(torch.zeros(1, len(work.directions)).numpy(), batches)
    return found


def values_of_parts(
    work: Work, batch: Any, form: Form, known: Values | None, *, rebatch: bool
) -> list[InParts] | None:
    """What the metrics return for a batch and its parts; None where they need another batch.

    What they return for the whole batch may be known.
    """
    n = form.samples
    splits = [[0, n // 2, n], [0, n // 4, n]]  # halves may hold equally many tokens by chance
    splits = [ends for ends in splits if ends[1] > 0][: 1 if n < 8 else 2]
    counts = [[b - a for a, b in pairwise(ends)] for ends in splits]
    parts = [(cut(batch, form, slice(a, b)), b - a) for ends in splits for a, b in pairwise(ends)]
    whole = [(batch, n)] if known is None else []
    try:
        found = values_of(work, [*whole, *parts])
        if known is not None:
            found = [[*a, *b] for a, b in zip(known, found, strict=True)]
    except Exception as problem:
        if out_of_memory(problem) and not rebatch and n > 2:  # the batches may be smaller
            few = cut(batch, form, slice(0, n // 2))
            return values_of_parts(work, few, form._replace(samples=n // 2), None, rebatch=False)
        if not rebatch:
            return None
        if out_of_memory(problem):
            raise
        problem.add_note("Batches are cut freely; if the loss needs its own, give batch_size=.")
        raise
    cuts = [
        InParts(name, whole, [part[i : i + 2] for i in range(0, len(part), 2)], list(counts))
        for name, (whole, *part) in zip(work.metrics, found, strict=True)
    ]
    if n > 2 and any(isinstance(one.whole, tuple) for one in cuts):
        alone = [(cut(batch, form, slice(i, i + 1)), 1) for i in range(n)]
        try:
            for one, values in zip(cuts, values_of(work, alone), strict=True):
                if isinstance(one.whole, tuple):
                    one.groups.append(values)
        except Exception as problem:  # a loss may need two
            if out_of_memory(problem):
                raise
    return cuts


def check_weight(name: str, value: Any, elsewhere: list[Any]) -> None:
    """A weight is finite, not negative, zero only beside a zero sum, and the same everywhere."""
    total, weight = value[0], value[1].to(value[0].device)
    taken = f"{name!r} returned {said(tuple(value))}, which is no (sum, weight):"
    if not (weight.isfinite().all() and (weight >= 0).all()):
        raise ValueError(f"{taken} the second is negative or not finite. {_ALONE}")
    if total.shape == weight.shape and (total[weight == 0] != 0).any():
        raise ValueError(f"{taken} there is a sum beside a weight of zero. {_ALONE}")
    for other in elsewhere:
        if not close(other[1].double().sum(), weight.double().sum(), 1e-5):
            raise ValueError(
                f"{taken} the second is {weight.double().sum():.6g} here and "
                f"{other[1].double().sum():.6g} at other parameters, but a weight depends on the "
                f"data only. {_ALONE}"
            )


def check_pair(work: Work, name: str, value: Any, parts: InParts | None, *, fixed: bool) -> None:
    """Both parts of a pair on a batch are those of its halves together."""
    explicit = isinstance(value, SumAndWeight)
    if parts is None:
        if explicit:
            return
        raise ValueError(
            f"{name!r} returned {said(tuple(value))}; whether it is a sum and its weight is seen "
            "on halves of a batch, but these batches cannot be halved: return "
            "ls.SumAndWeight(sum, weight), or the loss alone."
        )
    for part in [part for group in parts.groups for part in group]:
        check_weight(name, part, [])
    norms = any(module.training for module in work.loan.model.modules())
    dependent = norms or work.nature.draws  # samples of a batch depend on each other
    for number, what in enumerate(("first", "second")):
        if number == 0 and (dependent or (fixed and explicit)):
            continue  # samples of a batch may depend on each other
        whole = parts.whole[number].double()
        for group in parts.groups:
            together = torch.stack([part[number].double().sum() for part in group])
            size = max(float(whole.abs().sum()), float(together.abs().sum()))
            if not close(whole.sum(), together.sum(), tolerance_of(work), size):
                raise ValueError(
                    f"{name!r} returned {said(tuple(value))}, which is no (sum, weight): the "
                    f"{what} is {whole.sum():.6g} on a batch of {sum(parts.counts[0])} and "
                    f"{together.sum():.6g} on its parts together. Return one value per sample, "
                    "the mean of the batch, or a pair that adds up; an accuracy goes in metrics=."
                )


def check_mean(work: Work, parts: InParts, *, rebatch: bool) -> None:
    """The mean of a batch is that of its parts together, and no sum over it."""
    near = tolerance_of(work)
    for values, counts in zip(parts.groups, parts.counts, strict=True):
        each = [sums(parts.name, v, c) for v, c in zip(values, counts, strict=True)]
        total = torch.stack(each).sum(0)
        a, b = canonical_mean(parts.whole), total[0] / total[2]
        if close(a, b, near):
            continue
        scalar = parts.whole.ndim == 0
        each = torch.stack([v.double().sum() for v in values])
        if scalar and close(a, each.sum(), near, float(each.abs().sum())):
            raise ValueError(
                f"{parts.name!r} is a sum over the batch, not a mean ({a.item():.6g} for "
                f"{sum(counts)} samples): return one value per sample (reduction='none'), the "
                "mean, or the pair (sum, number of samples)."
            )
        if rebatch:
            weighed = " If it is a mean over tokens or weighted classes, return (sum, weight); else"
            raise ValueError(
                f"{parts.name!r} depends on how samples are put into batches ({a.item():.6g} "
                f"and {b.item():.6g} for two sizes).{weighed if scalar else ' Else'} give "
                "batch_size= to fix it."
            )


def canonical_mean(value: Any) -> Tensor:
    """The mean of what a metric returned, in double precision."""
    if isinstance(value, tuple):
        return value[0].double().sum() / value[1].double().sum().to(value[0].device)
    return value.double().mean()


def tolerance_of(work: Work) -> float:
    """What two ways to the same number may differ by."""
    return _TOLERANCE if work.rounding.itemsize >= 4 else _COARSE


def close(a: Tensor, b: Tensor, relative: float, size: float = 0.0) -> bool:
    """Whether two numbers agree, up to a share of the larger or of a given size."""
    absolute = max(1e-5 if not size else 1e-12, relative * size)
    return torch.allclose(a.double().cpu(), b.double().cpu(), relative, absolute, equal_nan=True)
