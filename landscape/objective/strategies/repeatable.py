"""Before the first number: is what the loss returns what it is taken for?

On a few samples it is seen that the same point gives the same value twice, that a value does not
depend on how samples are put into batches, that a sum is not taken for a mean, and that a pair
(sum, weight) adds up and has a weight that depends on the data only.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from landscape.base.provenance import fingerprint
from landscape.objective.data.batches import Form, cut
from landscape.objective.data.held import HeldData
from landscape.objective.data.shortened import shortened, telling
from landscape.objective.data.structure import bytes_of, everything
from landscape.objective.metrics import sums
from landscape.objective.returned import SumAndWeight, said
from landscape.objective.strategies.memory import out_of_memory
from landscape.objective.strategies.sequential import one_by_one
from landscape.objective.strategies.work import Batches, Work

_LOOK = 8
_PERIOD = 4096  # weights with factors of their own
_TOLERANCE = 1e-4  # float32 in other batches rounds otherwise; randomness moves far more
_COARSE = 2e-2  # and so do 8 bits
_ALONE = "Return the loss alone, and pass what else is of interest in metrics=."

Values = list[list[Any]]  # of every metric, of every batch


@dataclass
class _Cut:
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


def check_repeatable(work: Work, data: HeldData, *, rebatch: bool) -> None:
    """Look at what the metrics return on a few samples.

    Args:
        work: The borrowed model and its points.
        data: The samples.
        rebatch: Whether the size of the batches is free, and so must not matter.

    Raises:
        ValueError: If the values are not what they would be taken for; the message says why.
    """
    size = _LOOK if work.loan.stream is None else 2  # large models: a pass is dear
    few = data.few(min(size, data.batch_size) if rebatch else size)
    if rebatch and few is not None:
        look: Batches = [(few[0], few[1].samples)]
    else:
        look = data.batches(most=1)  # a loss may be made for its batches
    kept = [(t, _digest(t)) for t in everything(look[0][0]) if isinstance(t, Tensor)]
    brief = _brief(work, look)
    # Of one sequence there is nothing to put together, so its first tokens tell it all.
    look, first = brief if brief and look[0][1] == 1 else (look, _values(work, look))
    # Where weights come and go, two passes were compared when it was seen who reads them.
    second = first if work.loan.stream is not None else _values(work, look)
    if any(_digest(tensor) != before for tensor, before in kept):
        raise ValueError(
            "The loss changes its batch in place, so every pass sees other data; copy what "
            "it changes, for example x = x - mean instead of x -= mean."
        )
    for name, (one,), (other,) in zip(work.metrics, first, second, strict=True):
        a, b = _mean(one), _mean(other)
        if not _close(a, b, _tolerance(work)):
            raise ValueError(
                f"{name!r} gives {a.item():.6g} and then {b.item():.6g} at the same point: "
                "something random is active (dropout applied in evaluation mode, or noise or "
                "augmentation inside the loss). Make it deterministic in evaluation mode."
            )
    _check_counts(work, data, first)
    known = first if rebatch else None
    cuts = None if few is None else _values_of_parts(work, *few, known, rebatch=rebatch)
    if few is not None and cuts is None:
        _values(work, look)  # raises what is no matter of halves
    paired = [isinstance(value, tuple) for (value,) in first]
    short, here = brief or (look, first)
    elsewhere = _values_elsewhere(work, short) if any(paired) else []
    for row, (name, (value,)) in enumerate(zip(work.metrics, first, strict=True)):
        if paired[row]:
            _check_weight(name, value, [])
            _check_weight(name, here[row][0], [values[row][0] for values in elsewhere])
            explicit = isinstance(value, SumAndWeight) and not data.sure
            parts = None if cuts is None or explicit else cuts[row]
            _check_pair(work, name, value, parts, fixed=not rebatch)
        elif cuts is not None and data.sure:
            _check_mean(work, cuts[row], rebatch=rebatch)
    if rebatch and cuts is not None and data.sure and work.loan.stream is None:
        _check_many(work, data)


def _brief(work: Work, look: Batches) -> tuple[Batches, Values] | None:
    """The same samples cut short, where passes are dear and the metrics take them; their values."""
    short = None if work.loan.stream is None else shortened(look[0][0])
    if short is None:
        return None
    brief = [(short[0], look[0][1])]
    try:
        found = _values(work, brief)
    except Exception:
        return None
    return (brief, found) if telling([values[0] for values in found]) else None


def _check_many(work: Work, data: HeldData) -> None:
    """Look at whole batches and their halves too: some losses treat many samples otherwise.

    They are the first, one in the middle and the last, for a loss may do so in some batches only,
    and where there are many samples some more together.
    """
    _check_halves(work, data, data.batches(most=1)[0][1])
    if (more := 4 * data.batch_size) * 8 <= data.size:
        _check_halves(work, data, more)
    batches = data.batches()
    several = list(dict.fromkeys((len(batches) // 2, len(batches) - 1)))
    several = [k for k in several if k and batches[k][1] // 2 * 2 > _LOOK]
    if not several:
        return
    halves = data.batches(data.batches(most=1)[0][1] // 2)
    start = [sum(count for _, count in batches[:k]) for k in range(len(batches))]
    ends = [sum(count for _, count in halves[: k + 1]) for k in range(len(halves))]
    for k in several:
        whole, stop = batches[k], start[k] + batches[k][1]
        parts = [h for h, end in zip(halves, ends, strict=True) if start[k] < end <= stop]
        _check_together(work, whole, parts)


def _check_halves(work: Work, data: HeldData, n: int) -> None:
    if (n := n // 2 * 2) > _LOOK:
        _check_together(work, data.batches(n, most=1)[0], data.batches(n // 2, most=n))


def _check_together(work: Work, whole: tuple[Any, int], parts: Batches) -> None:
    """The mean of a batch is that of its parts."""
    counts = [count for _, count in parts]
    if sum(counts) != whole[1]:
        return
    try:
        found = _values(work, [whole, *parts])
    except Exception as problem:
        if out_of_memory(problem):
            return  # the batches become smaller
        raise
    for name, (value, *rest) in zip(work.metrics, found, strict=True):
        if not isinstance(value, tuple):
            _check_mean(work, _Cut(name, value, [rest], [counts]), rebatch=True)


def _check_counts(work: Work, data: HeldData, first: Values) -> None:
    """Refuse means of batches of which nobody knows how many samples they hold."""
    if data.counted or len(batches := data.batches()) < 2:
        return
    for row, (name, (value,)) in enumerate(zip(work.metrics, first, strict=True)):
        if isinstance(value, tuple) or value.numel() > 1:
            continue
        # One value: of the only sample, if other batches give several.
        if not value.ndim or all(_values(work, [b])[row][0].numel() == 1 for b in batches[1:]):
            raise ValueError(
                f"{name!r} returned {said(value)} for a batch that does not say how many samples "
                f"it holds, and there are {len(batches)} such batches: their means cannot be "
                "weighed. Return one value per sample or ls.SumAndWeight(sum, samples), or give "
                "the batches a len() or num_graphs."
            )


def _check_weight(name: str, value: Any, elsewhere: list[Any]) -> None:
    """A weight is finite, not negative, zero only beside a zero sum, and the same everywhere."""
    total, weight = value[0], value[1].to(value[0].device)
    taken = f"{name!r} returned {said(tuple(value))}, which is no (sum, weight):"
    if not (weight.isfinite().all() and (weight >= 0).all()):
        raise ValueError(f"{taken} the second is negative or not finite. {_ALONE}")
    if total.shape == weight.shape and (total[weight == 0] != 0).any():
        raise ValueError(f"{taken} there is a sum beside a weight of zero. {_ALONE}")
    for other in elsewhere:
        if not _close(other[1].double().sum(), weight.double().sum(), 1e-5):
            raise ValueError(
                f"{taken} the second is {weight.double().sum():.6g} here and "
                f"{other[1].double().sum():.6g} at other parameters, but a weight depends on the "
                f"data only. {_ALONE}"
            )


def _check_pair(work: Work, name: str, value: Any, parts: _Cut | None, *, fixed: bool) -> None:
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
        _check_weight(name, part, [])
    norms = any(module.training for module in work.loan.model.modules())
    dependent = norms or work.nature.draws  # samples of a batch depend on each other
    for number, what in enumerate(("first", "second")):
        if number == 0 and (dependent or (fixed and explicit)):
            continue  # samples of a batch may depend on each other
        whole = parts.whole[number].double()
        for group in parts.groups:
            together = torch.stack([part[number].double().sum() for part in group])
            size = max(float(whole.abs().sum()), float(together.abs().sum()))
            if not _close(whole.sum(), together.sum(), _tolerance(work), size):
                raise ValueError(
                    f"{name!r} returned {said(tuple(value))}, which is no (sum, weight): the "
                    f"{what} is {whole.sum():.6g} on a batch of {sum(parts.counts[0])} and "
                    f"{together.sum():.6g} on its parts together. Return one value per sample, "
                    "the mean of the batch, or a pair that adds up; an accuracy goes in metrics=."
                )


def _check_mean(work: Work, parts: _Cut, *, rebatch: bool) -> None:
    """The mean of a batch is that of its parts together, and no sum over it."""
    near = _tolerance(work)
    for values, counts in zip(parts.groups, parts.counts, strict=True):
        each = [sums(parts.name, v, c) for v, c in zip(values, counts, strict=True)]
        total = torch.stack(each).sum(0)
        a, b = _mean(parts.whole), total[0] / total[2]
        if _close(a, b, near):
            continue
        scalar = parts.whole.ndim == 0
        each = torch.stack([v.double().sum() for v in values])
        if scalar and _close(a, each.sum(), near, float(each.abs().sum())):
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


def _values_of_parts(
    work: Work, batch: Any, form: Form, known: Values | None, *, rebatch: bool
) -> list[_Cut] | None:
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
        found = _values(work, [*whole, *parts])
        if known is not None:
            found = [[*a, *b] for a, b in zip(known, found, strict=True)]
    except Exception as problem:
        if out_of_memory(problem) and not rebatch and n > 2:  # the batches may be smaller
            few = cut(batch, form, slice(0, n // 2))
            return _values_of_parts(work, few, form._replace(samples=n // 2), None, rebatch=False)
        if not rebatch:
            return None
        if out_of_memory(problem):
            raise
        problem.add_note("Batches are cut freely; if the loss needs its own, give batch_size=.")
        raise
    cuts = [
        _Cut(name, whole, [part[i : i + 2] for i in range(0, len(part), 2)], list(counts))
        for name, (whole, *part) in zip(work.metrics, found, strict=True)
    ]
    if n > 2 and any(isinstance(one.whole, tuple) for one in cuts):
        alone = [(cut(batch, form, slice(i, i + 1)), 1) for i in range(n)]
        try:
            for one, values in zip(cuts, _values(work, alone), strict=True):
                if isinstance(one.whole, tuple):
                    one.groups.append(values)
        except Exception as problem:  # a loss may need two
            if out_of_memory(problem):
                raise
    return cuts


def _values_elsewhere(work: Work, look: Batches) -> list[Values]:
    """What the metrics return at other parameters, where that can be computed."""
    found = []
    changes = (_mirrored, _spread) if work.loan.stream is None else (_spread,)  # passes are dear
    for change in changes:
        try:
            with torch.no_grad(), work.loan.changed(change):
                found.append(_values(work, look))
        except Exception as problem:  # parameters may have to be positive
            if out_of_memory(problem):
                raise
    return found


def _mirrored(values: Tensor, start: int) -> None:
    values.neg_()


def _spread(values: Tensor, start: int) -> None:
    """Each scaled by a factor of its own, of 0.5 to 1.5."""
    places = torch.arange(min(len(values), _PERIOD), device=values.device, dtype=values.dtype)
    factors = places.mul_(1.618).sin_().mul_(0.5).add_(1)
    rest = len(values) % _PERIOD
    values[rest:].view(-1, _PERIOD).mul_(factors if len(values) >= _PERIOD else 1)
    values[:rest].mul_(factors[:rest])


def _values(work: Work, batches: Batches) -> Values:
    """What every metric returns for every batch, where the model rests."""
    found: Values = [[] for _ in work.metrics]

    def keep(metric: int, point: int, value: Any, samples: int) -> None:
        found[metric].append(value)

    if not batches:
        return found
    with one_by_one(work, work.rest, each=keep) as measure:
        measure(torch.zeros(1, len(work.directions)).numpy(), batches)
    return found


def _mean(value: Any) -> Tensor:
    if isinstance(value, tuple):
        return value[0].double().sum() / value[1].double().sum().to(value[0].device)
    return value.double().mean()


def _digest(tensor: Tensor) -> str:
    return fingerprint(*bytes_of(tensor))


def _tolerance(work: Work) -> float:
    """What two ways to the same number may differ by."""
    return _TOLERANCE if work.rounding.itemsize >= 4 else _COARSE


def _close(a: Tensor, b: Tensor, relative: float, size: float = 0.0) -> bool:
    """Whether two numbers agree, up to a share of the larger or of a given size."""
    absolute = max(1e-5 if not size else 1e-12, relative * size)
    return torch.allclose(a.double().cpu(), b.double().cpu(), relative, absolute, equal_nan=True)
