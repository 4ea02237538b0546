"""Whether the weights of a problem come and go module by module, and which module reads which."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from landscape.objective.data.shortened import shortened, telling
from landscape.objective.family import Family
from landscape.objective.free_memory import free_bytes
from landscape.objective.inspection.cached import NOTHING_READ, check_no_cache
from landscape.objective.inspection.holding import slots_of
from landscape.objective.inspection.nature import Nature
from landscape.objective.lending.loan import Loan
from landscape.objective.lending.readers import readers_of
from landscape.objective.lending.stream import ELSEWHERE, Stream
from landscape.objective.metrics import Metric
from landscape.objective.policies.precision import float_types
from landscape.objective.problem import Problem

_SHARE = 0.5  # of the memory that is free may be taken by copies of the parameters
_SMALL = 1 << 20  # bytes that are there: to ask would take longer than a point


def streams(problem: Problem, family: Family, strategy: str | None) -> bool:
    """Whether weights come and go: it was asked for, or copies of them would not fit.

    Args:
        problem: What is measured.
        family: Where.
        strategy: The name that was asked for, or None.

    Raises:
        ValueError: If it was asked for and cannot be.
    """
    if strategy == "streamed":
        if reason := _unfit(problem):
            raise ValueError(f"strategy 'streamed' cannot be used here: {reason}.")
        return True
    if strategy is not None:
        return False
    vectors = 1 if type(family) is Family else 2 + len(family.directions)
    needed = vectors * problem.layout.size * problem.dtype.itemsize
    free = None if needed <= _SMALL else free_bytes(problem.device)
    fits = free is None or needed <= _SHARE * free
    together = len({p.device for p in problem.model.parameters()}) == 1
    return not (fits and together) and not _unfit(problem)


def _unfit(problem: Problem) -> str:
    """Why weights cannot come and go; empty when they can."""
    model = problem.model
    own = {p.dtype for p in model.parameters() if p.requires_grad}
    if problem.precision != "native" and own | float_types(model) != {problem.dtype}:
        return (
            f"every tensor is computed in its own type, and precision is {problem.precision!r}; "
            "leave precision out, or give 'native'"
        )
    if problem.batch_norm == "recalibrated":
        return "batch norms are estimated anew at every point"
    if any(isinstance(m, torch.jit.ScriptModule) for m in model.modules()):
        return "the model is scripted"
    compiled = any(getattr(m, "_compiled_call_impl", None) is not None for m in model.modules())
    if compiled or any(type(m).__name__ == "OptimizedModule" for m in model.modules()):
        return "the model is compiled; pass the module that was compiled"
    first = next(model.parameters()).device
    if first != problem.device and len({p.device for p in model.parameters()}) == 1:
        return f"the model is on {first} and device is {problem.device}; move the model there"
    return ""


@contextmanager
def placed_by_modules(
    loan: Loan,
    nature: Nature,
    metrics: Mapping[str, Metric],
    problem: Problem,
    known: dict[str, Any],
) -> Iterator[None]:
    """Inside, parameters come and go with the modules that read them.

    Args:
        loan: The lent model, with its own weights.
        nature: What a look at the metrics found.
        metrics: Name to metric, called with the care that it needs.
        problem: Has the metrics themselves, and samples: of one it is seen who reads what.
        known: What was seen before, which is kept here.

    Raises:
        ValueError: If the losses do not allow that.
    """
    differentiates = nature.differentiates or nature.gradients
    if reason := nature.alone or ("the loss differentiates" if differentiates else ""):
        raise ValueError(
            f"Weights that come and go module by module (strategy 'streamed') cannot be used here: "
            f"{reason}. With strategy='sequential' all of them are copied."
        )

    stream = loan.stream
    assert stream is not None
    if known:
        with stream.installed(known["readers"], known["exact"]):
            yield
        return

    def run() -> Any:
        return [metric(loan.model, batch) for metric in metrics.values()]

    data = problem.data
    slots = [slot for metric in problem.metrics.values() for slot in slots_of(metric)]
    one = data.batches(1, most=1)[0][0]
    short = None if (cut := shortened(one)) is None else cut[0]
    for batch in (one,) if short is None else (short, one):
        try:
            readers, wanted, reads = readers_of(loan.model, loan.layout, run)
        except Exception:  # a loss may need more samples, or tokens
            continue
        if batch is one or telling(wanted):
            break
    else:
        batch = data.batches(most=1)[0][0]
        readers, wanted, reads = readers_of(loan.model, loan.layout, run)
    exact: dict[Any, bool] = {}
    with stream.installed(readers, exact):
        _check_same(stream, wanted, run)
        if not reads and problem.layout.size:
            _check_moves(stream, wanted, run)
        short = short if batch is short else None
        whole = batch if short is None else one
        loan.modules_put_back()  # as they came
        for slot in slots:
            slot.put_back()
        # With the care that few tokens asked for, what was emptied would be put back before a call.
        own = metrics if short is None else problem.metrics
        check_no_cache(loan, own, whole, None, gradients=False, own=frozenset(), short=short)
        known["readers"], known["exact"] = readers, exact
        yield


def _check_same(stream: Stream, wanted: Any, run: Callable[[], Any]) -> None:
    """Refuse a model of which some weights are read where they were not seen to be."""
    if not _alike_with(stream, lambda each: each.own, wanted, run):
        raise ValueError(ELSEWHERE)


def _check_moves(stream: Stream, wanted: Any, run: Callable[[], Any]) -> None:
    """Refuse losses that are the same where no weight of the model is a number."""
    if _alike_with(stream, lambda each: each.absent, wanted, run):
        raise ValueError(NOTHING_READ)


@torch.no_grad()
def _alike_with(
    stream: Stream, weights: Callable[[Any], torch.Tensor], wanted: Any, run: Callable[[], Any]
) -> bool:
    """Whether the losses are the wanted ones with other tensors in the place of the weights."""
    stream.use(lambda read: [weights(each) for each in read])
    try:
        found = run()
    finally:
        stream.use(None)
    return all(map(_same, _tensors(wanted), _tensors(found)))


def _tensors(value: Any) -> list[torch.Tensor]:
    return [t for t in tree_leaves(value) if isinstance(t, torch.Tensor)]


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a, b) or torch.allclose(a.double(), b.double(), equal_nan=True)
