"""Before the first number: is what the loss returns what it is taken for?

On a few samples it is seen that the same point gives the same value twice, that a value does not
depend on how samples are put into batches, that a sum is not taken for a mean, and that a pair
(sum, weight) adds up and has a weight that depends on the data only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from landscape.base.provenance import fingerprint
from landscape.objective.data.held import HeldData
from landscape.objective.data.shortened import shortened, telling
from landscape.objective.data.structure import bytes_of, everything
from landscape.objective.returned import SumAndWeight, said
from landscape.objective.strategies.adding_up import (
    InParts,
    Values,
    canonical_mean,
    check_mean,
    check_pair,
    check_weight,
    close,
    tolerance_of,
    values_of,
    values_of_parts,
)
from landscape.objective.strategies.memory import out_of_memory
from landscape.objective.strategies.work import Batches, Work

_LOOK = 8
_PERIOD = 4096  # weights with factors of their own


def check_repeatable(work: Work, data: HeldData, *, rebatch: bool) -> None:
    """Look at what the metrics return on a few samples, and then for whole batches.

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
    if brief is not None and look[0][1] == 1:  # nothing to put together: its first tokens tell all
        look, first = brief
        few = few if few is None or few[1].samples > 1 else (look[0][0], few[1])
    else:
        first = values_of(work, look)
    # Where weights come and go, two passes were compared when it was seen who reads them.
    second = first if work.loan.stream is not None else values_of(work, look)
    if any(_digest(tensor) != before for tensor, before in kept):
        raise ValueError(
            "The loss changes its batch in place, so every pass sees other data; copy what "
            "it changes, for example x = x - mean instead of x -= mean."
        )
    for name, (one,), (other,) in zip(work.metrics, first, second, strict=True):
        a, b = canonical_mean(one), canonical_mean(other)
        if not close(a, b, tolerance_of(work)):
            raise ValueError(
                f"{name!r} gives {a.item():.6g} and then {b.item():.6g} at the same point: "
                "something random is active (dropout applied in evaluation mode, or noise or "
                "augmentation inside the loss). Make it deterministic in evaluation mode."
            )
    _check_counts(work, data, first)
    known = first if rebatch else None
    cuts = None if few is None else values_of_parts(work, *few, known, rebatch=rebatch)
    if few is not None and cuts is None:
        values_of(work, look)  # raises what is no matter of halves
    paired = [isinstance(value, tuple) for (value,) in first]
    short, here = brief or (look, first)
    elsewhere = _values_elsewhere(work, short) if any(paired) else []
    for row, (name, (value,)) in enumerate(zip(work.metrics, first, strict=True)):
        if paired[row]:
            check_weight(name, value, [])
            check_weight(name, here[row][0], [values[row][0] for values in elsewhere])
            explicit = isinstance(value, SumAndWeight) and not data.sure
            parts = None if cuts is None or explicit else cuts[row]
            check_pair(work, name, value, parts, fixed=not rebatch)
        elif cuts is not None and data.sure:
            check_mean(work, cuts[row], rebatch=rebatch)
    if rebatch and cuts is not None and data.sure and work.loan.stream is None:
        _check_whole_batches(work, data)


def _brief(work: Work, look: Batches) -> tuple[Batches, Values] | None:
    """The same samples cut short, where passes are dear and the metrics take them; their values."""
    short = None if work.loan.stream is None else shortened(look[0][0])
    if short is None:
        return None
    brief = [(short[0], look[0][1])]
    try:
        found = values_of(work, brief)
    except Exception:
        return None
    return (brief, found) if telling([values[0] for values in found]) else None


def _check_whole_batches(work: Work, data: HeldData) -> None:
    """Look at whole batches and their halves too: some losses treat many samples otherwise.

    They are the first, one in the middle and the last, for a loss may do so in some batches only,
    and where there are many samples some more together.

    Raises:
        ValueError: If the mean of a batch is not that of its halves.
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
        found = values_of(work, [whole, *parts])
    except Exception as problem:
        if out_of_memory(problem):
            return  # the batches become smaller
        raise
    for name, (value, *rest) in zip(work.metrics, found, strict=True):
        if not isinstance(value, tuple):
            check_mean(work, InParts(name, value, [rest], [counts]), rebatch=True)


def _check_counts(work: Work, data: HeldData, first: Values) -> None:
    """Refuse means of batches of which nobody knows how many samples they hold."""
    if data.counted or len(batches := data.batches()) < 2:
        return
    for row, (name, (value,)) in enumerate(zip(work.metrics, first, strict=True)):
        if isinstance(value, tuple) or value.numel() > 1:
            continue
        # One value: of the only sample, if other batches give several.
        if not value.ndim or all(values_of(work, [b])[row][0].numel() == 1 for b in batches[1:]):
            raise ValueError(
                f"{name!r} returned {said(value)} for a batch that does not say how many samples "
                f"it holds, and there are {len(batches)} such batches: their means cannot be "
                "weighed. Return one value per sample or ls.SumAndWeight(sum, samples), or give "
                "the batches a len() or num_graphs."
            )


def _values_elsewhere(work: Work, look: Batches) -> list[Values]:
    """What the metrics return at other parameters, where that can be computed."""
    found = []
    changes = (_mirrored, _spread) if work.loan.stream is None else (_spread,)  # passes are dear
    for change in changes:
        try:
            with torch.no_grad(), work.loan.changed(change):
                found.append(values_of(work, look))
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


def _digest(tensor: Tensor) -> str:
    return fingerprint(*bytes_of(tensor))
