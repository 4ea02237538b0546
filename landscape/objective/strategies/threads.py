"""A crew of threads that share out the batches of one point.

Every thread computes with one core on batches of its own, which for small layers beats all cores
sharing one matrix product. All use the same weights, so nothing is copied. The share of each thread
and the order in which their sums are added are fixed, so results repeat bitwise.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn

from landscape.objective.data.held import map_tensors
from landscape.objective.strategies.work import Batches, UnsuitableError, Work

Share = Callable[[Callable[[Batches], Tensor], Batches], Tensor]


@contextlib.contextmanager
def crew(work: Work) -> Iterator[Share]:
    """Share batches out between the threads of a piece of work.

    Yields:
        A function (sums of some batches, batches) -> sums of all batches; none tracks gradients.

    Raises:
        UnsuitableError: If more than one thread is asked for and the model's passes might
            disturb each other.
    """
    if work.threads == 1:
        yield lambda sums, batches: sums(batches)
        return
    _check_independent(work)
    whole = torch.get_num_threads()
    pool = ThreadPoolExecutor(work.threads - 1)
    torch.set_num_threads(1)  # of this thread, and of those that begin now
    try:

        def share(sums: Callable[[Batches], Tensor], batches: Batches) -> Tensor:
            others = [
                pool.submit(torch.no_grad()(sums), batches[k :: work.threads])
                for k in range(1, min(work.threads, len(batches)))
            ]
            try:
                total = sums(batches[:: work.threads])
            finally:
                found = [other.exception() or other.result() for other in others]
            for part in found:
                if isinstance(part, BaseException):
                    raise part
                total = total + part
            return total

        yield share
    finally:
        pool.shutdown()
        torch.set_num_threads(whole)


@torch.no_grad()
def _check_independent(work: Work) -> None:
    """Refuse models that keep something of a pass, which another thread's pass could overwrite."""
    model = work.loan.model
    if work.loan.flat.device.type != "cpu":
        raise UnsuitableError("threads are for CPUs")
    if work.nature.kept or work.nature.assigned:
        raise UnsuitableError("the model or the loss keeps something of every pass")
    if not work.nature.plain:
        raise UnsuitableError(work.nature.alone or "the loss differentiates")
    if torch.is_autocast_enabled("cpu"):
        raise UnsuitableError("lower precision is a setting of one thread")
    if work.recalibration is not None or any(m.training for m in model.modules()):
        raise UnsuitableError("batch norms are estimated from the batches")
    work.place([0.0] * len(work.directions))
    if any(m._forward_hooks or m._forward_pre_hooks for m in model.modules()):
        raise UnsuitableError("the model has hooks, which may keep something of every pass")
    batch = work.sample[0][0]
    for metric in work.metrics.values():
        metric(model, batch)
    before = _state(model)
    other = map_tensors(batch, lambda t: t.flip(0) if t.ndim else t)  # what is kept of it differs
    for metric in work.metrics.values():
        metric(model, other)
    after = _state(model)
    same = before.keys() == after.keys() and all(
        len(before[k]) == len(after[k]) and all(map(_unchanged, before[k], after[k]))
        for k in before
    )
    if not same:
        raise UnsuitableError("the model keeps something of every pass")


def _state(model: nn.Module) -> dict[tuple[int, str], list[tuple[Any, Any]]]:
    """Every attribute and what containers among them hold, with a copy of plain tensors."""
    found: dict[tuple[int, str], list] = {}
    for module in model.modules():
        for name, value in module.__dict__.items():
            held = list(value.values()) if isinstance(value, dict) else value
            all_of_it = [value, *(held if isinstance(held, list | tuple) else ())]
            found[id(module), name] = [
                (v, v.detach().clone() if type(v) is Tensor else None) for v in all_of_it
            ]
    return found


def _unchanged(before: tuple[Any, Any], after: tuple[Any, Any]) -> bool:
    same = before[0] is after[0]
    return same and (before[1] is None or torch.equal(before[1], after[1]))
